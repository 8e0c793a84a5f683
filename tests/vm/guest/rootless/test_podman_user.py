"""podman of an ordinary user, whose systemd makes the scopes, with pyrunc, runc and crun side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.vm.guest import engines
from tests.vm.guest.differences import FILES, PROPERTIES

pytestmark = [pytest.mark.needs("guest", "user", "podman", "runc", "crun"), pytest.mark.timeout(900)]


Lives = Callable[[str], engines.Life]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Lives:
    """The life of a container with a runtime; each is led once."""
    engines.imported(tmp_path_factory.mktemp("image"))

    @cache
    def led(runtime: str) -> engines.Life:
        folder = tmp_path_factory.mktemp("life")
        return engines.life(folder, "systemd", runtime, *engines.LIMITS, verbs=runtime == "pyrunc")

    return led


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


def test_pause_stats_and_the_oom_killer_are_told_by_podman(life: Lives) -> None:
    seen = life("pyrunc")
    assert seen.verbs is not None
    assert (seen.verbs.paused, seen.verbs.resumed) == ("1", "0")
    assert seen.verbs.stats["pids"] == str(seen.verbs.usage[0]["pids.current"])
    assert seen.oom == (1, 137)
