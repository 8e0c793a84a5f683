"""What is made on the host's files: announced before and after, told from what comes and goes with the container, and
removed if it is still the same empty object."""

from __future__ import annotations

import errno
import os
import platform
import select
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.plan.ops import CREATE_DIR, CREATE_FILE, TARGET_NOT_ROOT
from tests.native.driver import (
    AT_RECURSIVE,
    CREATED,
    MAKING,
    O_DIRECTORY,
    O_PATH,
    OPEN_TREE_CLONE,
    WARNING,
    Message,
    Outcome,
    drive,
    ops,
    rooted,
)
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs("root")

BIND, PLACE, WANTED = 20, 21, 22
MAKERS: dict[str, Callable[[str], tuple[object, ...]]] = {
    "a directory": lambda path: ("target", WANTED, path, CREATE_DIR, 0o755, 0, -1),
    "a file": lambda path: ("target", WANTED, path, CREATE_FILE, 0o644, 0, -1),
    "mkdir": lambda path: ("mkdir", path, 0o755, 0, 0),
    "mknod": lambda path: ("mknod", path, stat.S_IFCHR | 0o666, 1, 3, 0, 0),
    "symlink": lambda path: ("symlink", path, "to"),
    "make_cwd": lambda path: ("make_cwd", path),
}


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    path = tmp_path / "rootfs"
    (path / "mount").mkdir(parents=True)
    return path


@pytest.fixture
def host(tmp_path: Path) -> Path:
    path = tmp_path / "host"
    path.mkdir()
    return path


def mounted(*make: tuple[object, ...]) -> tuple[tuple[object, ...], ...]:
    """A mount in slot BIND, attached at /mount."""
    return (*make, ("target", PLACE, "/mount", CREATE_DIR, 0o755, 0, -1), ("attach", BIND, PLACE))


def said(outcome: Outcome) -> list[tuple[int, str, str]]:
    """(message, slot, path) of all that was made."""
    found = []
    for message in outcome.messages:
        if message.kind == MAKING:
            slot, _, path = message.detail.partition(" ")
            found.append((MAKING, slot, path))
        elif message.kind == CREATED:
            slot, _, _, _, path = message.detail.split(" ", 4)
            found.append((CREATED, slot, path))
    return found


@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_made_below_the_rootfs_is_told_before_and_after(init: Path, rootfs: Path, maker: str) -> None:
    seen = []

    def look(message: Message, _: Outcome) -> bool:
        path = rootfs / message.detail.rpartition(" ")[2]
        if message.kind == MAKING:
            assert not os.path.lexists(path)
        elif message.kind == CREATED:
            info = path.lstat()
            device, inode, born = message.detail.split(" ", 4)[1:4]
            assert (int(device), int(inode)) == (info.st_dev, info.st_ino)
            assert 0 < info.st_ctime_ns - int(born) < 10**9 or info.st_ctime_ns == int(born)
            seen.append(info.st_mode)
        return True

    outcome = drive(init, ops(*rooted(rootfs), MAKERS[maker]("/a/b")), answer=look).check()
    assert said(outcome) == [(kind, "0", path) for path in ("a", "a/b") for kind in (MAKING, CREATED)]
    further = drive(init, ops(*rooted(rootfs), MAKERS[maker]("//a/.//c"))).check()
    assert said(further) == [(MAKING, "0", "a/c"), (CREATED, "0", "a/c")], "the parent is there and needs no walk"
    making = [message.value for message in outcome.messages if message.kind == MAKING]
    assert making == seen
    again = drive(init, ops(*rooted(rootfs), MAKERS[maker]("/a/b"))).check()
    assert said(again) == [], "what is there is not made"


def test_below_a_bind_mount_it_is_told_by_its_path_there(init: Path, rootfs: Path, host: Path) -> None:
    bind = mounted(("open_tree", BIND, str(host), OPEN_TREE_CLONE))
    outcome = drive(init, ops(*rooted(rootfs), *bind, MAKERS["a directory"]("/mount/a/b"))).check()
    assert said(outcome) == [(kind, str(BIND), path) for path in ("a", "a/b") for kind in (MAKING, CREATED)]
    assert (host / "a/b").is_dir()


def test_a_mount_that_came_along_belongs_to_the_one_that_it_is_below(init: Path, rootfs: Path, host: Path) -> None:
    (host / "inner").mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", host / "inner")
    try:
        bind = mounted(("open_tree", BIND, str(host), OPEN_TREE_CLONE | AT_RECURSIVE))
        outcome = drive(init, ops(*rooted(rootfs), *bind, MAKERS["a directory"]("/mount/inner/a"))).check()
        assert said(outcome) == [(MAKING, str(BIND), "inner/a"), (CREATED, str(BIND), "inner/a")]
        assert (host / "inner/a").is_dir()
    finally:
        run("umount", host / "inner")
    run("mount", "-t", "tmpfs", "tmpfs", rootfs / "mount")
    try:
        outcome = drive(init, ops(*rooted(rootfs), MAKERS["a directory"]("/mount/a"))).check()
        assert said(outcome) == [(MAKING, "0", "mount/a"), (CREATED, "0", "mount/a")]
    finally:
        run("umount", rootfs / "mount")


