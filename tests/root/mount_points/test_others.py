"""Mounts of others, with names that nobody expects: they are in nobody's way, and nothing in use is removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import HostError
from pyrunc.host import mount_users, residue
from pyrunc.runtime import delete, mount_points
from tests.root.box import contents, until
from tests.root.isolated import in_other_namespace, left, mounted, shell, sleeping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


@pytest.mark.parametrize("character", ["\f", "\x85", "\u2028", "\udcff"])
def test_a_mount_with_an_odd_name_is_in_nobodys_way(box: Box, host: Path, character: str) -> None:
    before = contents(box.bundle.rootfs)
    box.bundle.mount("/data", "tmpfs", "tmpfs")
    odd = host / f"a{character}b"
    odd.mkdir()
    with mounted("-t", "tmpfs", "tmpfs", odd):
        assert shell(box, "true") == ""
        assert contents(box.bundle.rootfs) == before
    with in_other_namespace(f"mount -t tmpfs tmpfs '{odd}'"):
        assert shell(box, "true") == ""
        assert contents(box.bundle.rootfs) == before
    assert not left(box)


def test_somebody_who_merely_looks_at_the_containers_namespace_does_not_keep_it(
    box: Box, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another deletion does, and lets it go; the container's processes have ended by then."""
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/way/one", "tmpfs", "tmpfs")
    before = contents(host)
    sleeping(box)
    looking = [os.open(f"/proc/{box.state()['pid']}/ns/mnt", os.O_RDONLY)]
    listed, looks = mount_users._listed, []

    def then_let_go(search: mount_users._Search) -> dict[int, int]:
        found = listed(search)
        looks.append(len(looking))
        while looking:
            os.close(looking.pop())
        return found

    monkeypatch.setattr(mount_users, "_listed", then_let_go)
    delete.delete(str(box.root), box.id, force=True, warn=pytest.fail)
    assert looks[:2] == [1, 0]
    assert contents(host) == before
    assert not left(box)


def test_a_mount_that_only_a_changed_root_hides_keeps_it(box: Box, new_box: Callable[..., Box], host: Path) -> None:
    before = contents(box.bundle.rootfs)
    place = box.bundle.rootfs / "data"
    box.bundle.mount("/data", "tmpfs", "tmpfs")
    sleeping(box)
    script = (
        f"mount -t tmpfs tmpfs {place} && touch {place}/mine && exec 3<{place} && echo done && exec chroot {host} sh"
    )
    (host / "bin").mkdir()
    shutil.copy(box.bundle.rootfs / "bin/busybox", host / "bin/sh")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"done\n"
        until(lambda: os.readlink(f"/proc/{process.pid}/root") == str(host), lambda: "it changes its root")
        box.delete("--force")
        assert place.is_dir()
        assert left(box)
        process.stdin.close()
    shell(new_box(), "true")
    assert contents(box.bundle.rootfs) == before


def test_a_mount_point_of_one_in_a_directory_of_another_goes_first(
    box: Box, new_box: Callable[..., Box], host: Path
) -> None:
    second, third = new_box(), new_box()
    before = contents(host)
    for each, name in ((box, "one"), (second, "two"), (third, "two")):
        each.bundle.mount("/data", "bind", host, "rbind").mount(f"/data/way/{name}", "tmpfs", "tmpfs")
        sleeping(each)
    for each in (second, box, third):
        each.delete("--force")
    assert contents(host) == before
    assert not left(box)


def test_nobody_who_can_open_the_root_can_stop_creations(box: Box, host: Path) -> None:
    box.root.mkdir(mode=0o755, exist_ok=True)
    fd = os.open(box.root, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert shell(box, "echo made", timeout=60) == "made\n"
    finally:
        os.close(fd)
    assert (box.root / ".mounting").stat().st_mode & 0o777 == 0o600


def test_a_creation_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount_points, "WAIT_SECONDS", 0.05)
    with open(tmp_path / ".mounting", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(HostError, match="locked for"):
            mount_points.creating(str(tmp_path))


def test_what_cannot_be_looked_through_in_time_counts_as_in_use() -> None:
    assert mount_users.in_use({("0:0", "/nowhere")}, 0) == {("0:0", "/nowhere")}
    assert mount_users.in_use({("0:0", "/nowhere")}, 60) == set()


def test_without_the_kernels_list_processes_tell(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount_users, "_listed", lambda _: {})
    for name in ("used", "a b", "free"):
        (host / name).mkdir()
    entries = [(str(host), name, stat.S_IFDIR | 0o755, 0, 0, 0, 0, 0) for name in ("used", "a b", "free")]
    places = residue.places(entries)
    with in_other_namespace(f"mount -t tmpfs tmpfs {host}/used && mount -t tmpfs tmpfs '{host}/a b'"):
        used = mount_users.in_use(set(places.values()), 60)
    assert used == {places[entry] for entry in entries[:2]}


def test_what_is_made_below_a_name_that_is_not_utf8_is_removed(box: Box, host: Path) -> None:
    odd = host / "odd\udcff"
    odd.mkdir()
    (host / "link").symlink_to(odd.name)
    before = contents(host)
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/link/new", "tmpfs", "tmpfs")
    assert shell(box, "ls /data/link/") == "new\n"
    assert sorted(os.listdir(odd)) == []
    assert contents(host) == before
    assert not left(box)


def test_a_path_too_long_to_be_noted_is_refused_before_anything_is_there(box: Box, host: Path) -> None:
    way = "/".join(["d" * 200] * 19)
    with contextlib.chdir(host):
        os.makedirs(way)
    before = contents(host / ("d" * 200))
    box.bundle.mount("/data", "bind", host, "rbind").mount(f"/data/{way}/{'e' * 120}", "tmpfs", "tmpfs")
    box.create(status=1)
    assert contents(host / ("d" * 200)) == before
