"""io.pyrunc.cow: bind mounts that a container may do anything to, and whose sources never learn of it."""

from __future__ import annotations

import os
import socket
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import contents
from tests.root.isolated import (
    ACL,
    CAPABILITY,
    FIRST_GID,
    FIRST_UID,
    attributes,
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

CAPABILITIES = ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_MKNOD", "CAP_SYS_ADMIN"]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host with a few things in it."""
    path = tmp_path / "host"
    (path / "sub").mkdir(parents=True)
    (path / "file").write_text("of the host\n")
    (path / "file").chmod(0o600)
    (path / "sub/below").write_text("below\n")
    (path / "hard").hardlink_to(path / "file")
    (path / "link").symlink_to("file")
    os.mkfifo(path / "fifo")
    return path


@pytest.fixture
def able(box: Box) -> Box:
    """A container that may do nearly everything."""
    sets: Any = dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES)
    box.bundle.edit(process__capabilities=sets)
    return box


def bound(box: Box, destination: str, source: Path | str, *options: str) -> Box:
    box.bundle.mount(destination, "bind", source, *(options or ("bind",)))
    return box


# A file


CHANGES = {
    "it is appended to": "echo more >>/c",
    "it is overwritten": "echo >/c",
    "it is truncated": ": >/c",
    "its mode changes": "chmod 777 /c",
    "its owner changes": "chown 7:8 /c",
    "its time changes": "touch -d '2001-01-01 01:01' /c",
    "it cannot be renamed": "mv /c /c2 || rm -f /c2; echo more >>/c",
    "it cannot be removed": "rm /c || echo more >>/c",
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_happens_to_a_file_its_source_is_as_it_was(able: Box, host: Path, change: str) -> None:
    bound(isolate(able, cow="/c"), "/c", host / "file")
    before = snapshot(host)
    shell(able, f"cat /c; {CHANGES[change]}; stat -c '%s %a %u %Y' /c")
    assert snapshot(host) == before
    able.nothing_left()


def test_a_file_is_a_copy_with_everything_that_belongs_to_it(box: Box, host: Path) -> None:
    source = host / "program"
    source.write_text("#!/bin/sh\n")
    os.chown(source, 1000, 50)
    source.chmod(0o6755)
    os.setxattr(source, "security.capability", CAPABILITY)
    os.setxattr(source, "user.note", b"a note")
    os.setxattr(source, "trusted.note", b"another")
    os.setxattr(source, "system.posix_acl_access", ACL)
    os.utime(source, ns=(10**18, 10**18 + 7))
    isolate(bound(box, "/c", source), cow="/c").bundle.args("/bin/sleep", "10000")
    box.create()
    copy = f"/proc/{box.state()['pid']}/root/c"
    wanted, found = source.stat(), os.stat(copy)
    for name in ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert (found.st_dev, found.st_ino) != (wanted.st_dev, wanted.st_ino)
    names = os.listxattr(source)
    assert sorted(os.listxattr(copy)) == sorted(names)
    assert {name: os.getxattr(copy, name) for name in names} == attributes(source)
    assert len(names) == 4
    box.delete("--force")


def test_holes_stay_holes(box: Box, host: Path) -> None:
    with open(host / "sparse", "wb") as file:
        file.write(b"a")
        file.seek(1 << 30)
        file.write(b"b")
        file.truncate(3 << 30)
    isolate(bound(box, "/c", host / "sparse"), cow="/c")
    said = shell(box, "stat -c '%s %b' /c; dd if=/c bs=1 skip=1073741824 count=1 2>/dev/null; head -c 1 /c")
    size, blocks, last = said.replace("\n", " ").split(" ")
    assert size == str(3 << 30)
    assert int(blocks) * 512 < 1 << 20
    assert last == "ba"


@pytest.mark.parametrize("size", [0, 1, 4096, 5_000_001])
def test_the_contents_are_the_same(box: Box, host: Path, size: int) -> None:
    data = os.urandom(size)
    (host / "data").write_bytes(data)
    isolate(bound(box, "/c", host / "data"), cow="/c").bundle.args("/bin/sleep", "1000")
    box.create()
    with open(f"/proc/{box.state()['pid']}/root/c", "rb") as file:
        assert file.read() == data
    box.delete("--force")


def test_a_file_is_that_of_the_moment_of_creation(box: Box, host: Path) -> None:
    bound(box, "/c", host / "file")
    sleeping(box, cow="/c")
    (host / "file").write_text("changed later\n")
    assert within(box, "cat /c") == "of the host\n"
    os.replace(host / "sub/below", host / "file")
    assert within(box, "echo more >>/c; cat /c") == "of the host\nmore\n"
    box.delete("--force")
    assert (host / "file").read_text() == "below\n"


def test_a_file_that_changes_all_the_time_is_whole_or_refused(box: Box, host: Path) -> None:
    # Each write replaces the whole contents with one byte, repeated: a torn copy has two different ones.
    size = 1 << 20
    (host / "busy").write_bytes(b"a" * size)
    isolate(bound(box, "/c", host / "busy"), cow="/c").bundle.args("/bin/sleep", "1000")
    stop = threading.Event()

    def write() -> None:
        with open(host / "busy", "r+b", buffering=0) as file:
            for number in range(1_000_000):
                if stop.is_set():
                    return
                os.pwrite(file.fileno(), bytes([97 + number % 26]) * size, 0)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            result = box.create(status=None)
            if result.status:
                assert f"{host}/busy: changes while it is copied (EBUSY)" in result.stderr
                box.nothing_left()
                continue
            with open(f"/proc/{box.state()['pid']}/root/c", "rb") as file:
                data = file.read()
            box.delete("--force")
            assert len(data) == size
            assert len(set(data)) == 1
    finally:
        stop.set()
        writer.join()


def test_a_symlink_as_a_source_stands_for_the_file(box: Box, host: Path) -> None:
    isolate(bound(box, "/c", host / "link"), cow="/c")
    before = snapshot(host)
    assert shell(box, "echo more >>/c; cat /c") == "of the host\nmore\n"
    assert snapshot(host) == before


def test_read_only_it_is_a_copy_that_nobody_changes(able: Box, host: Path) -> None:
    bound(isolate(able, cow="/c:/d"), "/c", host / "file", "bind", "ro")
    bound(able, "/d", host, "rbind", "ro")
    said = shell(able, "echo >/c; chmod 777 /c; echo >/d/new; rm /d/file; stat -c %a /c /d/file", status=None)
    assert said == "600\n600\n"


def test_over_a_file_of_the_image(box: Box, host: Path) -> None:
    before = snapshot(box.bundle.rootfs)
    isolate(bound(box, "/etc/passwd", host / "file"), cow="/etc/passwd")
    assert shell(box, "echo more >>/etc/passwd; cat /etc/passwd") == "of the host\nmore\n"
    assert snapshot(box.bundle.rootfs) == before


def test_a_program_may_be_executed_wherever_the_state_is_kept(box: Box, host: Path, tmp_path: Path) -> None:
    (host / "program").write_text("#!/bin/sh\necho ran\n")
    (host / "program").chmod(0o755)
    (tmp_path / "run").mkdir()
    with mounted("-t", "tmpfs", "-o", "noexec,nosuid,nodev", "tmpfs", tmp_path / "run"):
        box.root = tmp_path / "run"
        isolate(bound(box, "/c", host / "program"), cow="/c")
        assert shell(box, "/c") == "ran\n"


def test_what_the_sources_mount_forbids_stays_forbidden(box: Box, host: Path) -> None:
    with mounted("--bind", host, host):
        run("mount", "-o", "remount,bind,nosuid,nodev,noexec", host)
        isolate(bound(bound(box, "/c", host / "file"), "/d", host), cow="/c:/d")
        said = shell(box, "grep -E ' /(c|d) ' /proc/self/mountinfo")
    assert [line.split()[5].split(",")[:4] for line in said.splitlines()] == [["rw", "nosuid", "nodev", "noexec"]] * 2


def test_what_the_sources_mount_allows_is_allowed(box: Box, host: Path) -> None:
    isolate(bound(bound(box, "/c", host / "file"), "/d", host), cow="/c:/d")
    said = shell(box, "grep -E ' /(c|d) ' /proc/self/mountinfo")
    assert [line.split()[5] for line in said.splitlines()] == ["rw,relatime"] * 2


def test_what_the_container_writes_to_a_copy_is_limited_by_its_memory(box: Box, host: Path) -> None:
    isolate(bound(box, "/c", host / "file"), cow="/c").bundle.edit(linux__resources={"memory": {"limit": 16 << 20}})
    free = os.statvfs(host).f_bavail
    shell(box, "dd if=/dev/zero of=/c bs=1M count=100; :", status=None)
    assert abs(os.statvfs(host).f_bavail - free) * os.statvfs(host).f_frsize < 64 << 20
    box.nothing_left()


# A directory


EVERYTHING = """
cd /d; echo more >>file; echo >hard; mv sub sub2; rm -r sub2; mkdir sub; chmod 777 .; chown 7:8 link sub .
rm fifo; ln -s / fifo; mv link file; : >new; mkdir -p a/b/c; touch -d '2001-01-01 01:01' hard; rm -r hard
ls -A | tr '\\n' ' '
"""


def test_whatever_happens_in_a_directory_its_source_is_as_it_was(able: Box, host: Path) -> None:
    bound(isolate(able, cow="/d"), "/d", host, "rbind")
    before = snapshot(host)
    assert shell(able, EVERYTHING) == "a fifo file new sub "
    assert snapshot(host) == before
    able.nothing_left()


def test_a_directory_is_there_with_everything(box: Box, host: Path) -> None:
    os.setxattr(host, "user.note", b"on top")
    os.setxattr(host / "file", "user.note", b"a note")
    os.setxattr(host / "file", "security.capability", CAPABILITY)
    os.setxattr(host / "sub", "system.posix_acl_access", ACL)
    host.chmod(0o3751)
    isolate(bound(box, "/d", host), cow="/d").bundle.args("/bin/sleep", "1000")
    box.create()
    inside = f"/proc/{box.state()['pid']}/root/d"
    for name in ("", "file", "sub", "sub/below", "fifo"):
        wanted, found = os.stat(host / name), os.stat(f"{inside}/{name}")
        assert (found.st_mode, found.st_uid, found.st_mtime_ns) == (wanted.st_mode, wanted.st_uid, wanted.st_mtime_ns)
        assert {key: os.getxattr(f"{inside}/{name}", key) for key in attributes(host / name)} == attributes(host / name)
    box.delete("--force")


def test_a_directory_shows_changes_of_what_the_container_has_not_touched(box: Box, host: Path) -> None:
    bound(box, "/d", host)
    sleeping(box, cow="/d")
    within(box, "echo mine >>/d/file; rm /d/hard")
    (host / "file").write_text("changed later\n")
    (host / "sub/below").write_text("changed later\n")
    assert within(box, "cat /d/file /d/sub/below; ls /d/hard 2>/dev/null || true") == (
        "of the host\nmine\nchanged later\n"
    )


def test_two_containers_have_a_directory_each(box: Box, new_box: Callable[..., Box], host: Path) -> None:
    other = new_box()
    for each in (box, other):
        bound(each, "/d", host, "rbind")
        sleeping(each, cow="/d")
    within(box, "echo secret >/d/file; touch /d/new")
    assert within(other, "cat /d/file; ls /d/new 2>/dev/null || true") == "of the host\n"
    before = snapshot(host)
    box.delete("--force")
    other.delete("--force")
    assert snapshot(host) == before


def test_mounts_below_a_directory_need_no_mount_point_in_it(box: Box, host: Path) -> None:
    isolate(bound(box, "/d", host), cow="/d").bundle.mount("/d/deep/mount", "tmpfs", "tmpfs")
    before = snapshot(host)
    assert shell(box, "touch /d/deep/mount/a; ls /d/deep") == "mount\n"
    assert snapshot(host) == before


def test_several_files_and_directories(box: Box, host: Path) -> None:
    for destination, source in {"/a": "file", "/b": "sub", "/c": "sub/below", "/d": "link"}.items():
        bound(box, destination, host / source)
    before = snapshot(host)
    isolate(box, cow="/a:/b:/c/:/d").bundle.args("/bin/sh", "-c", "for f in /a /b/new /c /d; do echo x >>$f; done")
    box.create()
    assert len(layer_mounts(box)) == 2, "one for the directory, one for all copies"
    box.start()
    box.until_stopped()
    assert snapshot(host) == before
    box.delete()
    box.nothing_left()


def test_a_bind_mount_that_is_not_named_still_writes_through(box: Box, host: Path) -> None:
    isolate(bound(bound(box, "/c", host / "file"), "/d", host), cow="/c")
    shell(box, "echo a >>/c; echo a >/d/new")
    assert (host / "file").read_text() == "of the host\n"
    assert (host / "new").read_text() == "a\n"


@pytest.mark.parametrize("what", ["file", "sub"])
def test_in_a_user_namespace_owners_are_those_inside(able: Box, host: Path, what: str) -> None:
    run("chown", "-R", f"{FIRST_UID + 1000}:{FIRST_GID + 50}", host)
    in_user_namespace(isolate(bound(able, "/d", host / what), cow="/d"))
    before = snapshot(host)
    change = "echo a >>/d" if what == "file" else "echo a >/d/below"
    assert shell(able, f"stat -c '%u %g' /d; {change}; chown 7:8 /d; stat -c %u /d") == "1000 50\n7\n"
    assert snapshot(host) == before


# What cannot be had


def test_what_is_neither_file_nor_directory_is_refused(box: Box, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "device", stat.S_IFCHR, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(tmp_path)
        listener.bind("socket")
        os.chdir(here)
        for name in ("fifo", "device", "socket"):
            bound(isolate(box, cow="/c"), "/c", tmp_path / name)
            said = box.create_refused()
            assert f"{tmp_path}/{name}: only a directory or a regular file can be copied on write" in said
            assert "mounts[" in said
            box.bundle.config["mounts"].pop()


def test_a_source_that_is_not_there_is_refused(box: Box, tmp_path: Path) -> None:
    said = isolate(bound(box, "/c", tmp_path / "nothing"), cow="/c").create_refused()
    assert f"{tmp_path}/nothing: no such file or directory" in said


@pytest.mark.parametrize("source", ["/proc/cpuinfo", "/sys/kernel/profiling", "/proc/self/mounts"])
def test_a_file_that_does_not_say_how_much_it_holds_is_refused(box: Box, source: str) -> None:
    said = isolate(bound(box, "/c", source), cow="/c").create_refused()
    assert 'annotations["io.pyrunc.cow"]' in said
    assert "does not say how much it holds" in said


def test_a_directory_whose_file_system_cannot_be_below_an_overlay_is_refused(box: Box) -> None:
    said = isolate(bound(box, "/d", "/proc/fs"), cow="/d").create_refused()
    assert 'annotations["io.pyrunc.cow"]: overlay over /proc/fs: invalid argument (EINVAL)' in said


def test_a_directory_with_a_mount_below_it_is_refused(box: Box, host: Path) -> None:
    bound(isolate(box, cow="/d"), "/d", host, "rbind")
    with mounted("-t", "tmpfs", "tmpfs", host / "sub"):
        said = box.create(status=1).stderr
        assert f"{host}/sub is mounted below {host}, and an overlay would not show it" in said
    before = contents(box.bundle.rootfs)
    assert not box.exists()
    assert contents(box.bundle.rootfs) == before