def test_what_goes_away_with_the_container_is_not_told(init: Path, rootfs: Path) -> None:
    tmpfs = mounted(("fsmount", BIND, "tmpfs", "tmpfs", (), 0, -1))
    makers = [make(f"/mount/a{number}/b") for number, make in enumerate(MAKERS.values())]
    assert said(drive(init, ops(*rooted(rootfs), *tmpfs, *makers)).check()) == []


@pytest.mark.needs("overlay")
def test_what_is_made_in_a_layer_is_told_afterwards_only(init: Path, rootfs: Path, host: Path) -> None:
    overlay = mounted(
        ("open", 30, str(host), O_PATH | O_DIRECTORY),
        ("fsmount", 31, "tmpfs", "tmpfs", (), 0, -1),
        ("overlay", BIND, 30, 31, ("source=overlay",), 0),
    )
    outcome = drive(init, ops(*rooted(rootfs), *overlay, MAKERS["a file"]("/mount/a/b"))).check()
    assert said(outcome) == [(CREATED, str(BIND), "a"), (CREATED, str(BIND), "a/b")]
    assert os.listdir(host) == []


@pytest.mark.parametrize("maker", MAKERS)
def test_nothing_is_made_when_the_runtime_is_gone(init: Path, rootfs: Path, maker: str) -> None:
    program = ops(*rooted(rootfs), MAKERS[maker]("/a"))
    outcome = drive(init, program, answer=lambda message, _: message.kind != MAKING)
    assert set(outcome.statuses.values()) == {1}
    assert not os.path.lexists(rootfs / "a")


@pytest.mark.parametrize("maker", MAKERS)
def test_an_object_of_somebody_who_was_faster_is_not_ours(init: Path, rootfs: Path, maker: str) -> None:
    def answer(message: Message, _: Outcome) -> bool:
        if message.kind == MAKING:
            if maker in ("a file", "symlink", "mknod"):
                (rootfs / "a").write_text("")
            else:
                (rootfs / "a").mkdir()
        return True

    outcome = drive(init, ops(*rooted(rootfs), MAKERS[maker]("/a")), answer=answer)
    created = outcome.details(CREATED)
    assert [detail.split(" ")[:3] for detail in created] == [["0", "0", "0"]]
    if maker == "mknod":
        outcome.failed(errno.EEXIST)
    else:
        outcome.check()


# NOT_ROOT


@pytest.mark.parametrize("path", ["/", "/.", "/link", "/link/", "/mount/../link"])
def test_the_root_directory_can_be_excluded(init: Path, rootfs: Path, path: str) -> None:
    (rootfs / "link").symlink_to("../..")
    program = [*rooted(rootfs), ("target", WANTED, path, CREATE_DIR, 0o755, TARGET_NOT_ROOT, -1)]
    assert drive(init, ops(*program)).failed(errno.EBUSY) == f"target {path}"
    program[-1] = ("target", WANTED, path, CREATE_DIR, 0o755, 0, -1)
    drive(init, ops(*program)).check()


# remove


def made(base: Path, path: str, **changes: int) -> tuple[object, ...]:
    """The op that removes it, as if it was made now."""
    info = (base / path).lstat()
    known = {"mode": info.st_mode, "uid": info.st_uid, "gid": info.st_gid}
    known |= {"device": info.st_dev, "inode": info.st_ino, "born": birth(base / path), **changes}
    return ("remove", str(base), path, *known.values())


def birth(path: Path) -> int:
    """Of an object, by its name: what stat(1) says, which knows statx."""
    text = run("stat", "-c", "%.9W", path).stdout.strip()
    return int(text.replace(".", ""))


def objects(base: Path) -> list[str]:
    (base / "deep").mkdir()
    (base / "deep/directory").mkdir()
    (base / "deep/file").write_text("")
    (base / "deep/link").symlink_to("nowhere")
    os.mkfifo(base / "deep/fifo")
    return [f"deep/{name}" for name in ("directory", "file", "link", "fifo")]


def test_objects_as_they_were_made_are_removed(init: Path, host: Path) -> None:
    paths = [*objects(host), "deep"]
    drive(init, ops(*[made(host, path) for path in paths])).check()
    assert os.listdir(host) == []


def test_what_the_file_system_knows_no_birth_of_is_known_by_its_number(init: Path, host: Path) -> None:
    paths = [*objects(host), "deep"]
    drive(init, ops(*[made(host, path, born=0) for path in paths])).check()
    assert os.listdir(host) == []


@pytest.mark.parametrize("change", [{"inode": 1}, {"device": 1}, {"born": 12345}, {"mode": stat.S_IFSOCK}])
def test_what_has_come_in_their_place_stays(init: Path, host: Path, change: dict[str, int]) -> None:
    paths = objects(host)
    drive(init, ops(*[made(host, path, **change) for path in [*paths, "deep"]])).check()
    assert sorted(f"deep/{name}" for name in os.listdir(host / "deep")) == sorted(paths)


