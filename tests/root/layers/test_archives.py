"""Layers as archives: what is in them and in which order, with which owners, attributes and holes."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import HostError, UsageError
from pyrunc.host.layers.archive import Archive
from pyrunc.host.layers.sink import Sink
from pyrunc.runtime.diff import walk
from pyrunc.state.store import Record
from tests.root.layered import Layered, call, names
from tests.unit.host.layers import trees

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.needs("root", "overlay", "cap_mknod")


def test_tar_extracts_what_the_container_has(box: Layered, tmp_path: Path) -> None:
    work = Path(box.workspace("/work", uid=1000))
    (work / ("long" * 50)).mkdir()
    (work / ("long" * 50) / "ü").write_text("data")
    (work / "hard").hardlink_to(work / ("long" * 50) / "ü")
    (work / "soft").symlink_to("x" * 200)
    os.setxattr(work / "hard", "user.note", b"\0\xff\n")
    os.chown(work / "hard", 3_000_000, 2**32 - 2)
    (work / "hard").chmod(0o4711)
    os.mkfifo(work / "fifo")
    os.mknod(work / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.utime(work / "fifo", ns=(0, 1_500_000_000_123_456_789))
    box.commit(tmp_path / "layer.tar", "/work")
    out = tmp_path / "out"
    out.mkdir()
    call("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", tmp_path / "layer.tar", "-C", out)
    wanted, found = trees.tree(str(work)), trees.tree(str(out))
    assert {**wanted, "/": None} == {**found, "/": None}
    assert trees.links(str(out)) == trees.links(str(work)) != set()


def test_an_archive_is_the_same_every_time_and_not_for_others(box: Layered, lower: Path, tmp_path: Path) -> None:
    merged = Path(box.overlay(lower))
    for name in ("b", "a", "c"):
        (merged / name).touch()
    (merged / "file").unlink()
    for name in ("one.tar", "two.tar"):
        box.commit(tmp_path / name)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert names(tmp_path / "one.tar") == [".wh.file", "a", "b", "c"]
    assert stat.S_IMODE((tmp_path / "one.tar").stat().st_mode) == 0o600


def test_the_ids_of_an_archive_are_those_in_the_container(box: Layered, tmp_path: Path) -> None:
    work = Path(box.workspace("/work"))
    for name, owner in (("root", 100_000), ("user", 101_000), ("stranger", 5)):
        (work / name).touch()
        os.chown(work / name, owner, owner)
    mapping = [{"containerID": 0, "hostID": 100_000, "size": 65536}]
    box.config["linux"] = {"uidMappings": mapping, "gidMappings": mapping}
    box.save()
    box.commit(tmp_path / "layer.tar", "/work")
    with tarfile.open(tmp_path / "layer.tar") as opened:
        assert {member.name: (member.uid, member.gid) for member in opened} == {
            "root": (0, 0),
            "user": (1000, 1000),
            "stranger": (65534, 65534),
        }


def test_what_an_image_layer_cannot_hold_is_left_out_and_told(box: Layered, lower: Path, tmp_path: Path) -> None:
    (lower / ".wh.lower").touch()
    merged = Path(box.overlay(lower))
    (merged / ".wh.passwd").touch()
    (merged / "e/.wh..wh..opq").mkdir()
    (merged / "e/.wh..wh..opq/below").touch()
    (merged / ".wh.lower").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(merged / "socket"))
    (merged / "kept").touch()
    os.setxattr(merged / "kept", "user.a=security.capability", b"x")
    os.setxattr(merged / "kept", "user.b", b"x")
    box.commit(tmp_path / "layer.tar")
    assert names(tmp_path / "layer.tar") == ["e/", "kept"]
    with tarfile.open(tmp_path / "layer.tar") as opened:
        assert "SCHILY.xattr.user.b" in opened.getmember("kept").pax_headers
        assert not [key for key in opened.getmember("kept").pax_headers if key.startswith("SCHILY.xattr.user.a")]
    told = sorted(warning.partition(":")[0] for warning in box.warnings)
    assert told == ["/.wh.lower", "/.wh.passwd", "/e/.wh..wh..opq", "/kept", "/socket"]


def test_more_attributes_than_anybody_can_list_do_not_stop_a_commit(
    box: Layered, lower: Path, tmp_path: Path, target: Path
) -> None:
    merged = Path(box.overlay(lower))
    path = str(merged / "file")
    for number in range(300):
        os.setxattr(path, f"user.{'n' * 240}{number}", b"")
    with pytest.raises(OSError, match="Argument list too long"):
        os.listxattr(path)
    assert box.diff() == [("/file", "C")]
    box.commit(tmp_path / "layer.tar")
    assert names(tmp_path / "layer.tar") == ["file"]
    box.commit(target)
    assert len(box.warnings) == 2
    assert all("/file: extended attributes left out" in warning for warning in box.warnings)


def test_a_terabyte_of_nothing_stays_nothing(box: Layered, tmp_path: Path, target: Path) -> None:
    work = Path(box.workspace("/work"))
    size = 1 << 40
    with (work / "sparse").open("wb") as file:
        file.truncate(size)
        file.seek(size - 5)
        file.write(b"end")
    (work / "tail").write_text("after it")
    box.commit(tmp_path / "layer.tar", "/work")
    assert (tmp_path / "layer.tar").stat().st_blocks * 512 < 64 << 20
    with tarfile.open(tmp_path / "layer.tar") as opened:
        assert opened.getmember("sparse").size == size
        source = opened.extractfile("tail")
        assert source is not None
        assert source.read() == b"after it"
    box.commit(target, "/work")
    assert (target / "sparse").stat().st_size == size
    assert (target / "sparse").stat().st_blocks * 512 < 64 << 20
    with (target / "sparse").open("rb") as file:
        file.seek(size - 5)
        assert file.read() == b"end\0\0"


@pytest.mark.needs("mkfs.ext4")
def test_what_a_container_makes_too_large_does_not_stop_a_commit(box: Layered, tmp_path: Path) -> None:
    work = Path(box.workspace("/work"))
    os.mkdir(tmp_path / "small")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    call("mkfs.ext4", "-q", image)
    call("mount", "-o", "loop", image, tmp_path / "small")
    box.mounted.append(str(tmp_path / "small"))
    for name in ("huge", "other"):
        (work / name).touch()
    os.truncate(work / "huge", 7 << 60)
    os.setxattr(work / "other", "trusted.large", bytes(60000))
    (work / "zzz").write_text("after it")
    box.commit(tmp_path / "layer.tar", "/work")
    assert names(tmp_path / "layer.tar") == ["other", "zzz"]
    assert box.warnings == [f"/work/huge: left out: {7 << 60} bytes, and hardly any of them written"]
    del box.warnings[:]
    box.commit(tmp_path / "small", "/work")
    assert sorted(os.listdir(tmp_path / "small")) == ["lost+found", "other", "zzz"]
    assert [warning.partition(": ")[0] for warning in box.warnings] == ["/work/huge", "/work/other"]


def test_standard_output_gets_the_archive(box: Layered, tmp_path: Path) -> None:
    work = Path(box.workspace("/work"))
    (work / "file").write_bytes(os.urandom(5 << 20))
    program = "import sys; from pyrunc.runtime.commit import commit; commit(sys.argv[1], 'box', '-', '/work')"
    writer = subprocess.Popen([sys.executable, "-c", program, str(box.root)], stdout=subprocess.PIPE)
    (tmp_path / "out").mkdir()
    with writer:
        subprocess.run(["tar", "-xf", "-", "-C", tmp_path / "out"], stdin=writer.stdout, check=True, timeout=60)
    assert writer.returncode == 0
    assert (tmp_path / "out/file").read_bytes() == (work / "file").read_bytes()


def test_a_new_name_of_an_unchanged_file_comes_with_that_file(
    box: Layered, lower: Path, tmp_path: Path, target: Path
) -> None:
    merged = Path(box.overlay(lower))
    (merged / "also").hardlink_to(merged / "file")
    assert box.diff() == [("/also", "A")]
    box.commit(tmp_path / "layer.tar")
    with tarfile.open(tmp_path / "layer.tar") as opened:
        assert [(member.name, member.linkname) for member in opened] == [("also", ""), ("file", "also")]
    box.commit(target)
    assert (target / "also").samefile(target / "file")


def test_a_failed_archive_leaves_nothing_and_what_was_there(box: Layered, tmp_path: Path) -> None:
    work = Path(box.workspace("/work"))
    (work / "file").write_bytes(os.urandom(3 << 20))
    small = tmp_path / "small"
    small.mkdir()
    call("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small)
    try:
        (small / "layer.tar").write_text("of yesterday")
        with pytest.raises(HostError, match=r"layer\.tar: no space left on device"):
            box.commit(small / "layer.tar")
        assert os.listdir(small) == ["layer.tar"]
        assert (small / "layer.tar").read_text() == "of yesterday"
        with pytest.raises(HostError, match=r"absent/layer\.tar: no such file or directory"):
            box.commit(small / "absent/layer.tar")
    finally:
        call("umount", small)


def test_a_symlink_is_replaced_by_an_archive_and_a_fifo_is_written_to(box: Layered, tmp_path: Path) -> None:
    (Path(box.workspace("/work")) / "file").touch()
    (tmp_path / "victim").write_text("root's own")
    (tmp_path / "real.tar").symlink_to("victim")
    box.commit(tmp_path / "real.tar")
    assert not (tmp_path / "real.tar").is_symlink()
    assert "work/file" in names(tmp_path / "real.tar")
    assert (tmp_path / "victim").read_text() == "root's own"
    (tmp_path / "directory").mkdir()
    (tmp_path / "planted").symlink_to("directory")
    with pytest.raises(UsageError, match="symlink to a directory"):
        box.commit(tmp_path / "planted")
    assert os.listdir(tmp_path / "directory") == []
    with pytest.raises(UsageError, match="symlink of the system's"):
        box.commit("/dev/stdout")
    os.mkfifo(tmp_path / "fifo")
    reader = subprocess.Popen(["cat", tmp_path / "fifo"], stdout=subprocess.PIPE)
    box.commit(tmp_path / "fifo")
    assert reader.communicate(timeout=60)[0] == (tmp_path / "real.tar").read_bytes()


class Meddler(Sink):
    """Shortens a file, or lengthens it, when its second megabyte arrives."""

    def __init__(self, fd: int, path: Path, size: int) -> None:
        super().__init__(fd, "archive", sparse=False)
        self.path, self.size, self.written = path, size, 0

    def write(self, data: bytes) -> None:
        super().write(data)
        self.written += len(data)
        if self.written > 1 << 20:
            os.truncate(self.path, self.size)


@pytest.mark.parametrize("size", [0, 5, 5 << 20])
def test_a_file_that_changes_its_size_in_the_middle_keeps_the_one_of_its_header(
    box: Layered, tmp_path: Path, size: int
) -> None:
    work = Path(box.workspace("/work"))
    (work / "file").write_bytes(b"x" * (3 << 20))
    (work / "next").write_text("next")
    warnings: list[str] = []
    record = Record(str(box.root), box.id)
    with (
        (tmp_path / "layer.tar").open("wb") as file,
        walk(record.load(), record.load()["layers"][0], by_path=False) as layer,
    ):
        archive = Archive(Meddler(file.fileno(), work / "file", size), lambda uid, gid: (uid, gid), warnings.append)
        archive.add(layer, "/")
        archive.finish()
    with tarfile.open(tmp_path / "layer.tar") as opened:
        assert {member.name: member.size for member in opened} == {"file": 3 << 20, "next": 4}
        source = opened.extractfile("file")
        assert source is not None
        assert source.read().rstrip(b"\0") == b"x" * (3 << 20 if size > 3 << 20 else 1 << 20)
    assert warnings == ["/work/file: has changed its size while it was read"]
