"""Directories and names of archives that somebody changes while a commit writes to them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import HostError
from tests.root.layered import Layered, call
from tests.support.residue import descriptors
from tests.unit.host.layers import trees

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.needs("root", "overlay", "cap_mknod")


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
    before = len(descriptors())
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
    assert len(descriptors()) == before


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
