"""What a witness has seen in a cgroup stands when the cgroup is gone, as those of systemd's units are at once."""

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
    witness = oom.Witness(cgroups)
    try:
        poller = select.poll()
        poller.register(witness.fd, witness.events)
        box.kill("USR1")
        while not witness.kills:
            assert poller.poll(60_000)
            witness.look()
        box.until_stopped()
        box.delete()
        witness.look()
        assert (witness.kills, witness.limit, witness.fd) == (1, 16 * MIB, -1)
    finally:
        witness.close()


def test_a_quiet_end_is_no_kill(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, HUNGRY).started()
    witness = oom.Witness(json.loads((box.root / box.id / "state.json").read_text())["cgroups"])
    box.delete("--force")
    witness.look()
    assert (witness.kills, witness.fd) == (0, -1)
