"""Commands that are killed at random moments where systemd makes the cgroups: no unit is left, either."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until
from tests.root.test_killed_at_random import CROWD, Crowd
from tests.support.command import run
from tests.vm.guest import units

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.bundles import Bundle

pytestmark = [pytest.mark.needs("guest", "root", "busybox", "static"), pytest.mark.timeout(1800)]

#: Each takes seconds under emulation.
KILLS = 60


class Units(Crowd):
    def gone(self, name: str) -> None:
        super().gone(name)
        until(lambda: not units.known(f"pyrunc-{name}.scope"), lambda: f"there is no unit of {name}")


@pytest.mark.parametrize("seed", [1, 2])
def test_every_container_works_or_can_be_deleted_and_no_unit_is_left(
    runtime: Path, root: Path, bundle: Callable[..., Bundle], ids: Callable[[], str], tmp_path: Path, seed: int
) -> None:
    made = bundle().args("/bin/sleep", "1000")
    crowd = Units(runtime, root, made, ids, random.Random(seed), tmp_path, units.FLAGS)
    killed = 0
    while killed < KILLS:
        killed += crowd.strike(f"kill {killed}")
        while len(crowd.statuses) > CROWD:
            crowd.delete(crowd.chance.choice(list(crowd.statuses)))
    crowd.end()
    left = run("systemctl", "list-units", "--all", "--no-legend", "--plain", "pyrunc-*").stdout
    assert [name for name in crowd.names if name in left] == []
