"""podman with pyrunc, runc and crun side by side, with both of its cgroup managers.

The files of the container's cgroup, and the properties of its unit, must be equal; what differs is in the table, with
the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.vm.guest import engines
from tests.vm.guest.differences import FILES, PROPERTIES

pytestmark = [pytest.mark.needs("guest", "root", "podman", "runc", "crun"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], engines.Life]:
    """The life of a container with a manager and a runtime; each is led once."""
    engines.imported(tmp_path_factory.mktemp("image"))

    @cache
    def led(manager: str, runtime: str) -> engines.Life:
        options = (*engines.LIMITS, *engines.PRIVILEGED)
        return engines.life(tmp_path_factory.mktemp("life"), manager, runtime, *options)

    return led


Lives = Callable[[str, str], engines.Life]
manager = pytest.mark.parametrize("manager", engines.MANAGERS)
other = pytest.mark.parametrize("other", ["runc", "crun"])


@manager
@other
def test_the_files_of_the_cgroup_hold_the_same(manager: str, other: str, life: Lives) -> None:
    ours, theirs = life(manager, "pyrunc"), life(manager, other)
    assert engines.differing(ours.files, theirs.files) == engines.known(FILES, other, manager, "run")
    assert engines.differing(ours.updated, theirs.updated) == engines.known(FILES, other, manager, "update")


def test_the_properties_of_the_scope_are_the_same_as_with_runc(life: Lives) -> None:
    ours, theirs = life("systemd", "pyrunc"), life("systemd", "runc")
    assert engines.differing(ours.unit, theirs.unit) == engines.known(PROPERTIES, "runc", "systemd", "run")
    updated = engines.differing(ours.updated_unit, theirs.updated_unit)
    assert updated == engines.known(PROPERTIES, "runc", "systemd", "update")


@manager
def test_devices_are_open_and_nothing_is_left_as_with_the_others(manager: str, life: Lives) -> None:
    for runtime in engines.RUNTIMES:
        seen = life(manager, runtime)
        assert (runtime, seen.devices, seen.left) == (runtime, "null zero random fuse", [])


@pytest.mark.parametrize("runtime", engines.RUNTIMES)
@pytest.mark.usefixtures("life")
def test_pause_stats_and_the_oom_killer_are_told_by_podman(runtime: str, tmp_path: Path) -> None:
    seen = engines.verbs(tmp_path, "systemd", runtime)
    assert (seen.paused, seen.resumed) == ("1", "0")
    assert seen.stats["pids"] == "1"
    assert seen.stats["mem_usage"].endswith(" / 67.11MB")
    assert seen.oom == (True, 137)
