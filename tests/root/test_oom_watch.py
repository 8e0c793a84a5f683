"""What was seen in a cgroup stands when the cgroup is gone, as those of systemd's units are at once."""

from __future__ import annotations

import json
import select
from typing import TYPE_CHECKING

import pytest

from pyrunc.host.cgroups import oom
from tests.root.test_events import HUNGRY, MIB, limited

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox")


def test_it_counts_what_it_is_woken_for(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, HUNGRY).started()
    box.until_output("ready")
    cgroups = json.loads((box.root / box.id / "state.json").read_text())["cgroups"]
    watch = oom.Watch(cgroups)
    try:
        poller = select.poll()
        poller.register(watch.fd, select.POLLIN)
        box.kill("USR1")
        while not watch.kills:
            assert poller.poll(60_000)
            watch.struck()
        box.until_stopped()
        box.delete()
        watch.struck()
        assert (watch.kills, watch.limit, watch.fd) == (1, 16 * MIB, -1)
    finally:
        watch.close()


def test_a_quiet_end_is_no_kill(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, HUNGRY).started()
    watch = oom.Watch(json.loads((box.root / box.id / "state.json").read_text())["cgroups"])
    box.delete("--force")
    watch.struck()
    assert (watch.kills, watch.fd) == (0, -1)
