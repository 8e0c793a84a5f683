"""Whatever stands in a hostile rootfs, a path of the plan ends inside of it, and nothing outside changes.

A canary tree beside the rootfs is compared before and after every test.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from pyrunc.plan.ops import (
    CREATE_DIR,
    CREATE_FILE,
    CREATE_LIKE,
    CREATE_NOTHING,
    TARGET_ALLOW_PROC,
    TARGET_NO_SYMLINKS,
    TARGET_OPTIONAL,
)
from tests.native.driver import (
    CLONE_NEWNS,
    CREATED,
    MS_PRIVATE,
    MS_REC,
    O_DIRECTORY,
    O_PATH,
    OPEN_TREE_CLONE,
    STOPPED,
    Message,
    Outcome,
    drive,
    ops,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyrunc.plan.ops import Op
    from tests.support.canary import Canary

S_IFIFO = 0o010000


@pytest.fixture
def rootfs(tmp_path: Path, canary: Canary) -> Path:
    path = tmp_path / "rootfs"
    path.mkdir()
    return path


def below(rootfs: Path, *listed: tuple[object, ...]) -> list[Op]:
    return ops(("open", 0, str(rootfs), O_PATH | O_DIRECTORY), ("open_proc", 1), *listed)


def target(path: str, create: int, flags: int = 0, like: int = -1, slot: int = 8) -> tuple[object, ...]:
    return ("target", slot, path, create, 0o751, flags, like)


#: What creates something at a path, by what it must be afterwards.
MAKERS: dict[str, Callable[[str], tuple[object, ...]]] = {
    "directory": lambda path: target(path, CREATE_DIR),
    "file": lambda path: target(path, CREATE_FILE),
    "mkdir": lambda path: ("mkdir", path, 0o700, os.getuid(), os.getgid()),
    "mknod": lambda path: ("mknod", path, S_IFIFO | 0o600, 0, 0, os.getuid(), os.getgid()),
    "symlink": lambda path: ("symlink", path, "somewhere"),
    "make_cwd": lambda path: ("make_cwd", path),
}
FOLLOWS = {"directory", "file", "make_cwd"}  # the last component, too

#: What an attacker puts there; {canary} is its absolute path.
LINKS = {
    "absolute": "{canary}",
    "absolute to nothing": "{canary}/new",
    "relative": "../../../../../../../../../..{canary}",
    "relative to nothing": "../../../../../../../../../..{canary}/new",
    "dots": "../../..",
    "beside": "../canary/directory",
    "procfs": "/proc/self/root{canary}",
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("link", LINKS)
def test_a_symlink_at_any_component_stays_inside(
    init: Path, rootfs: Path, canary: Canary, maker: str, position: int, link: str
) -> None:
    parts = ["a", "b", "c"]
    at = rootfs.joinpath(*parts[: position + 1])
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(LINKS[link].format(canary=canary.path))
    outcome = drive(init, below(rootfs, MAKERS[maker]("/a/b/c")))
    if position == 2 and maker not in FOLLOWS:
        # These name the link itself: it is kept, or in the way.
        if maker == "symlink":
            outcome.check()
        else:
            outcome.failed(errno.EEXIST)
        assert at.is_symlink()
    elif position == 2 and maker == "file" and link == "dots":
        outcome.failed(errno.EISDIR)
    else:
        outcome.check()
    for detail in outcome.details(CREATED):
        slot, device, inode, _, path = detail.split(" ", 4)
        assert slot == "0"
        info = (rootfs / path).lstat()
        assert (info.st_dev, info.st_ino) == (int(device), int(inode))
        assert (rootfs / path).parent.resolve() == (rootfs / path).parent, "the path goes through no symlink"


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_a_loop_of_symlinks_is_ELOOP(init: Path, rootfs: Path, maker: str, hops: int) -> None:  # noqa: N802
    for hop in range(hops):
        (rootfs / f"loop{hop}").symlink_to(f"loop{(hop + 1) % hops}")
    drive(init, below(rootfs, MAKERS[maker]("/loop0/x"))).failed(errno.ELOOP)


def test_forty_symlinks_are_followed_and_forty_one_are_not(init: Path, rootfs: Path) -> None:
    for hop in range(41):
        (rootfs / f"l{hop}").symlink_to(f"l{hop + 1}" if hop < 40 else "end")
    drive(init, below(rootfs, target("/l1", CREATE_DIR))).check()
    assert (rootfs / "end").is_dir()
    (rootfs / "end").rmdir()
    drive(init, below(rootfs, target("/l0", CREATE_DIR))).failed(errno.ELOOP)
    assert not (rootfs / "end").exists()


@pytest.mark.parametrize("path", ["/../../x/y", "../../x/y", "/a/../../../x/y", "x//y/", "./x/./y", "//x/y//"])
def test_dots_and_slashes_end_inside(init: Path, rootfs: Path, path: str) -> None:
    for _ in range(2):  # the second time it exists
        drive(init, below(rootfs, target(path, CREATE_DIR))).check()
    assert (rootfs / "x" / "y").is_dir()


def test_a_chain_of_dangling_symlinks_is_created_where_it_leads(init: Path, rootfs: Path) -> None:
    (rootfs / "etc").mkdir()
    (rootfs / "etc" / "resolv.conf").symlink_to("../run/one/stub")
    (rootfs / "run").symlink_to("/var/run")
    outcome = drive(init, below(rootfs, target("/etc/resolv.conf", CREATE_FILE))).check()
    assert (rootfs / "var/run/one/stub").is_file()
    assert (rootfs / "var/run/one/stub").stat().st_mode & 0o7777 == 0o751
    assert (rootfs / "var/run/one").stat().st_mode & 0o7777 == 0o755
    made = [detail.split(" ", 4)[4] for detail in outcome.details(CREATED)]
    assert made == ["var", "var/run", "var/run/one", "var/run/one/stub"]


#: 0o777 needs root: the sanitizers' own files need a mode.
@pytest.mark.parametrize("umask", [0, 0o077, pytest.param(0o777, marks=pytest.mark.needs("root"))])
def test_modes_are_exact_whatever_the_umask(init: Path, rootfs: Path, umask: int) -> None:
    program = below(
        rootfs,
        ("umask", umask),
        ("mkdir", "/d", 0o1777, os.getuid(), os.getgid()),
        ("mkdir", "/e", 0o2775, os.getuid(), os.getgid()),
        target("/f", CREATE_FILE),
    )
    drive(init, program).check()
    assert [(rootfs / name).stat().st_mode & 0o7777 for name in "def"] == [0o1777, 0o2775, 0o751]


@pytest.mark.parametrize(
    ("existing", "create", "error"),
    [
        ("file", CREATE_DIR, errno.ENOTDIR),
        ("directory", CREATE_FILE, errno.EISDIR),
        ("fifo", CREATE_DIR, errno.ENOTDIR),
        ("file", CREATE_FILE, 0),
        ("fifo", CREATE_FILE, 0),
        ("directory", CREATE_DIR, 0),
        ("file", CREATE_NOTHING, 0),
        ("nothing", CREATE_NOTHING, errno.ENOENT),
    ],
)
@pytest.mark.parametrize("through_link", [False, True])
def test_what_exists_must_be_of_the_wanted_kind(
    init: Path, rootfs: Path, existing: str, create: int, error: int, through_link: bool
) -> None:
    place = rootfs / "real" if through_link else rootfs / "place"
    if existing == "directory":
        place.mkdir()
    elif existing == "file":
        place.touch()
    elif existing == "fifo":
        os.mkfifo(place)
    if through_link:
        (rootfs / "place").symlink_to("/real")
    outcome = drive(init, below(rootfs, target("/place", create)))
    if error:
        assert outcome.failed(error, 2) == "target /place"
    else:
        outcome.check()
    assert not outcome.details(CREATED)


def test_a_file_on_the_way_is_ENOTDIR(init: Path, rootfs: Path) -> None:  # noqa: N802
    (rootfs / "file").touch()
    for maker in MAKERS.values():
        drive(init, below(rootfs, maker("/file/x"))).failed(errno.ENOTDIR)


def test_like_creates_the_kind_that_the_other_slot_holds(init: Path, rootfs: Path, canary: Canary) -> None:
    program = below(
        rootfs,
        ("open", 9, str(canary.path / "secret"), O_PATH),
        target("/file", CREATE_LIKE, like=9),
        ("open", 9, str(canary.path), O_PATH),
        target("/dir", CREATE_LIKE, like=9),
    )
    drive(init, program).check()
    assert (rootfs / "file").is_file()
    assert (rootfs / "dir").is_dir()


@pytest.mark.parametrize("path", ["/link", "/link/x", "/d/link/x"])
@pytest.mark.parametrize("to", ["/d", "/nothing"])
def test_NO_SYMLINKS_refuses_every_symlink(init: Path, rootfs: Path, path: str, to: str) -> None:  # noqa: N802
    (rootfs / "d").mkdir()
    (rootfs / "link").symlink_to(to)
    (rootfs / "d" / "link").symlink_to(to)
    drive(init, below(rootfs, target(path, CREATE_DIR, TARGET_NO_SYMLINKS))).failed(errno.ELOOP)
    assert sorted(os.listdir(rootfs)) == ["d", "link"]


def test_an_optional_target_that_is_absent_makes_the_ops_on_it_do_nothing(init: Path, rootfs: Path) -> None:
    (rootfs / "file").touch()
    for path in ("/absent", "/absent/x", "/file/x"):
        program = below(
            rootfs,
            target(path, CREATE_NOTHING, TARGET_OPTIONAL),
            ("clone_mount", 9, 8, 0),
            ("mount_attr", 9, 1, 0, 0, 0, -1),
            target("/made", CREATE_LIKE, like=9, slot=10),
            ("fsmount", 11, "tmpfs", "tmpfs", (), 0, 10),
            ("copy_up", 8, 11),
            ("remount", 8, 0, ""),
            ("legacy_mount", 8, "tmpfs", "tmpfs", 0, ""),
            ("attach", 9, 10),
            ("attach", 9, 8),
        )
        drive(init, program).check()
    assert os.listdir(rootfs) == ["file"]


def test_a_slot_that_was_never_filled_is_no_absent_one(init: Path, rootfs: Path) -> None:
    assert "nothing in slot" in drive(init, below(rootfs, ("attach", 9, 10))).failed(errno.EBADF)


@pytest.mark.needs("root")
class TestProc:
    """Targets on a procfs: labels, masks and sysctls must not be led astray."""

    def program(self, rootfs: Path, *last: tuple[object, ...]) -> list[Op]:
        return below(
            rootfs,
            ("unshare", CLONE_NEWNS),
            ("propagation", "/", MS_REC | MS_PRIVATE),
            ("open_tree", 0, str(rootfs), OPEN_TREE_CLONE),
            ("attach_root", 0, str(rootfs)),
            target("/proc", CREATE_DIR, TARGET_NO_SYMLINKS),
            ("fsmount", 9, "proc", "proc", (), 0, -1),
            ("attach", 9, 8),
            *last,
        )

    @pytest.mark.parametrize("path", ["/proc/self/attr", "/proc/sys", "/proc/cpuinfo", "/x", "/y/attr", "/proc"])
    def test_is_refused(self, init: Path, rootfs: Path, path: str) -> None:
        (rootfs / "x").symlink_to("/proc/sys")
        (rootfs / "y").symlink_to("proc/self")
        drive(init, self.program(rootfs, target(path, CREATE_NOTHING))).failed(errno.EPERM)

    def test_may_be_an_allowed_file_or_the_whole_of_it(self, init: Path, rootfs: Path) -> None:
        program = self.program(
            rootfs,
            target("/proc/cpuinfo", CREATE_NOTHING, TARGET_ALLOW_PROC),
            target("/proc", CREATE_DIR, TARGET_NO_SYMLINKS),
        )
        drive(init, program).check()

    def test_never_goes_through_a_magic_link(self, init: Path, rootfs: Path) -> None:
        (rootfs / "cwd").symlink_to("/proc/self/cwd")
        for path in ("/proc/self/root/etc", "/proc/self/cwd/x", "/cwd/x", "/proc/self/fd/200"):
            program = self.program(rootfs, target(path, CREATE_DIR, TARGET_ALLOW_PROC))
            drive(init, program).failed(errno.ELOOP)


@pytest.mark.needs("root")
@pytest.mark.parametrize("swap", ["directory", "parent"])
def test_a_mount_point_that_is_swapped_for_a_symlink_is_not_mounted_through(
    init: Path, rootfs: Path, canary: Canary, swap: str
) -> None:
    (rootfs / "parent" / "directory").mkdir(parents=True)
    victim = rootfs / "parent" if swap == "parent" else rootfs / "parent" / "directory"
    seen: list[str] = []

    def answer(message: Message, outcome: Outcome) -> bool:
        if message.kind == STOPPED and not seen:
            victim.rename(rootfs / "moved")
            victim.symlink_to(canary.path)
        if message.kind == STOPPED:
            with open(f"/proc/{outcome.pid}/mountinfo", errors="surrogateescape") as table:
                seen.append(table.read())
        return True

    program = below(
        rootfs,
        ("unshare", CLONE_NEWNS),
        ("propagation", "/", MS_REC | MS_PRIVATE),
        ("open_tree", 0, str(rootfs), OPEN_TREE_CLONE),
        ("attach_root", 0, str(rootfs)),
        target("/parent/directory", CREATE_DIR),
        ("fsmount", 9, "tmpfs", "canary-trap", (), 0, -1),
        ("attach", 9, 8),
        ("mkdir", "/parent/directory/made", 0o700, 0, 0),
    )
    outcome = drive(init, program, "stop=8", "stop=9", answer=answer)
    place = next(line.split()[4] for line in seen[1].splitlines() if "canary-trap" in line)
    assert place == str(rootfs / ("moved/directory" if swap == "parent" else "moved"))
    outcome.check()  # the path is resolved anew, and the symlink leads to a place inside
    assert str(canary.path).lstrip("/") in outcome.details(CREATED)[-1]


RACE_LOST = (errno.ELOOP, errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EAGAIN, errno.EISDIR)


def test_a_rootfs_that_changes_all_the_time_lets_nothing_out(init: Path, rootfs: Path, canary: Canary) -> None:
    """No sync point can stop between two system calls of one op, so this one races."""
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    (rootfs / "a").mkdir()
    (rootfs / "b").symlink_to(canary.path)
    (rootfs / "c").symlink_to("../../canary")
    ends = threading.Event()

    def swap() -> None:
        while not ends.is_set():
            for other in (b"b", b"c"):
                for _ in range(2):
                    renameat2(-100, bytes(rootfs) + b"/a", -100, bytes(rootfs) + b"/" + other, 2)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for turn in range(8):
            for maker in MAKERS.values():
                made = maker(f"/a/{turn}/x")
                failure = drive(init, below(rootfs, made, made)).failure
                assert failure is None or failure.errno in RACE_LOST, failure
    finally:
        ends.set()
        thread.join()


def test_a_path_that_is_too_long_is_ENAMETOOLONG(init: Path, rootfs: Path) -> None:  # noqa: N802
    for path in ("/" + "x" * 256, "/x" * 2049, "/x" * 3000):
        for maker in MAKERS.values():
            drive(init, below(rootfs, maker(path))).failed(errno.ENAMETOOLONG)
