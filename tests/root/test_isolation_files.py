"""Bind mounts of single files, as plain OCI has them: that file is there, and nothing else of the host."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import contents
from tests.root.isolated import in_user_namespace, isolate, shell, sleeping, within
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host with a file to share, and one to keep."""
    path = tmp_path / "host-directory"
    path.mkdir()
    (path / "shared").write_text("shared\n")
    (path / "kept").write_text("kept for myself\n")
    return path


@pytest.fixture(params=["bind", "cow"])
def sharing(request: pytest.FixtureRequest, box: Box, host: Path) -> Box:
    """A container that has the file at /in/file, itself or as a copy."""
    box.bundle.mount("/in/file", "bind", host / "shared", "bind")
    return isolate(box, cow="/in/file") if request.param == "cow" else box


# Only that file


def test_its_neighbours_are_not_there(sharing: Box) -> None:
    assert shell(sharing, "cat /in/file; ls -A /in") == "shared\nfile\n"


def test_dots_lead_to_the_containers_own_directories(sharing: Box) -> None:
    (sharing.bundle.rootfs / "etc/hostname").write_text("of the image\n")
    said = shell(sharing, "cat /in/file/../../etc/hostname /in/../etc/hostname; ls -A /in/file/.. 2>&1", status=None)
    assert "kept" not in said
    assert shell(sharing, "cat /in/../etc/hostname") == "of the image\n"


@pytest.mark.parametrize("user_namespace", [False, True])
def test_no_path_in_the_whole_container_leads_to_the_neighbour_or_the_state(
    sharing: Box, host: Path, user_namespace: bool
) -> None:
    if user_namespace:
        in_user_namespace(sharing)
        run("chown", "-R", "100000:200000", host)
    isolate(sharing, tmp="private", workspace="/work")
    search = (
        "find / -path /proc/[0-9]* -prune -o -type f -size -2 -print 2>/dev/null | grep -v ^/sys | "
        "xargs grep -l 'kept for' 2>/dev/null; "
        f"find / -path /sys -prune -o '(' -name '*{sharing.id}*' -o -name host-directory -o -name kept "
        "-o -name layers ')' -print 2>/dev/null; "
        "for n in $(ls /proc/self/fd); do readlink /proc/self/fd/$n; done | grep -e layers -e host-directory; :"
    )
    assert shell(sharing, search) == ""


def test_the_mount_table_has_no_directory_of_the_host_that_can_be_opened(sharing: Box, host: Path) -> None:
    script = (
        "grep ' /in/file ' /proc/self/mountinfo; for r in $(cut -d' ' -f4 /proc/self/mountinfo); do"
        " ls -d $r/kept 2>/dev/null; ls -d ${r%/*}/kept 2>/dev/null; done; :"
    )
    lines = shell(sharing, script).splitlines()
    assert len(lines) == 1, "the root of the mount is a path of the host's file system, and leads nowhere inside"


def test_a_copys_mount_tells_nothing_of_the_host(box: Box, host: Path) -> None:
    isolate(box, cow="/in/file").bundle.mount("/in/file", "bind", host / "shared", "bind")
    said = shell(box, "cat /proc/self/mountinfo")
    (line,) = [line for line in said.splitlines() if " /in/file " in line]
    assert line.split()[3].count("/") == 1
    assert str(host) not in said
    assert box.id not in said


def test_paths_that_differ_in_a_slash_are_different_files(box: Box, host: Path) -> None:
    names = ("a/b", "a_b", "a-b", "a/b_c", "a_/b", "a__b")
    for number, name in enumerate(names):
        (host / str(number)).write_text(f"{name}\n")
        box.bundle.mount(f"/{name}", "bind", host / str(number), "bind")
    before = contents(box.bundle.rootfs)
    for cow in (names[:1], names):
        isolate(box, cow=":".join(f"/{name}" for name in cow))
        said = shell(box, "".join(f"cat /{name}; " for name in names))
        assert said == "".join(f"{name}\n" for name in names)
        assert contents(box.bundle.rootfs) == before


@pytest.mark.parametrize("cow", [False, True])
def test_another_source_on_the_next_start_is_all_that_is_seen(box: Box, host: Path, cow: bool) -> None:
    if cow:
        isolate(box, cow="/in/file")
    for name in ("shared", "kept", "shared"):
        mounts = [entry for entry in box.bundle.config["mounts"] if entry["destination"] != "/in/file"]
        box.bundle.edit(mounts=mounts).mount("/in/file", "bind", host / name, "bind")
        assert shell(box, "cat /in/file; ls -A /in") == (host / name).read_text() + "file\n"


# The file itself


