"""podman of an ordinary user, whose systemd makes the scopes, with pyrunc, runc and crun side by side."""

from __future__ import annotations

from functools import cache

import pytest

from tests.vm.guest import engines
from tests.vm.guest.differences import FILES, PROPERTIES

pytestmark = [pytest.mark.needs("guest", "user", "podman", "runc", "crun"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return engines.imported(tmp_path_factory.mktemp("image"))


@cache
def life(runtime: str) -> engines.Life:
    return engines.observed("systemd", runtime, *engines.LIMITS)


@pytest.mark.parametrize("other", ["runc", "crun"])
def test_the_files_of_the_cgroup_hold_the_same(other: str) -> None:
    ours, theirs = life("pyrunc"), life(other)
    assert engines.differing(ours.files, theirs.files) == engines.known(FILES, other, "user", "run")
    assert engines.differing(ours.updated, theirs.updated) == engines.known(FILES, other, "user", "update")


def test_the_properties_of_the_scope_are_the_same_as_with_runc() -> None:
    ours, theirs = life("pyrunc"), life("runc")
    assert engines.differing(ours.unit, theirs.unit) == engines.known(PROPERTIES, "runc", "user", "run")
    assert engines.differing(ours.updated_unit, theirs.updated_unit) == engines.known(
        PROPERTIES, "runc", "user", "update"
    )


@pytest.mark.parametrize("runtime", engines.RUNTIMES)
def test_a_container_lives_as_podman_says(runtime: str) -> None:
    seen = life(runtime)
    assert seen.paused == ("1", "paused")
    assert seen.resumed == ("0", "running")
    assert seen.stats["pids"] == "1"
    assert seen.oom == (True, 137)
    assert seen.left == []
