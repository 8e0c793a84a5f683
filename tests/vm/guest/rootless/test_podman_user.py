"""podman of an ordinary user, whose systemd makes the scopes, with pyrunc, runc and crun side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.vm.guest import engines
from tests.vm.guest.differences import FILES, PROPERTIES

pytestmark = [pytest.mark.needs("guest", "user", "podman", "runc", "crun"), pytest.mark.timeout(900)]


Lives = Callable[[str], engines.Life]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Lives:
    """The life of a container with a runtime; each is led once."""
    engines.imported(tmp_path_factory.mktemp("image"))
    return cache(lambda runtime: engines.life(tmp_path_factory.mktemp("life"), "systemd", runtime, *engines.LIMITS))


@pytest.mark.parametrize("other", ["runc", "crun"])
def test_the_files_of_the_cgroup_hold_the_same(other: str, life: Lives) -> None:
    ours, theirs = life("pyrunc"), life(other)
    assert engines.differing(ours.files, theirs.files) == engines.known(FILES, other, "user", "run")
    assert engines.differing(ours.updated, theirs.updated) == engines.known(FILES, other, "user", "update")
    assert ours.left == theirs.left == []


def test_the_properties_of_the_scope_are_the_same_as_with_runc(life: Lives) -> None:
    ours, theirs = life("pyrunc"), life("runc")
    assert engines.differing(ours.unit, theirs.unit) == engines.known(PROPERTIES, "runc", "user", "run")
    updated = engines.differing(ours.updated_unit, theirs.updated_unit)
    assert updated == engines.known(PROPERTIES, "runc", "user", "update")


@pytest.mark.usefixtures("life")
def test_pause_stats_and_the_oom_killer_are_told_by_podman(tmp_path: Path) -> None:
    seen = engines.verbs(tmp_path, "systemd", "pyrunc")
    assert (seen.paused, seen.resumed) == ("1", "0")
    assert seen.stats["pids"] == "1"
    assert seen.oom == (True, 137)
