"""What diff lists of layers that programs have filled, through real overlay mounts; and containers that have nothing to
tell."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import StateError
from pyrunc.host import process
from pyrunc.runtime.commit import commit
from pyrunc.runtime.diff import diff
from tests.root.layered import OPTIONS, Layered, call, ignoring, names, upper
from tests.unit.host.layers import trees

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.needs("root", "overlay", "cap_mknod")


# What diff lists


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


# Containers that have nothing to tell


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
