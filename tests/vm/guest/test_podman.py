"""podman with pyrunc, runc and crun side by side, with both of its cgroup managers.

The files of the container's cgroup, and the properties of its unit, must be equal; what differs is in the table, with
the reason.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.vm.guest import engines
from tests.vm.guest.differences import FILES, PROPERTIES

if TYPE_CHECKING:
    pass

pytestmark = [pytest.mark.needs("guest", "root", "podman", "runc", "crun"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return engines.imported(tmp_path_factory.mktemp("image"))


@cache
def life(manager: str, runtime: str) -> engines.Life:
    return engines.observed(manager, runtime, *engines.LIMITS, *engines.PRIVILEGED)


manager = pytest.mark.parametrize("manager", engines.MANAGERS)
other = pytest.mark.parametrize("other", ["runc", "crun"])


@manager
@other
def test_the_files_of_the_cgroup_hold_the_same(manager: str, other: str) -> None:
    ours, theirs = life(manager, "pyrunc"), life(manager, other)
    assert engines.differing(ours.files, theirs.files) == engines.known(FILES, other, manager, "run")
    assert engines.differing(ours.updated, theirs.updated) == engines.known(FILES, other, manager, "update")


def test_the_properties_of_the_scope_are_the_same_as_with_runc() -> None:
    ours, theirs = life("systemd", "pyrunc"), life("systemd", "runc")
    assert engines.differing(ours.unit, theirs.unit) == engines.known(PROPERTIES, "runc", "systemd", "run")
    assert engines.differing(ours.updated_unit, theirs.updated_unit) == engines.known(
        PROPERTIES, "runc", "systemd", "update"
    )


@manager
def test_devices_are_open_to_whom_they_are_open_with_the_others(manager: str) -> None:
    assert life(manager, "pyrunc").devices == "null\nzero\nrandom\nfuse\n"
    assert life(manager, "runc").devices == life(manager, "crun").devices == "null\nzero\nrandom\nfuse\n"


@manager
@pytest.mark.parametrize("runtime", engines.RUNTIMES)
def test_a_container_lives_as_podman_says(manager: str, runtime: str) -> None:
    seen = life(manager, runtime)
    assert seen.paused == ("1", "paused")
    assert seen.resumed == ("0", "running")
    assert seen.stats["pids"] == "1"
    assert seen.stats["mem_usage"].endswith("67.11MB")
    assert seen.oom == (True, 137)
    assert seen.left == []
