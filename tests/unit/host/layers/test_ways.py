"""Ways through trees that somebody else fills: deep ones, ones that move, and files that are something else."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.errors import HostError
from pyrunc.host.layers import content, marks, xattrs
from pyrunc.host.layers.place import Place
from pyrunc.host.layers.remove import remove
from pyrunc.host.layers.sink import Sink
from pyrunc.host.layers.trail import WINDOW, Trail

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH = 3 * WINDOW + 7


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A directory for what is too deep for the removal of temporary directories."""
    yield tmp_path
    fd = opened(tmp_path)
    try:
        for name in os.listdir(fd):
            remove(fd, name)
    finally:
        os.close(fd)


def deepen(directory: Path, levels: int, name: str = "d") -> None:
    """``levels`` directories in each other: more than a path may have."""
    with Trail(opened(directory)) as trail:
        for _ in range(levels):
            os.mkdir(name, dir_fd=trail.fd)
            trail.enter(name)


def test_a_trail_keeps_few_descriptors_and_finds_all_of_its_way_back(deep: Path) -> None:
    deepen(deep, DEPTH)
    before = descriptors()
    seen = []
    with Trail(opened(deep)) as trail:
        for _ in range(DEPTH):
            seen.append(os.fstat(trail.fd).st_ino)
            trail.enter("d")
        assert descriptors() - before <= WINDOW + 2
        while seen:
            trail.leave()
            assert os.fstat(trail.fd).st_ino == seen.pop()
            assert descriptors() - before <= WINDOW + 2
    assert descriptors() == before


def test_a_trail_does_not_go_on_in_a_directory_that_has_taken_the_place_of_another(deep: Path) -> None:
    deepen(deep, DEPTH)
    with Trail(opened(deep)) as trail:
        for _ in range(DEPTH):
            trail.enter("d")
        (deep / "d").rename(deep / "elsewhere")
        deepen(deep, DEPTH)
        for _ in range(WINDOW - 1):
            trail.leave()
            assert trail.fd >= 0
        trail.leave()
        with pytest.raises(OSError, match="d") as caught:
            _ = trail.fd
        assert caught.value.errno == errno.ESTALE


@pytest.mark.parametrize("kind", ["symlink", "file", "fifo"])
def test_a_trail_enters_directories_only(tmp_path: Path, kind: str) -> None:
    (tmp_path / "real").mkdir()
    if kind == "symlink":
        (tmp_path / "x").symlink_to("real")
    elif kind == "file":
        (tmp_path / "x").touch()
    else:
        os.mkfifo(tmp_path / "x")
    with Trail(opened(tmp_path)) as trail, pytest.raises(NotADirectoryError):
        trail.enter("x")


def test_remove_follows_no_symlink_and_no_depth_stops_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("still here")
    doomed = tmp_path / "doomed"
    (doomed / "a" / "b").mkdir(parents=True)
    (doomed / "a" / "link").symlink_to(kept)
    (doomed / "a" / "b" / os.fsdecode(b"\xff\n")).touch()
    os.mkfifo(doomed / "fifo")
    deepen(doomed, DEPTH)
    fd = opened(tmp_path)
    try:
        before = descriptors()
        remove(fd, "doomed")
        assert descriptors() == before
        assert sorted(os.listdir(tmp_path)) == ["kept"]
        assert (kept / "file").read_text() == "still here"
        (tmp_path / "link").symlink_to(kept)
        remove(fd, "link")
        remove(fd, "link")
        assert (kept / "file").exists()
    finally:
        os.close(fd)


def test_a_place_may_be_deeper_than_the_stack() -> None:
    place = Place()
    for _ in range(200_000):
        place = Place(place, "x")
    assert len(place.below("/work")) == 5 + 2 * 200_000
    assert Place(Place(), "a").below("/") == "/a"
    assert Place().below("/work") == "/work"
    del place