def test_writes_reach_the_file_and_only_that(box: Box, host: Path) -> None:
    box.bundle.mount("/in/file", "bind", host / "shared", "bind")
    before = contents(host)["kept"]
    shell(box, "echo changed >/in/file; chmod 640 /in/file; rm /in/file; mv /in/file /in/other; echo >/in/kept; :")
    assert (host / "shared").read_text() == "changed\n"
    assert (host / "shared").stat().st_mode & 0o777 == 0o640
    assert contents(host)["kept"] == before
    assert sorted(os.listdir(host)) == ["kept", "shared"]


def test_a_file_replaced_on_the_host_stays_what_it_was_inside(box: Box, host: Path) -> None:
    # rename(2) gives the name another file; the mount is of the file.  A write to the same file is seen at once.
    box.bundle.mount("/in/file", "bind", host / "shared", "bind")
    sleeping(box)
    (host / "shared").write_text("written in place\n")
    assert within(box, "cat /in/file") == "written in place\n"
    (host / "new").write_text("put in its place\n")
    os.replace(host / "new", host / "shared")
    assert within(box, "cat /in/file") == "written in place\n"
    within(box, "echo to the old one >/in/file")
    assert (host / "shared").read_text() == "put in its place\n"
    (host / "shared").unlink()
    assert within(box, "cat /in/file") == "to the old one\n"
    box.delete("--force")
    (host / "shared").write_text("the next start sees this\n")
    assert shell(box, "cat /in/file") == "the next start sees this\n"


def test_read_only_the_file_cannot_be_changed(box: Box, host: Path) -> None:
    (host / "shared").chmod(0o600)
    box.bundle.mount("/in/file", "bind", host / "shared", "bind", "ro")
    before = contents(host)
    said = shell(box, "echo x >/in/file; chmod 777 /in/file; rm -f /in/file; stat -c %a /in/file; cat /in/file; :")
    assert said == "600\nshared\n"
    assert contents(host) == before


REMOUNT = "mount -o remount,bind,rw /in/file; mount -o remount,rw /in/file; umount /in/file; echo x >/in/file; :"


def able(box: Box, *names: str) -> None:
    sets: Any = {key: list(names) for key in ("bounding", "effective", "permitted")}
    box.bundle.edit(process__capabilities=sets)


def test_read_only_survives_remounts_without_the_right_to_mount(box: Box, host: Path) -> None:
    box.bundle.mount("/in/file", "bind", host / "shared", "bind", "ro")
    assert shell(box, f"{REMOUNT}; cat /in/file") == "shared\n"
    assert (host / "shared").read_text() == "shared\n"


def test_read_only_survives_remounts_of_root_in_a_user_namespace(box: Box, host: Path) -> None:
    # The kernel locks the flags of mounts that come from a more privileged mount namespace (mount_namespaces(7)).
    box.bundle.mount("/in/file", "bind", host / "shared", "bind", "ro")
    in_user_namespace(box)
    able(box, "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
    run("chown", "-R", "100000:200000", host)
    shell(box, REMOUNT, status=None)
    assert (host / "shared").read_text() == "shared\n"


def test_with_the_right_to_mount_on_the_host_read_only_is_a_request(box: Box, host: Path) -> None:
    # CAP_SYS_ADMIN in the host's user namespace may change every mount that it sees.  A copy keeps the source safe.
    box.bundle.mount("/in/file", "bind", host / "shared", "bind", "ro")
    able(box, "CAP_SYS_ADMIN")
    shell(box, "mount -o remount,bind,rw /in/file; echo changed >/in/file; :", status=None)
    assert (host / "shared").read_text() == "changed\n"
    (host / "shared").write_text("shared\n")
    isolate(box, cow="/in/file")
    assert shell(box, "mount -o remount,bind,rw /in/file; echo changed >/in/file; cat /in/file") == "changed\n"
    assert (host / "shared").read_text() == "shared\n"


def test_the_state_names_no_layer_for_a_copy_of_a_file(box: Box, host: Path) -> None:
    box.bundle.mount("/in/file", "bind", host / "shared", "bind")
    sleeping(box, cow="/in/file")
    assert json.loads((box.root / box.id / "state.json").read_text())["layers"] == []


def test_two_containers_have_a_copy_each(box: Box, new_box: Callable[..., Box], host: Path) -> None:
    other = new_box()
    for each in (box, other):
        each.bundle.mount("/in/file", "bind", host / "shared", "bind")
        sleeping(each, cow="/in/file")
    within(box, "echo mine >/in/file")
    assert within(other, "cat /in/file") == "shared\n"
    box.delete("--force")
    assert within(other, "cat /in/file") == "shared\n"
    other.delete("--force")
    other.nothing_left()
