"""Layers that a program has filled to harm whoever reads them."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import stat
import subprocess
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import HostError
from pyrunc.host.layers import xattrs
from pyrunc.host.layers.overlay import PATH_LIMIT
from pyrunc.host.layers.remove import remove
from pyrunc.host.layers.trail import Trail
from pyrunc.runtime.diff import diff
from tests.root.layered import DEEP, Layered, call, names
from tests.unit.host.layers import trees

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.needs("root", "overlay", "cap_mknod")


def test_nothing_in_a_layer_leads_out_of_it(box: Layered, lower: Path, tmp_path: Path, target: Path) -> None:
    merged = Path(box.overlay(lower))
    (merged / "shadow").symlink_to("/etc/shadow")
    trees.remove(str(merged / "d"))
    (merged / "d").symlink_to("/etc")
    (merged / "up").symlink_to("../../../..")
    assert box.diff() == [("/d", "C"), ("/shadow", "A"), ("/up", "A")]
    box.commit(tmp_path / "layer.tar")
    with tarfile.open(tmp_path / "layer.tar") as opened:
        assert {member.name: member.linkname for member in opened} == {
            "d": "/etc",
            "shadow": "/etc/shadow",
            "up": "../../../..",
        }
    box.commit(target)
    assert os.readlink(target / "d") == "/etc"
    assert os.readlink(target / "shadow") == "/etc/shadow"


def test_fifos_and_devices_are_never_opened(box: Layered, tmp_path: Path, target: Path) -> None:
    """An open of the FIFO would hang; one of a device of no driver would fail."""
    work = Path(box.workspace("/work"))
    os.mkfifo(work / "fifo")
    os.mknod(work / "device", stat.S_IFBLK | 0o600, os.makedev(4000, 77))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(work / "socket"))
    assert [path for path, _ in box.diff()] == ["/work/device", "/work/fifo", "/work/socket"]
    box.commit(tmp_path / "layer.tar", "/work")
    assert names(tmp_path / "layer.tar") == ["device", "fifo"]
    box.commit(target, "/work")
    kinds = [stat.S_IFMT((target / name).lstat().st_mode) for name in ("device", "fifo", "socket")]
    assert kinds == [stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]


def test_a_tree_of_ten_thousand_levels_is_walked_written_applied_and_removed(
    box: Layered, lower: Path, tmp_path: Path
) -> None:
    """A comb: at every level there is something to tell after the walk has come back."""
    merged = box.overlay(lower)
    with Trail(os.open(merged, os.O_RDONLY)) as trail:
        for _ in range(DEEP):
            os.mkdir("d1", dir_fd=trail.fd)
            os.mkdir("e1", dir_fd=trail.fd)
            trail.enter("d1")
    named = PATH_LIMIT // len("/d1")
    warnings: list[str] = []
    found = diff(str(box.root), "box", warn=warnings.append)
    assert len(found) == 2 * named
    assert {change.kind for change in found} == {"A"}
    assert max(len(change.path) for change in found) == 3 * named
    assert len(warnings) == 1
    assert warnings[0].startswith("/d1" * named + ": ")
    box.commit(tmp_path / "layer.tar")
    assert box.warnings == warnings
    with tarfile.open(tmp_path / "layer.tar") as opened:
        assert sum(1 for _ in opened) == 2 * named
    made = str(tmp_path / "made") + "/"
    box.commit(made)
    with Trail(os.open(made, os.O_RDONLY)) as trail:
        for _ in range(DEEP):
            trail.enter("d1")
        assert os.listdir(trail.fd) == []
        for _ in range(DEEP):
            trail.leave()
            assert sorted(os.listdir(trail.fd)) == ["d1", "e1"]
        for name in ("d1", "e1"):
            remove(trail.fd, name)
    assert os.listdir(made) == []
    layer = os.open(merged, os.O_RDONLY)
    try:
        remove(layer, "d1")
    finally:
        os.close(layer)


def test_a_path_that_nobody_can_say_is_told_once_by_its_directory(box: Layered, tmp_path: Path) -> None:
    """The limit is exact, and counts bytes."""
    work = box.workspace("/work")
    name = "\u00e4" * 127 + "x"
    with Trail(os.open(work, os.O_RDONLY)) as trail:
        for _ in range(15):
            os.mkdir(name, dir_fd=trail.fd)
            trail.enter(name)
        left = PATH_LIMIT - len("/work") - 15 * 256 - 1
        for last in ("x" * left, "y" * (left + 1), "z" * (left + 1)):
            os.mkdir(last, dir_fd=trail.fd)
            os.close(os.open(f"{last}/in", os.O_CREAT, dir_fd=trail.fd))
    warnings: list[str] = []
    found = [change.path for change in diff(str(box.root), "box", warn=warnings.append)]
    assert len(found) == 16
    assert len(os.fsencode(found[-1])) == PATH_LIMIT
    assert sorted(warning.partition(": ")[0] for warning in warnings) == found[-2:]
    box.commit(tmp_path / "layer.tar")
    assert len(names(tmp_path / "layer.tar")) == 1 + 16
    box.commit(f"{tmp_path}/made/")
    with Trail(os.open(tmp_path / "made/work", os.O_RDONLY)) as trail:
        for _ in range(15):
            trail.enter(name)
        assert len(os.listdir(trail.fd)) == 3


def test_what_is_put_on_a_mount_point_that_was_uncovered_is_told(box: Layered, lower: Path, tmp_path: Path) -> None:
    root = Path(box.overlay(lower))
    (root / "work").mkdir()
    box.made = ["/work"]
    box.workspace("/work")
    assert box.diff() == []
    (root / "work/hidden").touch()
    assert box.diff() == [("/work", "A"), ("/work/hidden", "A")]
    box.commit(tmp_path / "layer.tar", "/")
    assert names(tmp_path / "layer.tar") == ["work/", "work/hidden"]


def test_a_mebibyte_of_attributes_is_too_many(box: Layered, tmp_path: Path) -> None:
    work = Path(box.workspace("/work"))
    (work / "file").touch()
    for number in range(17):
        os.setxattr(work / "file", f"trusted.large{number}", bytes(65536))
    box.commit(tmp_path / "layer.tar")
    box.commit(f"{tmp_path}/made/")
    assert box.warnings == ["/work/file: extended attributes left out: they are too many"] * 2
    assert xattrs.read(str(work / "file")) is None


def test_names_that_are_no_text_are_kept_byte_for_byte(box: Layered, tmp_path: Path, target: Path) -> None:
    work = os.fsencode(box.workspace("/work"))
    odd = [b"\xff\xfe", b"new\nline", b"tab\t", b"\xc3(", "ä".encode(), b"-rf", b"a b", b"x" * 255, b"%s"]
    for name in odd:
        Path(os.fsdecode(work + b"/" + name)).write_bytes(name)
    assert sorted(os.fsencode(path) for path, _ in box.diff()) == sorted(b"/work/" + name for name in odd)
    box.commit(tmp_path / "layer.tar", "/work")
    listed = subprocess.run(
        ["tar", "--null", "--quoting-style=literal", "-tf", tmp_path / "layer.tar"], capture_output=True, check=True
    ).stdout
    assert sorted(listed.rstrip(b"\n")) == sorted(b"\n".join(odd))
    box.commit(target, "/work")
    for name in odd:
        assert Path(os.fsdecode(os.fsencode(target) + b"/" + name)).read_bytes() == name


def test_an_archive_of_a_container_that_is_busy_is_whole(box: Layered, tmp_path: Path) -> None:
    """Files grow, shrink, vanish and turn into something else while they are read."""
    work = Path(box.workspace("/work"))
    ended = threading.Event()

    def churn() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            path = work / f"{number % 40:03}"
            trees.remove(str(path))
            if number % 3:
                path.write_bytes(b"x" * (number % 7) * 300_000)
                os.truncate(path, number % 5 * 200_000)
            elif number % 2:
                (path / "a/b").mkdir(parents=True)
            else:
                path.symlink_to("/etc/shadow")

    worker = threading.Thread(target=churn)
    worker.start()
    try:
        for _ in range(30):
            box.diff()
            box.commit(tmp_path / "layer.tar", "/work")
            call("tar", "-tf", tmp_path / "layer.tar")
            with tarfile.open(tmp_path / "layer.tar") as opened:
                for member in opened:
                    assert re.fullmatch(r"\d{3}(/a(/b)?)?", member.name)
            trees.remove(str(tmp_path / "out"))
            box.commit(f"{tmp_path}/out/", "/work")
    finally:
        ended.set()
        worker.join()
    assert box.leftovers(tmp_path / "out") == []


def test_a_lease_does_not_keep_anybody_waiting(box: Layered, tmp_path: Path) -> None:
    work = Path(box.workspace("/work"))
    (work / "file").write_text("x")
    told = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with (work / "file").open("r+") as held:
            fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            with pytest.raises(HostError, match=r"/work/file: .* lease .*stop the container"):
                box.commit(tmp_path / "layer.tar")
            fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        signal.signal(signal.SIGIO, told)
    assert not (tmp_path / "layer.tar").exists()
