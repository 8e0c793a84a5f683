"""What commands leave that are killed between two system calls: it goes with the container, or the next one takes it
over.  `start` has tests/root/test_killed_start.py; tests/root/test_isolation_killed.py goes through creation and
deletion."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.root.box import Box, until
from tests.root.conftest import FOREVER
from tests.root.killed import Killed
from tests.support.residue import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.needs("root", "busybox", "static", "strace")


def temporary(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if name.endswith((".tmp", ".new"))]


def nothing_left(box: Box) -> None:
    box.nothing_left()
    assert set(os.listdir(box.root)) <= set(KEPT)


#: How often a creation has written its state when it is killed: the first process is not there, or not known, or
#: known, and waits for nothing but the word that its container is created.
@pytest.mark.parametrize("times", range(3))
def test_of_a_creation_that_was_killed_no_process_is_left(
    new_box: Callable[..., Box], tmp_path: Path, times: int
) -> None:
    box = new_box(*FOREVER)
    written = box.root / box.id / "state.json.tmp"
    words = "create", "--bundle", str(box.bundle.path), box.id
    Killed(box, tmp_path).at_path(written, "rename", *words, count=times + 1)
    until(lambda: box.processes() == [], lambda: f"these end by themselves: {box.processes()}")
    listed = box.command("list", "--format", "json").stdout
    if times:
        assert box.status() == "stopped"
        assert f'"{box.id}"' in listed
        box.delete()
    else:
        assert f'"{box.id}"' not in listed
        box.delete("--force")
    box.nothing_left()
    box.started()
    box.exec("ID", "/bin/true")
    box.delete("--force")


def test_what_killed_updates_have_left_the_next_one_takes_over(new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box(*FOREVER).started()
    words = "update", "--pids-limit", "40", box.id
    directory = box.root / box.id
    for _ in range(2):
        Killed(box, tmp_path).at_path(directory / "state.json.tmp", "rename", *words)
        assert box.status() == "running"
        assert temporary(directory) == ["state.json.tmp"]
    box.command(*words)
    assert temporary(directory) == []
    box.exec("ID", "/bin/true")
    box.delete("--force")
    nothing_left(box)


@pytest.mark.needs("libseccomp")
def test_a_filter_that_was_not_stored_is_stored_by_the_next(new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box(*FOREVER)
    denied = {"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}
    box.bundle.edit(linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [denied]})
    cache = box.root / ".seccomp"
    words = "create", "--bundle", str(box.bundle.path), box.id
    Killed(box, tmp_path).at_path(cache / ".new", "rename", *words)
    assert os.listdir(cache) == [".new"]
    box.create()
    assert [name.rpartition(".")[2] for name in os.listdir(cache)] == ["bpf"]
    box.delete("--force")
    nothing_left(box)


def test_the_list_of_mount_points_in_use_survives_and_goes_with_the_last(
    new_box: Callable[..., Box], ids: Callable[[], str], tmp_path: Path
) -> None:
    one = new_box(*FOREVER)
    shared = tmp_path / "shared"
    shared.mkdir()
    one.bundle.mount("/made/here", "bind", shared, "bind")
    other = Box(one.runtime, one.root, ids(), one.bundle, tmp_path)
    one.create()
    other.create()
    points, aside = one.root / ".mount-points", one.root / ".mount-points.tmp"
    Killed(one, tmp_path).at_path(aside, "rename", "delete", "--force", one.id)
    assert temporary(one.root) == [aside.name]
    one.delete("--force")
    assert temporary(one.root) == []
    other.exec("ID", "/bin/test", "-d", "/made/here")
    Killed(other, tmp_path).at_path(points, "unlink", "delete", "--force", other.id)
    other.delete("--force")
    nothing_left(other)
    assert not (one.bundle.rootfs / "made").exists()