def test_what_has_something_in_it_stays(init: Path, host: Path) -> None:
    (host / "directory/inner").mkdir(parents=True)
    (host / "file").write_text("filled")
    drive(init, ops(made(host, "directory"), made(host, "file"))).check()
    assert sorted(os.listdir(host)) == ["directory", "file"]


def test_an_object_that_nobody_has_seen_must_be_young_enough(init: Path, host: Path) -> None:
    (host / "old").mkdir()
    (host / "young").mkdir()
    unknown = {"device": 0, "inode": 0}
    later = birth(host / "old") + 10**9
    drive(init, ops(made(host, "old", born=later, **unknown), made(host, "young", **unknown))).check()
    assert os.listdir(host) == ["old"]


UNKNOWN = {"device": 0, "inode": 0}


@pytest.mark.parametrize("change", [{"uid": 1}, {"gid": 1}, {"mode": stat.S_IFDIR | 0o700}])
def test_an_object_that_nobody_has_seen_must_have_the_owner_and_mode(
    init: Path, host: Path, change: dict[str, int]
) -> None:
    (host / "ours").mkdir(mode=0o755)
    (host / "theirs").mkdir(mode=0o755)
    drive(init, ops(made(host, "ours", **UNKNOWN), made(host, "theirs", **UNKNOWN, **change))).check()
    assert os.listdir(host) == ["theirs"]


def test_the_owner_and_mode_of_a_known_object_may_have_changed(init: Path, host: Path) -> None:
    (host / "ours").mkdir()
    drive(init, ops(made(host, "ours", uid=1, gid=1, mode=stat.S_IFDIR))).check()
    assert os.listdir(host) == []


def test_where_the_directory_gives_its_group_that_is_the_objects(init: Path, host: Path) -> None:
    os.chown(host, 0, 1234)
    host.chmod(0o2755)
    (host / "directory").mkdir(mode=0o755)
    (host / "file").write_text("")
    (host / "other").mkdir()
    os.chown(host / "other", 0, 0)
    op = {"gid": 0, **UNKNOWN}
    modes = {"directory": stat.S_IFDIR | 0o755, "file": stat.S_IFREG | 0o644, "other": stat.S_IFDIR | 0o755}
    drive(init, ops(*(made(host, name, mode=mode, **op) for name, mode in modes.items()))).check()
    assert os.listdir(host) == ["other"]


def test_nothing_is_followed_on_the_way(init: Path, host: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)
    (host / "link").symlink_to(outside)
    op = ("remove", str(host), "link/inner", *made(outside, "inner")[3:])
    up = ("remove", str(host), "../outside/inner", *made(outside, "inner")[3:])
    drive(init, ops(op, up)).check()
    assert (outside / "inner").is_dir()


def test_what_is_gone_is_fine_and_stops_nothing(init: Path, host: Path) -> None:
    (host / "here").mkdir()
    gone = [("remove", str(host), path, stat.S_IFDIR, 0, 0, 1, 1, 0) for path in ("not", "not/there", "here/not")]
    nowhere = ("remove", str(host / "not"), "there", stat.S_IFDIR, 0, 0, 1, 1, 0)
    outcome = drive(init, ops(*gone, nowhere, made(host, "here"))).check()
    assert outcome.details(WARNING) == []
    assert os.listdir(host) == []


def test_what_cannot_be_removed_is_told(init: Path, host: Path) -> None:
    (host / "stays").mkdir()
    (host / "goes").mkdir()
    run("chattr", "+i", host / "stays", status=None)
    try:
        outcome = drive(init, ops(made(host, "stays"), made(host, "goes"))).check()
    finally:
        run("chattr", "-i", host / "stays", status=None)
    if (host / "stays").exists():
        assert outcome.details(WARNING) == [f"cannot remove {host}/stays: operation not permitted"]
    assert not (host / "goes").exists()


# The runtime's end


def test_before_the_clone_it_is_killed_with_the_runtime(testing: Path, tmp_path: Path) -> None:
    """The one who drives it is a process of its own here, and is killed while an op runs."""
    os.mkfifo(tmp_path / "fifo")
    script = f"""\
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.native.driver import drive, ops, STOPPED
def answer(message, outcome):
    print(outcome.pid, flush=True)
    return True
drive({str(testing)!r}, ops(("umask", 0), ("open", 8, {str(tmp_path / "fifo")!r}, 0)), "stop=1", answer=answer)
"""
    driver = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert driver.stdout is not None
    pid = int(driver.stdout.readline())
    pidfd = os.pidfd_open(pid)
    try:
        # It is told to go on, and hangs in open(2) of a FIFO without a writer.
        until_blocked(pid)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        assert ended(pidfd)
    finally:
        os.close(pidfd)
        driver.stdout.close()


def until_blocked(pid: int) -> None:
    deadline = time.monotonic() + 60
    openat = {"x86_64": "257", "aarch64": "56"}[platform.machine()]
    while Path(f"/proc/{pid}/syscall").read_text().split()[0] != openat:
        assert time.monotonic() < deadline


def ended(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 60)[0])
