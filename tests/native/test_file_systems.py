"""Mounts and what is made in them, up to the rootfs as the root directory, and the terminal."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from pyrunc.plan.ops import CREATE_DIR, SLOT_PROC
from tests.native.driver import (
    CLONE_NEWNS,
    CLONED,
    CREATED,
    MS_PRIVATE,
    MS_REC,
    O_DIRECTORY,
    O_PATH,
    PATH,
    Message,
    Outcome,
    drive,
    ops,
    rooted,
    shell,
)
from tests.support import programs

if TYPE_CHECKING:
    from pathlib import Path


MOUNT_ATTR_RDONLY = 1


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    path = tmp_path / "rootfs"
    path.mkdir()
    return path


def test_proc_write_takes_no_symlink_and_no_mount(init: Path) -> None:
    base = (("open_proc", SLOT_PROC),)
    drive(init, ops(*base, ("proc_write", "self/comm", "renamed"))).check()
    drive(init, ops(*base, ("proc_write", "self/cwd/x", "x"))).failed(errno.ELOOP)
    drive(init, ops(*base, ("proc_write", "mounts", "x"))).failed(errno.ELOOP)
    drive(init, ops(*base, ("proc_write", "../etc/x", "x"))).failed(errno.EXDEV)


@pytest.mark.needs("root")
def test_proc_write_refuses_what_is_mounted_over(init: Path) -> None:
    program = (
        ("unshare", CLONE_NEWNS),
        ("propagation", "/", MS_REC | MS_PRIVATE),
        ("open_proc", SLOT_PROC),
        ("open", 8, "/proc/sys/kernel", O_PATH),
        ("fsmount", 9, "tmpfs", "x", (), 0, -1),
        ("attach", 9, 8),
        ("proc_write", "sys/kernel/x", "x"),
    )
    drive(init, ops(*program)).failed(errno.EXDEV)


@pytest.mark.needs("root")
def test_a_failed_file_system_says_why(init: Path, rootfs: Path) -> None:
    detail = drive(init, ops(("fsmount", 8, "tmpfs", "x", ("size=1x",), 0, -1))).failed(errno.EINVAL)
    assert detail.startswith("fsconfig size=1x for tmpfs: ")
    detail = drive(init, ops(("fsmount", 8, "no-such-fs", "x", (), 0, -1))).failed(errno.ENODEV)
    assert detail == "fsopen no-such-fs"


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("mode", "options", "wanted"),
    [(0o1777, (), 0o1777), (0o750, (), 0o750), (0, (), 0), (0o755, ("mode=700",), 0o700)],
)
def test_a_tmpfs_keeps_the_mode_of_what_it_covers(
    init: Path, rootfs: Path, mode: int, options: tuple[str, ...], wanted: int
) -> None:
    (rootfs / "d").mkdir()
    (rootfs / "d").chmod(mode)
    program = (
        *rooted(rootfs),
        ("target", 8, "/d", CREATE_DIR, 0o755, 0, -1),
        ("fsmount", 9, "tmpfs", "x", options, 0, 8),
        ("attach", 9, 8),
        ("find_executable", "stat", PATH),
        ("execve", ("stat", "-c", "%a", str(rootfs / "d")), ()),
    )
    assert drive(init, ops(*program)).check().stdout.strip() == f"{wanted:o}"


@pytest.mark.needs("root")
def test_copy_up_copies_everything_and_follows_nothing(init: Path, rootfs: Path, tmp_path: Path) -> None:
    source = rootfs / "d"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_bytes(os.urandom(300_000))
    (source / "sub" / "file").chmod(0o4751)
    os.chown(source / "sub" / "file", 12, 34)
    os.chmod(source / "sub" / "file", 0o4751)
    (source / "sub" / "absolute").symlink_to("/etc/passwd")
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "fifo", 0o600)
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (source / "sub").chmod(0o1733)
    for n in range(200):
        (source / f"{n}-{'x' * 60}").touch()
    program = (
        *rooted(rootfs),
        ("target", 8, "/d", CREATE_DIR, 0o755, 0, -1),
        ("fsmount", 9, "tmpfs", "x", (), 0, 8),
        ("copy_up", 8, 9),
        ("attach", 9, 8),
        ("find_executable", "cp", PATH),
        ("execve", ("cp", "-a", str(source), str(tmp_path / "copy")), ()),
    )
    drive(init, ops(*program)).check()

    def look(tree: Path) -> dict[str, tuple[object, ...]]:
        found: dict[str, tuple[object, ...]] = {}
        for path in tree.rglob("*"):
            info = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            to = str(path.readlink()) if path.is_symlink() else ""
            mtime = 0 if path.is_symlink() or not (path.is_file() or path.is_dir()) else info.st_mtime_ns
            owner = (info.st_uid, info.st_gid)
            found[str(path.relative_to(tree))] = (info.st_mode, owner, info.st_rdev, mtime, content, to)
        return found

    assert look(tmp_path / "copy") == look(source)


@pytest.mark.needs("root")
def test_copy_up_has_a_limit_of_depth(init: Path, rootfs: Path) -> None:
    (rootfs / "/".join("d" * 70)).mkdir(parents=True)
    program = (
        *rooted(rootfs),
        ("target", 8, "/d", CREATE_DIR, 0o755, 0, -1),
        ("fsmount", 9, "tmpfs", "x", (), 0, 8),
        ("copy_up", 8, 9),
    )
    assert drive(init, ops(*program)).failed(errno.ELOOP) == "directories too deep to copy"


@pytest.mark.needs("root")
def test_mask_and_readonly_path_hide_and_protect(init: Path, rootfs: Path) -> None:
    for name in ("dir", "dir2", "ro"):
        (rootfs / name).mkdir()
        (rootfs / name / "inside").touch()
    for name in ("file", "file2"):
        (rootfs / name).write_text("secret")
    program = (
        *rooted(rootfs),
        ("open_null", 2),
        ("fsmount", 3, "tmpfs", "mask", (), MOUNT_ATTR_RDONLY, -1),
        *(("mask", -1, f"/{name}") for name in ("dir", "file", "absent", "file/x", "dir2", "file2")),
        ("readonly_path", -1, "/ro"),
        ("readonly_path", -1, "/absent"),
        *shell(f"cd {rootfs}; ls -A dir dir2; cat file file2; touch ro/x || echo refused; touch dir/x || echo no"),
    )
    outcome = drive(init, ops(*program)).check()
    assert outcome.stdout.split() == ["dir:", "dir2:", "refused", "no"]
    assert (rootfs / "file").read_text() == "secret"


@pytest.mark.needs("root", "busybox")
@pytest.mark.parametrize("enter", [("pivot_root",), ("move_root", "{rootfs}"), ("chroot",)])
def test_the_rootfs_becomes_the_root(init: Path, rootfs: Path, enter: tuple[str, ...]) -> None:
    (rootfs / "bin").mkdir()
    shutil.copy2(programs.busybox() or "", rootfs / "bin" / "busybox")
    op = tuple(part.format(rootfs=rootfs) for part in enter)
    program = (
        *rooted(rootfs),
        op,
        ("make_cwd", "/work/here"),
        ("chdir", "/work/here", 0),
        ("find_executable", "busybox", ("/bin",)),
        ("execve", ("busybox", "sh", "-c", "pwd; ls /; ls /../.."), ()),
    )
    outcome = drive(init, ops(*program)).check()
    assert outcome.stdout.split() == ["/work/here", "bin", "work", "bin", "work"]
    assert [detail.split(" ", 4)[4] for detail in outcome.details(CREATED)] == ["work", "work/here"]


@pytest.mark.needs("root")
def test_chdir_to_what_is_outside_of_the_root_is_refused(init: Path, rootfs: Path) -> None:
    """A leaked descriptor of a host directory is no way out (CVE-2024-21626)."""
    (rootfs / "proc").mkdir()
    program = (
        *rooted(rootfs),
        ("target", 8, "/proc", CREATE_DIR, 0o755, 1, -1),
        ("fsmount", 9, "proc", "proc", (), 0, -1),
        ("attach", 9, 8),
        ("pivot_root",),
        ("chdir", "/proc/self/fd/150", 0),
    )
    outside = os.open("/etc", O_PATH | O_DIRECTORY)
    try:
        outcome = drive(init, ops(*program), "10=150", inherit={150: outside})
    finally:
        os.close(outside)
    assert "/proc/self/fd/150" in outcome.failed(errno.ENOENT, len(program) - 1)


@pytest.mark.needs("root")
def test_the_pty_is_made_from_its_master(init: Path, rootfs: Path) -> None:
    (rootfs / "dev").mkdir()
    sizes: list[os.terminal_size] = []

    def answer(message: Message, outcome: Outcome) -> bool:
        if message.fds and message.kind != CLONED:
            sizes.append(os.get_terminal_size(message.fds[0]))
        return True

    program = (
        *rooted(rootfs),
        ("clone", 0, -1),
        ("setsid",),
        ("target", 8, "/dev/pts", CREATE_DIR, 0o755, 0, -1),
        ("fsmount", 9, "devpts", "devpts", ("newinstance", "ptmxmode=0666", "mode=0620"), 0, -1),
        ("attach", 9, 8),
        ("open_pty", 24, 81, 1, 0),
        ("find_executable", "stat", PATH),
        ("execve", ("stat", "-c", "%t:%T", str(rootfs / "dev/console")), ()),
    )
    outcome = drive(init, ops(*program), answer=answer).check()
    assert sizes == [os.terminal_size((81, 24))]
    assert outcome.stdout.split() == ["88:0"]


@pytest.mark.needs("root")
def test_a_pty_without_a_devpts_is_refused(init: Path, rootfs: Path) -> None:
    (rootfs / "dev" / "pts").mkdir(parents=True)
    (rootfs / "dev" / "pts" / "ptmx").touch()
    assert "devpts" in drive(init, ops(*rooted(rootfs), ("open_pty", 0, 0, 1, 1))).failed(errno.ENODEV)
    (rootfs / "dev").rename(rootfs / "dev2")
    (rootfs / "dev").symlink_to("/dev2")
    drive(init, ops(*rooted(rootfs), ("open_pty", 0, 0, 1, 1))).failed(errno.ELOOP)


@pytest.mark.needs("root")
def test_copy_symlink_copies_a_link_and_binds_anything_else(init: Path, rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/some where")
    (tmp_path / "file").write_text("content")
    program = (
        *rooted(rootfs),
        ("copy_symlink", 8, str(tmp_path / "link"), "/a/link"),
        ("attach", 8, 9),
        ("copy_symlink", 8, str(tmp_path / "file"), "/file"),
        ("target", 9, "/file", 3, 0o644, 0, 8),
        ("attach", 8, 9),
        ("find_executable", "cat", PATH),
        ("execve", ("cat", str(rootfs / "file")), ()),
    )
    assert drive(init, ops(*program)).check().stdout == "content"
    assert (rootfs / "a" / "link").readlink().as_posix() == "/some where"


@pytest.mark.needs("root")
def test_a_mount_with_long_options_goes_the_old_way(init: Path, rootfs: Path) -> None:
    lower = [rootfs / f"{n}{'x' * 100}" for n in range(4)]
    for path in lower:
        path.mkdir()
        (path / path.name[:1]).touch()
    data = "lowerdir=" + ":".join(map(str, lower))
    assert len(data) > 400
    program = (
        *rooted(rootfs),
        ("target", 8, "/m", CREATE_DIR, 0o755, 0, -1),
        ("legacy_mount", 8, "overlay", "overlay", 0, data),
        ("find_executable", "ls", PATH),
        ("execve", ("ls", str(rootfs / "m")), ()),
    )
    assert drive(init, ops(*program)).check().stdout.split() == ["0", "1", "2", "3"]
