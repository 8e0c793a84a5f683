"""A container that forks as fast as it can, in a unit of systemd: nothing of it escapes, and no unit stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.root.box import until
from tests.root.test_fork_bomb import forking, processes
from tests.vm.guest.units import FLAGS, gone

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("guest", "root")

WAYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "delete --force": (("delete", "--force", "ID"),),
    "kill --all": (("kill", "--all", "ID", "KILL"), ("delete", "ID")),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_escapes(way: str, new_box: Callable[..., Box]) -> None:
    box = forking(new_box, own_pids=False)
    box.bundle.edit(linux__cgroupsPath=f"system.slice:box:{box.id}")
    box.create(flags=FLAGS)
    box.start()
    box.until_output("ready")
    assert processes(box)
    for step in WAYS[way]:
        box.command(*step)
    gone(box, f"box-{box.id}.scope")
    until(lambda: processes(box) == [], lambda: "none is left")
