"""The ops behind private state: overlays over a directory of the host, copies of its files, and what was made."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from tests.native.driver import (
    LAYER,
    O_DIRECTORY,
    O_PATH,
    OPEN_TREE_CLONE,
    STOPPED,
    Message,
    Outcome,
    drive,
    ops,
    own_mounts,
    shell,
)

pytestmark = pytest.mark.needs("root")

LOWER, LAYER_SLOT, PLACE, OVER = 8, 9, 10, 11
NOSUID, NODEV, NOEXEC = 2, 4, 8
OPTIONS = ("source=overlay", "redirect_dir=off", "metacopy=off", "index=off")


def overlay(lower: Path, place: Path, *, attrs: int = 0) -> tuple[tuple[object, ...], ...]:
    """An overlay of ``lower`` at ``place``, in a mount namespace of its own."""
    return (
        *own_mounts(),
        ("open", LOWER, str(lower), O_PATH | O_DIRECTORY),
        ("fsmount", LAYER_SLOT, "tmpfs", "tmpfs", ("mode=0700",), 0, -1),
        ("overlay", OVER, LOWER, LAYER_SLOT, OPTIONS, attrs),
        ("open", PLACE, str(place), O_PATH | O_DIRECTORY),
        ("attach", OVER, PLACE),
    )


def run(script: str) -> tuple[tuple[object, ...], ...]:
    return shell(script, "PATH=/usr/bin:/bin")


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    path = tmp_path / "lower"
    path.mkdir(mode=0o751)
    path.chmod(0o751)
    (path / "file").write_text("below\n")
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "place"
    path.mkdir()
    return path


# overlay


@pytest.mark.needs("overlay")
def test_an_overlay_takes_all_writes(init: Path, lower: Path, place: Path) -> None:
    script = f"cd {place}; echo over >file; echo new >new; cat file; ls; stat -c %a ."
    outcome = drive(init, ops(*overlay(lower, place), *run(script))).check()
    assert outcome.stdout == "over\nfile\nnew\n751\n"
    assert os.listdir(lower) == ["file"]
    assert (lower / "file").read_text() == "below\n"
    assert os.listdir(place) == []


@pytest.mark.needs("overlay")
def test_the_upper_directory_is_like_the_lower_one(init: Path, lower: Path, place: Path) -> None:
    os.setxattr(lower, "user.note", b"a note")
    os.setxattr(lower, "trusted.overlay.opaque", b"y")
    os.chown(lower, 7, 8)
    os.utime(lower, ns=(10**18, 10**18 + 5))
    program = overlay(lower, place)
    seen: list[os.stat_result] = []

    def look(message: Message, outcome: Outcome) -> bool:
        if message.kind == STOPPED:
            root = f"/proc/{outcome.pid}/root{place}"
            seen.append(os.stat(root))
            assert os.listxattr(root) == ["user.note"], "what another overlay has noted is not this one's"
        return True

    drive(init, ops(*program, ("umask", 0)), f"stop={len(program)}", answer=look).check()
    (info,) = seen
    assert (info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns) == (
        lower.stat().st_mode, 7, 8, 10**18 + 5,
    )  # fmt: skip


@pytest.mark.needs("overlay")
def test_an_overlay_forbids_what_the_mount_below_forbids(init: Path, lower: Path, place: Path) -> None:
    program = (
        *own_mounts(),
        ("open_tree", LOWER, str(lower), OPEN_TREE_CLONE),
        ("mount_attr", LOWER, NOSUID | NODEV, 0, 0, 0, -1),
        ("open", PLACE, str(lower), O_PATH | O_DIRECTORY),
        ("attach", LOWER, PLACE),
        ("open", LOWER, str(lower), O_PATH | O_DIRECTORY),
        *overlay(lower, place, attrs=NOEXEC)[4:],
        *run(f"grep {place} /proc/self/mountinfo"),
    )
    fields = drive(init, ops(*program)).check().stdout.split()
    assert fields[5].split(",")[:4] == ["rw", "nosuid", "nodev", "noexec"]


@pytest.mark.needs("overlay")
def test_a_file_system_that_cannot_be_below_is_named(init: Path, place: Path, tmp_path: Path) -> None:
    detail = drive(init, ops(*overlay(Path("/proc/fs"), place))).failed(errno.EINVAL, 5)
    assert detail.startswith("overlay over /proc/fs")


@pytest.mark.needs("overlay")
def test_a_layer_that_takes_no_notes_of_an_overlay_in_a_user_namespace_is_refused(init: Path, lower: Path) -> None:
    # As a tmpfs before Linux 6.6.
    program = (
        *own_mounts(),
        ("open", LOWER, str(lower), O_PATH | O_DIRECTORY),
        ("fsmount", LAYER_SLOT, "ramfs", "ramfs", (), 0, -1),
        ("overlay", OVER, LOWER, LAYER_SLOT, ("source=overlay", "userxattr"), 0),
    )
    outcome = drive(init, ops(*program))
    assert outcome.failed(errno.EOPNOTSUPP) == "keep user.* attributes on a tmpfs, as an overlay must"


def test_an_option_that_the_overlay_does_not_know_is_named(init: Path, lower: Path, place: Path) -> None:
    program = [list(op) for op in overlay(lower, place)]
    program[5][4] = ("nonsense=1",)
    assert "nonsense=1" in drive(init, ops(*map(tuple, program))).failed(errno.EINVAL, 5)


def test_a_layer_is_handed_over(init: Path) -> None:
    seen = []

    def look(message: Message, _: Outcome) -> bool:
        if message.kind == LAYER:
            found = os.statvfs(f"/proc/self/fd/{message.fds[0]}")
            seen.append((message.value, len(message.fds), found.f_blocks * found.f_frsize))
        return True

    program = ops(("fsmount", 8, "tmpfs", "tmpfs", ("size=1m",), 0, -1), ("pass_layer", 5, 8), ("umask", 0))
    drive(init, program, answer=look).check()
    assert seen == [(5, 1, 1 << 20)]


# copy_file


def copy(source: Path, path: Path) -> tuple[tuple[object, ...], ...]:
    return (*own_mounts(), ("copy_file", 8, str(source), str(path)))


def test_a_copy_has_all_that_belongs_to_the_file(init: Path, lower: Path, tmp_path: Path) -> None:
    os.chown(lower / "file", 7, 8)
    (lower / "file").chmod(0o4711)
    os.setxattr(lower / "file", "user.note", b"a note")
    os.setxattr(lower / "file", "user.empty", b"")
    os.setxattr(lower / "file", "user.overlay.opaque", b"y")
    os.utime(lower / "file", ns=(10**18, 10**18 + 5))
    drive(init, ops(*copy(lower / "file", tmp_path / "copy"))).check()
    info = (tmp_path / "copy").stat()
    assert (info.st_mode, info.st_uid, info.st_gid) == (stat.S_IFREG | 0o4711, 7, 8)
    assert info.st_mtime_ns == 10**18 + 5
    assert (tmp_path / "copy").read_text() == "below\n"
    assert sorted(os.listxattr(tmp_path / "copy")) == ["user.empty", "user.note"]


@pytest.mark.parametrize("data", [[], [0], [5], [0, 3, 4], [1, 1000]])
@pytest.mark.parametrize("end", [0, 1, 5])
def test_a_copy_has_the_holes_of_the_file(init: Path, tmp_path: Path, data: list[int], end: int) -> None:
    size = max([part + 1 for part in data] or [0]) * 65536 + end * 65536
    with open(tmp_path / "sparse", "wb") as file:
        for part in data:
            file.seek(part * 65536)
            file.write(os.urandom(65536))
        file.truncate(size)
    drive(init, ops(*copy(tmp_path / "sparse", tmp_path / "copy"))).check()
    assert (tmp_path / "copy").stat().st_size == size
    assert (tmp_path / "copy").stat().st_blocks <= (tmp_path / "sparse").stat().st_blocks + 16
    with open(tmp_path / "sparse", "rb") as one, open(tmp_path / "copy", "rb") as two:
        while part_of_one := one.read(1 << 20):
            assert part_of_one == two.read(1 << 20)


def test_the_slot_holds_the_mount_of_the_copy_alone(init: Path, lower: Path, place: Path, tmp_path: Path) -> None:
    (place / "target").write_text("")
    program = (
        *copy(lower / "file", tmp_path / "copy"),
        ("open", 9, str(place / "target"), O_PATH),
        ("attach", 8, 9),
        *run(f"cat {place}/target; echo mine >{place}/target; grep {place} /proc/self/mountinfo"),
    )
    said = drive(init, ops(*program)).check().stdout.splitlines()
    assert said[0] == "below"
    assert said[1].split()[3].endswith("/copy")
    assert (lower / "file").read_text() == "below\n"
    assert (tmp_path / "copy").read_text() == "mine\n"


def test_what_is_no_regular_file_is_not_opened(init: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    detail = drive(init, ops(*copy(tmp_path / "fifo", tmp_path / "copy"))).failed(errno.EOPNOTSUPP)
    assert detail == f"{tmp_path}/fifo is no regular file"
    drive(init, ops(*copy(tmp_path, tmp_path / "copy"))).failed(errno.EISDIR)
    drive(init, ops(*copy(tmp_path / "nothing", tmp_path / "copy"))).failed(errno.ENOENT)
    assert not (tmp_path / "copy").exists()


def test_a_copy_replaces_nothing(init: Path, lower: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").symlink_to(tmp_path / "elsewhere")
    drive(init, ops(*copy(lower / "file", tmp_path / "copy"))).failed(errno.EEXIST)
    assert not (tmp_path / "elsewhere").exists()


def test_an_attribute_that_cannot_be_copied_is_named(init: Path, lower: Path, place: Path) -> None:
    os.setxattr(lower / "file", "user.note", b"a note")
    program = [
        *own_mounts(),
        ("fsmount", 8, "ramfs", "ramfs", (), 0, -1),  # has no extended attributes
        ("open", 9, str(place), O_PATH | O_DIRECTORY),
        ("attach", 8, 9),
        ("copy_file", 10, str(lower / "file"), str(place / "copy")),
    ]
    detail = drive(init, ops(*program)).failed(errno.EOPNOTSUPP)
    assert detail == f"copy the extended attribute user.note of {lower}/file"


@pytest.mark.parametrize("source", ["/proc/cpuinfo", "/proc/self/status", "/sys/kernel/profiling"])
def test_a_file_that_holds_another_amount_than_it_says_is_refused(init: Path, tmp_path: Path, source: str) -> None:
    assert drive(init, ops(*copy(Path(source), tmp_path / "copy"))).failed(errno.EINVAL) == source


def test_a_copy_of_a_file_that_changes_is_of_one_moment(testing: Path, tmp_path: Path) -> None:
    # Every write replaces all of it: two different bytes in one copy are a torn one.
    size = 1 << 18
    busy = tmp_path / "busy"
    busy.write_bytes(b"a" * size)
    stop = threading.Event()

    def write() -> None:
        with open(busy, "r+b", buffering=0) as file:
            number = 0
            while not stop.is_set():
                number += 1
                os.pwrite(file.fileno(), bytes([97 + number % 26]) * size, 0)
                stop.wait(number % 5 / 2000)

    writer = threading.Thread(target=write)
    writer.start()
    copied = 0
    try:
        for number in range(150):
            path = tmp_path / f"copy{number}"
            outcome = drive(testing, ops(("copy_file", 8, str(busy), str(path))))
            if outcome.failure is not None:
                assert outcome.failed(errno.EBUSY) == str(busy)
                continue
            copied += 1
            assert len(set(path.read_bytes())) == 1, "a torn copy"
            path.unlink()
    finally:
        stop.set()
        writer.join()
    assert copied > 10
