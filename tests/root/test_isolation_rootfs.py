"""io.pyrunc.rootfs=ephemeral: any number of containers over one rootfs that none of them changes."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from tests.root.box import contents
from tests.root.isolated import (
    ACL,
    CAPABILITY,
    FIRST_UID,
    in_user_namespace,
    isolate,
    layer_mounts,
    mounted,
    shell,
    sleeping,
    snapshot,
    within,
)
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static", "overlay")


@pytest.fixture
def rich(box: Box) -> Box:
    """A container whose rootfs has something of everything below /rich, and annotations for an ephemeral rootfs."""
    folder = box.bundle.rootfs / "rich"
    folder.mkdir()
    (folder / "file").write_text("of the image\n")
    (folder / "hard").hardlink_to(folder / "file")
    (folder / "link").symlink_to("file")
    (folder / "program").write_text("#!/bin/sh\necho ran\n")
    (folder / "program").chmod(0o4755)
    os.chown(folder / "program", 1000, 50)
    (folder / "program").chmod(0o4755)
    os.setxattr(folder / "program", "security.capability", CAPABILITY)
    os.setxattr(folder / "file", "user.note", b"a note")
    (folder / "acl").write_text("")
    (folder / "acl").chmod(0o640)
    os.setxattr(folder / "acl", "system.posix_acl_access", ACL)
    (folder / "sub/deep").mkdir(parents=True)
    (folder / "sub/deep/file").write_text("deep\n")
    (folder / "sticky").mkdir()
    (folder / "sticky").chmod(0o1777)
    os.mkfifo(folder / "fifo")
    os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.utime(folder / "file", ns=(10**18, 10**18 + 1))
    return isolate(box, rootfs="ephemeral")


EVERYTHING = """
cd /rich
echo more >>file; echo >hard; rm link program; mv acl acl2; mv sub sub2; rm -r sub2/deep; mkdir sub2/deep
chmod 600 sticky; chown 7:8 fifo; rm fifo; rm null; mkdir null; touch /new /etc/new /usr/new
rm -r /var; echo root::0:0::/:/bin/sh >/etc/passwd; ln file hard2; chmod 0 /rich
touch -d '2001-01-01 01:01' /bin/busybox
ls -A / | tr '\\n' ' '
"""


def test_whatever_is_done_inside_the_rootfs_is_bit_for_bit_as_it_was(rich: Box) -> None:
    before = snapshot(rich.bundle.rootfs)
    rich.bundle.edit(
        process__capabilities={
            name: ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE", "CAP_MKNOD", "CAP_FSETID"]
            for name in ("bounding", "effective", "permitted")
        }
    )
    said = shell(rich, EVERYTHING)
    assert said == "bin dev etc home new proc rich root sys tmp usr "
    assert snapshot(rich.bundle.rootfs) == before
    rich.nothing_left()


def test_the_whole_rootfs_is_there(rich: Box) -> None:
    said = shell(rich, "cd /rich; stat -c '%n %F %a %u:%g' *; cat link sub/deep/file; stat -c %Y file; ./program")
    assert said.splitlines() == [
        "acl regular empty file 640 0:0",
        "fifo fifo 644 0:0",
        "file regular file 644 0:0",
        "hard regular file 644 0:0",
        "link symbolic link 777 0:0",
        "null character special file 644 0:0",
        "program regular file 4755 1000:50",
        "sticky directory 1777 0:0",
        "sub directory 755 0:0",
        "of the image",
        "deep",
        "1000000000",
        "ran",
    ]


def test_its_root_directory_is_like_that_of_the_rootfs(box: Box) -> None:
    box.bundle.rootfs.chmod(0o751)
    os.setxattr(box.bundle.rootfs, "user.note", b"on the root")
    isolate(box, rootfs="ephemeral").bundle.args("/bin/sleep", "10000")
    box.create()
    root = f"/proc/{box.state()['pid']}/root/"
    assert stat.S_IMODE(os.stat(root).st_mode) == 0o751
    assert os.getxattr(root, "user.note") == b"on the root"
    box.delete("--force")


def test_many_at_once_never_meet(box: Box, new_box: Callable[..., Box]) -> None:
    boxes = [box, *(new_box() for _ in range(4))]
    before = snapshot(box.bundle.rootfs)
    isolate(box, rootfs="ephemeral").bundle.args("/bin/sleep", "100000")
    for each in boxes:
        each.bundle = box.bundle
        each.started()
    for number, each in enumerate(boxes):
        within(each, f"echo {number} >/etc/passwd; echo {number} >/etc/new; rm -r /home/user")
    for number, each in enumerate(boxes):
        assert within(each, "cat /etc/passwd /etc/new; ls /home") == f"{number}\n{number}\n"
    boxes[0].delete("--force")
    assert within(boxes[1], "cat /etc/new") == "1\n"
    for each in boxes[1:]:
        each.delete("--force")
        each.nothing_left()
    assert snapshot(box.bundle.rootfs) == before


def test_the_next_start_sees_the_rootfs_anew(box: Box) -> None:
    isolate(box, rootfs="ephemeral")
    for _ in range(2):
        assert shell(box, "ls /new 2>/dev/null; wc -l </etc/passwd; echo >/new; echo >/etc/passwd") == "2\n"


def test_what_does_not_fit_is_no_space_left(box: Box) -> None:
    isolate(box, rootfs="ephemeral,size=1m")
    said = shell(
        box, "dd if=/dev/zero of=/a bs=1k count=2000 2>&1; wc -c </a; df -k / | tail -1 | awk '{print $2}' || :"
    )
    assert "No space left on device" in said
    assert int(said.splitlines()[-1]) <= 1 << 20


def test_read_only_it_still_takes_mount_points(box: Box) -> None:
    isolate(box, rootfs="ephemeral", workspace="/not/there").bundle.edit(root__readonly=True)
    box.bundle.mount("/nor/this", "tmpfs", "tmpfs")
    before = snapshot(box.bundle.rootfs)
    assert shell(box, "touch /nor/this/a /not/there/a; touch /b; ls -A /nor/this /not/there; ls /b", status=1) == (
        "/nor/this:\na\n\n/not/there:\na\n"
    )
    assert snapshot(box.bundle.rootfs) == before


def test_a_rootfs_that_nobody_can_write_to_is_writable_inside(box: Box, tmp_path: Path) -> None:
    with mounted("--bind", box.bundle.rootfs, box.bundle.rootfs):
        run("mount", "-o", "remount,bind,ro", box.bundle.rootfs)
        assert shell(isolate(box, rootfs="ephemeral"), "touch /etc/new; ls /etc/new") == "/etc/new\n"


def test_in_a_user_namespace_root_inside_owns_it(rich: Box) -> None:
    in_user_namespace(rich)
    before = snapshot(rich.bundle.rootfs)
    said = shell(rich, "touch /new; rm -r /rich/sub /rich/link; mkdir /rich/sub; stat -c %u / /new /etc/passwd")
    assert said == "0\n0\n0\n"
    assert snapshot(rich.bundle.rootfs) == before
    rich.nothing_left()


def test_files_of_the_layer_belong_to_who_is_mapped(box: Box) -> None:
    in_user_namespace(isolate(box, rootfs="ephemeral")).bundle.args("/bin/touch", "/etc/new")
    box.create()
    box.start()
    box.until_stopped()
    (layer,) = layer_mounts(box)
    assert os.stat(layer + "/upper/etc/new").st_uid == FIRST_UID


# Where the rootfs is not a plain directory


def overlay(tmp_path: Path, name: str, lower: Path) -> Path:
    """The words of a mount of an overlay over ``lower``."""
    for part in ("upper", "work", "merged"):
        (tmp_path / name / part).mkdir(parents=True)
    return tmp_path / name


def test_a_rootfs_that_is_an_overlay_itself(box: Box, tmp_path: Path) -> None:
    place = overlay(tmp_path, "one", box.bundle.rootfs)
    options = f"lowerdir={box.bundle.rootfs},upperdir={place}/upper,workdir={place}/work"
    with mounted("-t", "overlay", "-o", options, "overlay", place / "merged"):
        box.bundle.edit(root__path=str(place / "merged"))
        assert shell(isolate(box, rootfs="ephemeral"), "rm -r /etc; touch /new; ls -d /etc /new", status=1) == "/new\n"
    assert os.listdir(place / "upper") == []


def test_an_overlay_over_an_overlay_cannot_carry_another(box: Box, tmp_path: Path) -> None:
    one, two = overlay(tmp_path, "one", box.bundle.rootfs), overlay(tmp_path, "two", box.bundle.rootfs)
    options = f"lowerdir={box.bundle.rootfs},upperdir={one}/upper,workdir={one}/work"
    with mounted("-t", "overlay", "-o", options, "overlay", one / "merged"), mounted("-t", "tmpfs", "tmpfs", two):
        for part in ("upper", "work", "merged"):
            (two / part).mkdir()
        options = f"lowerdir={one}/merged,upperdir={two}/upper,workdir={two}/work"
        with mounted("-t", "overlay", "-o", options, "overlay", two / "merged"):
            box.bundle.edit(root__path=str(two / "merged"))
            said = isolate(box, rootfs="ephemeral").create(status=1).stderr
            assert f'annotations["io.pyrunc.rootfs"]: overlay over {two}/merged' in said
            assert "an overlay over an overlay" in said
            assert not box.exists()
            assert box.cgroups() == []


def test_a_mount_below_the_rootfs_is_named(box: Box) -> None:
    inner = box.bundle.rootfs / "home"
    with mounted("-t", "tmpfs", "tmpfs", inner):
        said = isolate(box, rootfs="ephemeral").create(status=1).stderr
        assert (
            said
            == f"pyrunc: root.path: {inner} is mounted below {box.bundle.rootfs}, and an overlay would not show it\n"
        )
        assert not box.exists()
    assert shell(box, "echo fine") == "fine\n"


def test_a_rootfs_on_a_mount_that_forbids_set_id_and_devices_forbids_them_inside(box: Box) -> None:
    with mounted("--bind", box.bundle.rootfs, box.bundle.rootfs):
        run("mount", "-o", "remount,bind,nosuid,nodev", box.bundle.rootfs)
        said = shell(isolate(box, rootfs="ephemeral"), "grep ' / ' /proc/self/mountinfo")
    assert said.split()[5].split(",")[:3] == ["rw", "nosuid", "nodev"]


# The life of the layer


def test_a_stopped_container_keeps_what_it_has_written(box: Box) -> None:
    isolate(box, rootfs="ephemeral").bundle.args("/bin/sh", "-c", "echo result >/etc/new; rm /etc/group")
    box.create()
    (layer,) = layer_mounts(box)
    box.start()
    box.until_stopped()
    assert layer_mounts(box) == [layer]
    with open(layer + "/upper/etc/new") as file:
        assert file.read() == "result\n"
    assert os.stat(layer + "/upper/etc/group").st_rdev == 0
    assert stat.S_ISCHR(os.stat(layer + "/upper/etc/group").st_mode)
    assert box.command("diff", "ID").stdout.split() == ["D", "/etc/group", "A", "/etc/new"]
    box.delete()
    box.nothing_left()


def test_run_leaves_no_mount(box: Box) -> None:
    isolate(box, rootfs="ephemeral", workspace="/work", tmp="private")
    assert shell(box, "exit 3", status=3) == ""
    assert layer_mounts(box) == []
    box.nothing_left()


def test_killed_it_is_deleted_with_its_layer(box: Box) -> None:
    sleeping(box, rootfs="ephemeral")
    box.kill("KILL")
    box.until_stopped()
    assert len(layer_mounts(box)) == 1
    box.delete()
    box.nothing_left()


def test_a_damaged_state_keeps_no_layer_from_being_removed(box: Box) -> None:
    isolate(box, rootfs="ephemeral", workspace="/work").bundle.args("/bin/true")
    box.create()
    box.start()
    box.until_stopped()
    cgroups = box.cgroups()
    (box.root / box.id / "state.json").write_text("{")
    box.delete("--force")
    for path in reversed(cgroups):
        path.rmdir()  # nobody knows of them any more
    box.nothing_left()


def test_the_container_cannot_see_where_its_layer_is(box: Box) -> None:
    isolate(box, rootfs="ephemeral", workspace="/work", tmp="private")
    said = shell(box, f"cat /proc/self/mountinfo /proc/mounts; find / -xdev -name '*{box.id}*'; find / -name upper")
    assert str(box.root) not in said
    assert box.id not in said
    assert "/layers" not in said


def test_mount_points_in_the_layer_are_no_changes(box: Box) -> None:
    isolate(box, rootfs="ephemeral", workspace="/not/there")
    box.bundle.mount("/nor/this", "tmpfs", "tmpfs").args("/bin/true")
    before = contents(box.bundle.rootfs)
    box.create()
    box.start()
    box.until_stopped()
    assert box.command("diff", "ID").stdout == ""
    box.delete()
    assert contents(box.bundle.rootfs) == before
