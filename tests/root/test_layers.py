"""diff and commit of layers that hostile programs have filled, through real overlay mounts."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import HostError, StateError, UsageError
from pyrunc.host import process
from pyrunc.host.layers import xattrs
from pyrunc.host.layers.archive import Archive
from pyrunc.host.layers.overlay import PATH_LIMIT
from pyrunc.host.layers.remove import remove
from pyrunc.host.layers.sink import Sink
from pyrunc.host.layers.trail import Trail
from pyrunc.runtime.commit import commit
from pyrunc.runtime.diff import diff, walk
from pyrunc.state.store import Record
from tests.root.layered import OPTIONS, Layered, call, ignoring
from tests.unit.host.layers import trees

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root", "overlay", "cap_mknod")

DEEP = 10_000


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """d with a subtree, e with a file of two names, and a file and a symlink above them."""
    root = tmp_path / "lower"
    for path in ("d/sub/deep", "e"):
        (root / path).mkdir(parents=True)
    for path in ("file", "d/one", "d/two", "d/sub/three", "e/first"):
        (root / path).write_text(f"{path}\n" * 100)
        os.utime(root / path, ns=(10**18, 10**18 + 7))
    os.link(root / "e/first", root / "e/second")
    (root / "link").symlink_to("file")
    return root


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Layered]:
    with Layered(tmp_path) as made:
        yield made


@pytest.fixture
def target(tmp_path: Path, lower: Path) -> Path:
    """A copy of the lower tree, for changes to be applied to."""
    trees.copy(str(lower), str(tmp_path / "target"))
    return tmp_path / "target"


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as opened:
        return [member.name + "/" * member.isdir() for member in opened.getmembers()]


def upper(box: Layered) -> Path:
    return Path(box.layers[0]["path"], "upper")


# --- what diff lists -------------------------------------------------------------------------------------------------


def test_every_kind_of_change_is_listed_once_and_sorted_by_path(box: Layered, lower: Path) -> None:
    merged = Path(box.overlay(lower))
    (merged / "new/inner").mkdir(parents=True)
    (merged / "new/inner/file").touch()
    (merged / "new-er").touch()
    (merged / "file").write_text("other")
    (merged / "link").unlink()
    (merged / "d/one").unlink()
    (merged / "e").chmod(0o700)
    assert box.diff() == [
        ("/d/one", "D"),
        ("/e", "C"),
        ("/file", "C"),
        ("/link", "D"),
        ("/new", "A"),
        ("/new-er", "A"),
        ("/new/inner", "A"),
        ("/new/inner/file", "A"),
    ]


def test_an_untouched_container_has_changed_nothing(box: Layered, lower: Path, tmp_path: Path) -> None:
    box.overlay(lower)
    assert box.diff() == []
    box.commit(tmp_path / "layer.tar")
    assert names(tmp_path / "layer.tar") == []


def test_what_was_copied_up_and_not_changed_is_no_change(box: Layered, lower: Path) -> None:
    merged = Path(box.overlay(lower))
    os.close(os.open(merged / "d/sub/three", os.O_RDWR))
    (merged / "d/one").chmod(0o600)
    (merged / "d/one").chmod(0o644)
    (merged / "e/passing").touch()
    (merged / "e/passing").unlink()
    assert (upper(box) / "d/sub/three").exists()
    assert box.diff() == []


def test_a_change_with_the_size_and_time_of_before_is_found(box: Layered, lower: Path) -> None:
    merged = Path(box.overlay(lower))
    before = (merged / "file").stat()
    (merged / "file").write_text("FILE\n" * 100)
    os.utime(merged / "file", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert box.diff() == [("/file", "C")]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.chmod(0o4755),
        lambda path: os.chown(path, 1, -1),
        lambda path: os.chown(path, -1, 1),
        lambda path: os.utime(path, ns=(0, 10**18 + 8)),
        lambda path: os.truncate(path, 1),
        lambda path: os.setxattr(path, "trusted.note", b""),
    ],
    ids=["mode", "owner", "group", "time", "size", "xattr"],
)
def test_one_attribute_makes_a_change(box: Layered, lower: Path, change: object) -> None:
    merged = Path(box.overlay(lower))
    change(merged / "file")  # type: ignore[operator]
    assert box.diff() == [("/file", "C")]


def test_a_target_and_a_device_number_count_whatever_the_time_says(box: Layered, lower: Path) -> None:
    os.mknod(lower / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    merged = Path(box.overlay(lower))
    for name in ("link", "device"):
        (merged / name).unlink()
    (merged / "link").symlink_to("elif")
    os.mknod(merged / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    for name in ("link", "device"):
        time = (lower / name).lstat().st_mtime_ns
        os.utime(merged / name, ns=(time, time), follow_symlinks=False)
    assert box.diff() == [("/device", "C"), ("/link", "C")]


def test_of_a_deleted_tree_only_the_top_is_listed(box: Layered, lower: Path) -> None:
    merged = Path(box.overlay(lower))
    trees.remove(str(merged / "d"))
    assert box.diff() == [("/d", "D")]
    (merged / "d").write_text("no directory any more")
    assert box.diff() == [("/d", "C")]


def test_a_directory_made_anew_has_lost_what_it_does_not_have(box: Layered, lower: Path, tmp_path: Path) -> None:
    merged = Path(box.overlay(lower))
    trees.remove(str(merged / "d"))
    (merged / "d/sub").mkdir(parents=True)
    call("cp", "-p", lower / "d/one", merged / "d/one")
    wanted = [("/d/sub/deep", "D"), ("/d/sub/three", "D"), ("/d/two", "D")]
    assert box.diff() == wanted
    box.commit(tmp_path / "layer.tar")
    # The opaque directory hides all there was, so what is the same must come again.
    assert names(tmp_path / "layer.tar") == ["d/", "d/.wh..wh..opq", "d/one", "d/sub/"]


def test_the_notes_of_an_overlay_in_a_user_namespace_are_read(box: Layered, lower: Path) -> None:
    merged = Path(box.overlay(lower, options="userxattr"))
    trees.remove(str(merged / "d"))
    (merged / "d").mkdir()
    assert os.getxattr(upper(box) / "d", "user.overlay.opaque") == b"y"
    assert box.diff() == [("/d/one", "D"), ("/d/sub", "D"), ("/d/two", "D")]


def test_an_opaque_note_that_the_container_wrote_is_not_believed(box: Layered, lower: Path, target: Path) -> None:
    merged = Path(box.overlay(lower))
    for directory in (merged, merged / "d", merged / "e"):
        os.setxattr(directory, "user.overlay.opaque", b"y")
    assert box.diff() == []
    os.removexattr(upper(box) / "d", "trusted.overlay.origin")
    assert box.diff() == []
    before = trees.tree(str(target))
    box.commit(target)
    assert trees.tree(str(target)) == before


@pytest.mark.parametrize("options", [OPTIONS, "userxattr"])
def test_overlayfs_keeps_its_own_notes_from_the_container(
    box: Layered, lower: Path, target: Path, options: str
) -> None:
    merged = Path(box.overlay(lower, options=options))
    for directory in (merged, merged / "d"):
        for prefix in ("user", "trusted"):
            with ignoring():  # refused, or stored under another name
                os.setxattr(directory, f"{prefix}.overlay.opaque", b"y")
    assert sorted(os.listdir(merged / "d")) == ["one", "sub", "two"]
    assert box.diff() == []
    box.commit(target)
    assert sorted(os.listdir(target / "d")) == ["one", "sub", "two"]


def test_the_root_of_a_layer_is_never_opaque(box: Layered, lower: Path, target: Path) -> None:
    box.overlay(lower)
    os.setxattr(upper(box), "trusted.overlay.opaque", b"y")
    assert box.diff() == []
    before = trees.tree(str(target))
    box.commit(target)
    assert trees.tree(str(target)) == before


def test_what_is_mounted_on_the_host_below_the_lower_directory_does_not_show_through(box: Layered, lower: Path) -> None:
    call("mount", "-t", "tmpfs", "tmpfs", lower / "e")
    try:
        (lower / "e/hidden").touch()
        merged = Path(box.overlay(lower))
        assert sorted(os.listdir(merged / "e")) == ["first", "second"]
        (merged / "e/new").touch()
        (merged / "e/first").unlink()
        assert box.diff() == [("/e/first", "D"), ("/e/new", "A")]
    finally:
        call("umount", lower / "e")


def test_everything_in_a_workspace_is_added_and_the_workspace_is_not(box: Layered, tmp_path: Path) -> None:
    work = Path(box.workspace("/srv/work", uid=1000))
    (work / "a").mkdir()
    (work / "a/b").write_text("b")
    os.mknod(work / "like-a-whiteout", stat.S_IFCHR, 0)
    assert box.diff() == [("/srv/work/a", "A"), ("/srv/work/a/b", "A"), ("/srv/work/like-a-whiteout", "A")]
    box.commit(tmp_path / "layer.tar")
    assert names(tmp_path / "layer.tar") == ["srv/work/", "srv/work/a/", "srv/work/a/b", "srv/work/like-a-whiteout"]


def test_mount_points_that_pyrunc_made_are_left_out_as_long_as_they_are_empty(
    box: Layered, lower: Path, tmp_path: Path
) -> None:
    merged = Path(box.overlay(lower))
    for name in ("made/for/mount", "used"):
        (merged / name).mkdir(parents=True)
    (merged / "made/file").touch()
    (merged / "e/point").touch()
    (merged / "full").write_text("not empty")
    (merged / "gone").symlink_to("elsewhere")
    (merged / "used/by").touch()
    box.made = ["/made", "/made/for", "/made/for/mount", "/made/file", "/e/point", "/full", "/gone", "/used"]
    box.save()
    assert box.diff() == [("/full", "A"), ("/gone", "A"), ("/used", "A"), ("/used/by", "A")]
    (merged / "made/for/other").touch()
    assert [path for path, _ in box.diff() if path.startswith("/made")] == ["/made", "/made/for", "/made/for/other"]
    box.commit(tmp_path / "layer.tar")
    assert "made/file" not in names(tmp_path / "layer.tar")


def test_layers_in_layers_are_told_once_each(box: Layered, lower: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "config").touch()
    root = Path(box.overlay(lower))
    (root / "srv/data").mkdir(parents=True)
    (root / "d/work").mkdir()
    data = Path(box.overlay(source, "/srv/data"))
    work = Path(box.workspace("/d/work"))
    box.made = ["/srv", "/srv/data", "/d/work"]
    box.save()
    (root / "zzz").touch()
    (data / "config").unlink()
    (work / "result").touch()
    assert box.diff() == [("/d/work/result", "A"), ("/srv/data/config", "D"), ("/zzz", "A")]
    box.commit(tmp_path / "layer.tar")
    assert names(tmp_path / "layer.tar") == [
        "zzz", "d/work/", "d/work/result", "srv/data/", "srv/data/.wh.config",
    ]  # fmt: skip
    box.commit(tmp_path / "work.tar", "/d/work/")
    assert names(tmp_path / "work.tar") == ["result"]
    box.commit(tmp_path / "data.tar", "/srv/data")
    assert names(tmp_path / "data.tar") == [".wh.config"]


def test_an_untouched_mount_point_of_another_layer_is_not_told(box: Layered, lower: Path, tmp_path: Path) -> None:
    root = Path(box.overlay(lower))
    (root / "e/covered").touch()
    (root / "e").chmod(0o700)
    assert box.diff() == [("/e", "C"), ("/e/covered", "A")]
    trees.remove(str(root / "e/covered"))
    (root / "e").chmod((lower / "e").stat().st_mode)
    (Path(box.overlay(lower / "e", "/e")) / "seen").touch()
    assert box.diff() == [("/e/seen", "A")]
    box.commit(tmp_path / "layer.tar")
    assert names(tmp_path / "layer.tar") == ["e/", "e/seen"]


# --- containers that have nothing to tell ----------------------------------------------------------------------------


def test_a_container_without_layers_says_what_would_give_it_some(box: Layered) -> None:
    box.save()
    with pytest.raises(StateError, match=r"box: the container has no private layers \(.*--ephemeral-rootfs"):
        diff(str(box.root), "box")
    with pytest.raises(StateError, match="no private layers"):
        commit(str(box.root), "box", "-")
    with pytest.raises(StateError, match="container does not exist"):
        diff(str(box.root), "another")


def test_a_layer_that_is_not_mounted_is_no_empty_one(box: Layered) -> None:
    box.workspace("/work")
    box.unmount()
    with pytest.raises(StateError, match="below /work cannot be reached"):
        box.diff()
    os.rmdir(box.layers[0]["path"])
    with pytest.raises(StateError, match="below /work cannot be reached"):
        box.diff()


def test_an_unknown_layer_is_refused_with_those_that_there_are(box: Layered, lower: Path) -> None:
    box.overlay(lower)
    box.workspace("/work")
    with pytest.raises(StateError, match=r"no private layer is mounted at /wrk \(there are: /, /work\)"):
        box.commit("-", "/wrk")


def test_the_lower_directory_of_a_running_container_is_not_written(box: Layered, lower: Path) -> None:
    merged = Path(box.overlay(lower))
    (merged / "new").touch()
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    assert process.state(os.getpid(), started) == "running"
    box.save(pid=os.getpid(), start_time=started)
    for dest in (lower, lower / "d", f"{lower}/not/there/", lower.parent):
        with pytest.raises(StateError, match="is what shows through at / of the container"):
            box.commit(dest)
    assert not (lower / "new").exists()
    assert not (lower / "not").exists()


def test_nor_is_that_of_another_container(box: Layered, lower: Path, tmp_path: Path) -> None:
    box.workspace("/work")
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    with Layered(tmp_path, "box2") as other:
        other.overlay(lower)
        other.save(pid=os.getpid(), start_time=started)
        with pytest.raises(StateError, match=r"box2: .*is what shows through"):
            box.commit(lower)
        box.commit(f"{tmp_path}/new/")
        other.unmount_overlay()
        other.save()
        box.commit(lower)


# --- archives --------------------------------------------------------------------------------------------------------


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
    assert reader.communicate(timeout=30)[0] == (tmp_path / "real.tar").read_bytes()


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


# --- hostile layers --------------------------------------------------------------------------------------------------


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


# --- hostile destinations --------------------------------------------------------------------------------------------


def test_a_destination_is_never_written_through_its_symlinks(
    box: Layered, lower: Path, target: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    for name in ("one", "file", "sub/three"):
        (outside / name).write_text("outside")
    before = trees.tree(str(outside))
    merged = Path(box.overlay(lower))
    (merged / "d/one").write_text("inside")
    (merged / "d/two").unlink()
    (merged / "d/sub/three").unlink()
    (merged / "file").write_text("inside")
    (merged / "e/first").unlink()
    trees.remove(str(target / "d"))
    (target / "d").symlink_to(outside)
    (target / "file").unlink()
    (target / "file").symlink_to(outside / "file")
    trees.remove(str(target / "e"))
    (target / "e").symlink_to("/nowhere")
    box.commit(target)
    assert trees.tree(str(outside)) == before
    assert not (target / "d").is_symlink()
    assert (target / "d/one").read_text() == (target / "file").read_text() == "inside"
    assert sorted(os.listdir(target / "d")) == ["one", "sub"]
    assert os.listdir(target / "e") == []


@pytest.mark.parametrize("kind", ["file", "fifo", "device", "symlink", "socket"])
def test_a_temporary_name_that_its_directorys_owner_gives_to_something_else_is_not_used(
    box: Layered, target: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Path(box.workspace("/"))
    kinds = {"fifo": stat.S_IFIFO, "device": stat.S_IFCHR, "socket": stat.S_IFSOCK, "file": stat.S_IFREG}
    if kind == "symlink":
        (work / "made").symlink_to("file")
        os.chown(work / "made", 1, 1, follow_symlinks=False)
    else:
        os.mknod(work / "made", kinds[kind] | 0o600, os.makedev(1, 3))
        os.chown(work / "made", 1, 1)
        os.chmod(work / "made", 0o4777)
    victim = tmp_path / "victim"
    victim.write_text("root's own")
    victim.chmod(0o600)
    was = trees.look(str(victim))
    chown = os.chown

    def disturb(*words: object, **more: object) -> None:
        chown(*words, **more)  # type: ignore[arg-type]
        for name in [name for name in os.listdir(target) if name.startswith(".pyrunc-")]:
            (target / name).unlink()
            (target / name).symlink_to(victim)

    monkeypatch.setattr(os, "chown", disturb)
    with pytest.raises(HostError, match="replaced by something else"):
        box.commit(target)
    assert trees.look(str(victim)) == was
    assert not os.path.lexists(target / "made")
    assert box.leftovers(target) == []


def test_names_of_one_file_in_a_destination_are_parted_not_written_through(
    box: Layered, lower: Path, target: Path
) -> None:
    merged = Path(box.overlay(lower))
    (merged / "e/first").write_text("changed")
    box.commit(target)
    assert (target / "e/first").read_text() == "changed"
    assert (target / "e/second").read_text() == (lower / "e/second").read_text()


def test_a_directory_that_became_a_file_takes_its_tree_along(
    box: Layered, lower: Path, target: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").touch()
    (target / "d/sub/way-out").symlink_to(tmp_path / "outside")
    merged = Path(box.overlay(lower))
    trees.remove(str(merged / "d"))
    (merged / "d").write_text("file")
    trees.remove(str(merged / "file"))
    (merged / "file").mkdir()
    box.commit(target)
    assert (target / "d").read_text() == "file"
    assert (target / "file").is_dir()
    assert (tmp_path / "outside/kept").exists()


def test_a_file_system_mounted_in_the_destination_is_not_emptied(box: Layered, lower: Path, target: Path) -> None:
    merged = Path(box.overlay(lower))
    trees.remove(str(merged / "d"))
    call("mount", "-t", "tmpfs", "tmpfs", target / "d/sub/deep")
    try:
        (target / "d/sub/deep/precious").touch()
        with pytest.raises(HostError, match="another file system is mounted at deep"):
            box.commit(target)
        assert (target / "d/sub/deep/precious").exists()
    finally:
        call("umount", target / "d/sub/deep")


def test_what_the_container_never_saw_stays_in_the_destination(box: Layered, lower: Path, target: Path) -> None:
    (target / "d/later").touch()
    merged = Path(box.overlay(lower))
    trees.remove(str(merged / "d"))
    (merged / "d").mkdir()
    box.commit(target)
    assert os.listdir(target / "d") == ["later"]


def test_a_slash_makes_the_directory_with_all_that_belongs_to_the_changes(
    box: Layered, lower: Path, tmp_path: Path
) -> None:
    (lower / "d").chmod(0o751)
    merged = Path(box.overlay(lower))
    (merged / "d/sub/new").write_text("new")
    work = Path(box.workspace("/srv/work", uid=1000))
    (work / "result").touch()
    work.chmod(0o700)
    box.commit(f"{tmp_path}/absent/made/")
    made = tmp_path / "absent/made"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert sorted(trees.tree(str(made))) == [
        "/", "/d", "/d/sub", "/d/sub/new", "/srv", "/srv/work", "/srv/work/result",
    ]  # fmt: skip
    assert stat.S_IMODE((made / "d").stat().st_mode) == 0o751
    assert ((made / "srv/work").stat().st_uid, stat.S_IMODE((made / "srv/work").stat().st_mode)) == (1000, 0o700)


def test_a_layer_alone_is_applied_relative_to_it_and_its_directory_stays(box: Layered, target: Path) -> None:
    before = target.stat()
    work = Path(box.workspace("/srv/work", uid=1000))
    (work / "result").touch()
    box.commit(target, "/srv/work")
    assert (target / "result").stat().st_uid == 0
    assert (target.stat().st_uid, target.stat().st_mode) == (before.st_uid, before.st_mode)


def test_the_way_to_a_layer_does_not_lead_through_symlinks_of_the_destination(
    box: Layered, target: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (target / "srv").symlink_to(tmp_path / "outside")
    (Path(box.workspace("/srv/work")) / "result").touch()
    with pytest.raises(HostError, match=r"target/srv/work: .*srv is no directory there: choose the layer /srv/work"):
        box.commit(target)
    assert os.listdir(tmp_path / "outside") == []


def test_directories_get_the_containers_times_and_only_changed_ones_its_modes(
    box: Layered, lower: Path, target: Path
) -> None:
    merged = Path(box.overlay(lower))
    (merged / "d/new").touch()
    os.utime(merged / "d", ns=(10**18, 10**18 + 1))
    (merged / "e").chmod(0o711)
    (target / "d").chmod(0o700)
    box.commit(target)
    assert (target / "d").stat().st_mtime_ns == 10**18 + 1
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o700
    assert stat.S_IMODE((target / "e").stat().st_mode) == 0o711


def test_no_half_a_file_stays_in_a_full_destination(box: Layered, tmp_path: Path) -> None:
    (Path(box.workspace("/work")) / "file").write_bytes(os.urandom(3 << 20))
    small = tmp_path / "small"
    small.mkdir()
    call("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small)
    try:
        with pytest.raises(HostError, match="small/file: no space left on device"):
            box.commit(small, "/work")
        assert os.listdir(small) == []
    finally:
        call("umount", small)


def test_reading_leaves_no_descriptor_behind(box: Layered, lower: Path, tmp_path: Path) -> None:
    merged = Path(box.overlay(lower))
    (merged / "d/sub/new").touch()
    before = len(os.listdir("/proc/self/fd"))
    box.diff()
    box.commit(tmp_path / "layer.tar")
    box.commit(f"{tmp_path}/made/")
    trees.remove(str(tmp_path / "made"))
    (tmp_path / "made").write_text("a file")
    with pytest.raises(HostError, match="made/: file exists"):
        box.commit(f"{tmp_path}/made/")
    box.layers[0]["lower"] = str(tmp_path / "absent")
    box.save()
    with pytest.raises(HostError, match="absent: no such file or directory"):
        box.diff()
    assert len(os.listdir("/proc/self/fd")) == before


def test_set_id_bits_capabilities_and_access_lists_are_applied(box: Layered, target: Path) -> None:
    work = Path(box.workspace("/work"))
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    acl = bytes.fromhex("02000000" "01000600ffffffff" "0200060001000000" "04000400ffffffff" "10000600ffffffff"
                        "20000000ffffffff")  # fmt: skip
    for name in ("setuid", "capable", "listed"):
        (work / name).write_text(name)
        os.chown(work / name, 1000, 1000)
    (work / "setuid").chmod(0o6755)
    os.setxattr(work / "capable", "security.capability", capability)
    os.setxattr(work / "listed", "system.posix_acl_access", acl)
    os.setxattr(target, "system.posix_acl_default", acl)
    box.commit(target, "/work")
    os.removexattr(target, "system.posix_acl_default")
    for name in ("setuid", "capable", "listed"):
        assert trees.look(str(target / name)) == trees.look(str(work / name))


@pytest.mark.needs("setpriv")
def test_devices_are_left_out_and_told_without_the_privilege_to_make_them(box: Layered, tmp_path: Path) -> None:
    work = Path(box.workspace("/work"))
    os.mknod(work / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (work / "file").touch()
    program = (
        "import sys; from pyrunc.runtime.commit import commit\n"
        "commit(sys.argv[1], 'box', sys.argv[2], '/work', warn=print)"
    )
    done = subprocess.run(
        ["setpriv", "--bounding-set=-mknod", sys.executable, "-c", program, str(box.root), f"{tmp_path}/out/"],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("/work/null: left out")
    assert os.listdir(tmp_path / "out") == ["file"]