@pytest.mark.parametrize("kind", ["fifo", "socket", "symlink", "directory", "nothing"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_text("secret")
    path = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "symlink":
        path.symlink_to("secret")
    elif kind == "directory":
        path.mkdir()
    fd = opened(tmp_path)
    try:
        with pytest.raises(FileNotFoundError):
            content.open_regular(fd, "x")
    finally:
        os.close(fd)


def test_a_leased_file_is_an_error_and_no_wait(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("leased")
    told = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = opened(tmp_path)
    try:
        with (tmp_path / "x").open("r+") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            with pytest.raises(HostError, match="lease"):
                content.open_regular(fd, "x")
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, told)


@given(st.lists(st.tuples(st.integers(0, 40), st.binary(min_size=1, max_size=9000)), max_size=4), st.integers(0, 9))
def test_extents_cover_every_byte_that_is_not_null(writes: list[tuple[int, bytes]], more: int) -> None:
    fd = os.memfd_create("x")
    try:
        for page, data in writes:
            os.pwrite(fd, data, page * 4096)
        size = os.fstat(fd).st_size + more * 4096
        os.ftruncate(fd, size)
        whole = os.pread(fd, size, 0)
        rebuilt = bytearray(size)
        for start, end in content.extents(fd, size):
            rebuilt[start:end] = whole[start:end]
        assert rebuilt == whole
    finally:
        os.close(fd)


def test_an_exabyte_of_nothing_is_compared_at_once() -> None:
    one, other = os.memfd_create("one"), os.memfd_create("other")
    try:
        size = 1 << 60
        for fd in (one, other):
            os.ftruncate(fd, size)
        assert content.same(one, other, size)
        os.pwrite(other, b"x", size - 1)
        assert not content.same(one, other, size)
        assert not content.same(other, one, size)
    finally:
        os.close(one)
        os.close(other)


def test_marks_are_those_below_a_destination() -> None:
    found = marks.of_layer("/work", ["/", "/work", "/work/a/b", "/works"], ["/work/c", "/other"])
    assert set(found.below) == {"a", "c"}
    assert found.at("a").at("b").covered
    assert not found.at("a").covered
    assert found.at("c").made
    assert not found.at("x").at("y").made
    assert set(marks.of_layer("/", ["/", "/work"], []).below) == {"work"}


def test_zeros_become_a_hole_in_a_file_of_ours_and_bytes_elsewhere(tmp_path: Path) -> None:
    size = 3 << 20
    for name, sparse in (("sparse", True), ("stream", False)):
        with (tmp_path / name).open("wb") as file:
            sink = Sink(file.fileno(), name, sparse=sparse)
            sink.write(b"head")
            sink.zeros(size)
            sink.write(b"tail")
            sink.finish()
        assert (tmp_path / name).read_bytes() == b"head" + bytes(size) + b"tail"
    assert os.stat(tmp_path / "sparse").st_blocks < os.stat(tmp_path / "stream").st_blocks


def test_a_sink_names_what_cannot_be_written() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        sink = Sink(writer, "standard output", sparse=False)
        sink.write(b"x")
        with pytest.raises(HostError, match="standard output: broken pipe"):
            sink.finish()
    finally:
        os.close(writer)


@pytest.mark.needs("user-xattrs")
def test_attributes_that_a_directory_hands_down_are_taken_away(tmp_path: Path) -> None:
    os.setxattr(tmp_path, "user.kept", b"1")
    os.setxattr(tmp_path, "user.gone", b"1")
    os.setxattr(tmp_path, "user.overlay.opaque", b"n")
    fd = opened(tmp_path)
    try:
        xattrs.write(xattrs.at(fd), {"user.kept": b"2", "user.new": b"\0"})
        assert xattrs.read(xattrs.at(fd)) == {"user.kept": b"2", "user.new": b"\0"}
        assert os.getxattr(tmp_path, "user.overlay.opaque") == b"n"
    finally:
        os.close(fd)
