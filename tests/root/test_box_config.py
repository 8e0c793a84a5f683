"""Configs of boxes, run like any bundle: what a program in a box sees, and what stays as it was on the host."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.sandbox import skeleton
from tests.root.boxes import Boxes
from tests.support import bundles
from tests.support.canary import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.bundles import Bundle
    from tests.support.canary import Canary

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


@pytest.fixture
def boxes(runtime: Path, root: Path, tmp_path: Path, ids: Callable[[], str]) -> Iterator[Boxes]:
    """After the test the skeleton is as it was before the first box."""
    root.mkdir()
    path = Path(skeleton.prepare(str(root)).path)
    before = tree(path)
    yield Boxes(runtime, root, tmp_path, ids)
    assert tree(path) == before


#: What a program can find out about where it is.
LOOK = """
import glob, json, os, pwd, resource, socket
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "ids": [os.getuid(), os.getgid(), os.getgroups()],
    "name": pwd.getpwuid(os.getuid())[0],
    "capabilities": [status[kind].strip() for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "privileges": [status[kind].strip() for kind in ("NoNewPrivs", "Seccomp")],
    "pids": [name for name in os.listdir("/proc") if name.isdigit()],
    "interfaces": [name for _, name in socket.if_nameindex()],
    "hostname": socket.gethostname(),
    "cwd": os.getcwd(),
    "env": sorted(os.environ),
    "top": sorted(os.listdir("/")),
    "devices": sorted(os.listdir("/dev")),
    "cgroup": {line.split(":")[2] for line in open("/proc/self/cgroup").read().split()} == {"/"},
    "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
    "umask": f"{os.umask(0):03o}",
    "home": os.listdir("/home") + os.listdir("/root") + os.listdir("/run") + os.listdir("/sys"),
}))
"""


def test_a_box_of_the_host_shows_nothing_of_the_host_but_programs(boxes: Boxes) -> None:
    seen = json.loads(boxes.run("python3", "-c", LOOK, workspace="/work").stdout)
    assert seen["ids"] == [1000, 1000, []]
    assert seen["name"] == "sandbox"
    assert set(seen["capabilities"]) == {"0" * 16}
    assert seen["privileges"] == ["1", "2"]
    assert seen["pids"] == ["1"]
    assert (seen["interfaces"], seen["hostname"], seen["cwd"]) == (["lo"], "sandbox", "/work")
    assert [name for name in seen["env"] if name != "LC_CTYPE"] == ["HOME", "LANG", "PATH"]
    assert set(seen["top"]) - {*skeleton.USR_LINKS} == set(skeleton.DIRECTORIES)
    assert seen["devices"] == [
        "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero",
    ]  # fmt: skip
    assert seen["cgroup"]
    assert seen["core"] == 1
    assert seen["umask"] == "022"
    assert seen["home"] == []


#: Tries to write wherever it can think of; prints where that worked.
SCRIBBLE = """
import os
places = ["/", "/usr", "/usr/bin", "/etc", "/dev", "/var", "/proc/sys/kernel", "/home", "/run", "/root", "/opt", "/sys"]
for place in [*places, "/tmp", "/var/tmp", "/work", "/dev/shm", "/dev/mqueue", *os.environ.get("MORE", "").split()]:
    try:
        open(place + "/scribble", "w").close()
    except OSError:
        continue
    print(place)
"""


@pytest.mark.parametrize("user", [1000, 0])
def test_only_what_is_private_can_be_written_to(user: int, boxes: Boxes) -> None:
    said = boxes.run("python3", "-c", SCRIBBLE, workspace="/work", user=user).stdout.split()
    assert said == ["/tmp", "/var/tmp", "/work", "/dev/shm", "/dev/mqueue"]
    said = boxes.run("python3", "-c", SCRIBBLE, tmp=None, user=user).stdout.split()
    assert said == ["/dev/shm", "/dev/mqueue"]


def test_a_writable_rootfs_forgets_what_was_written(boxes: Boxes) -> None:
    said = boxes.run("python3", "-c", SCRIBBLE, writable="1m", user=0).stdout.split()
    assert {"/", "/etc", "/var", "/home"} <= set(said)
    assert not {"/usr", "/dev", "/proc/sys/kernel"} & set(said)


def test_what_is_shared_is_shared_as_was_said(boxes: Boxes, tmp_path: Path, canary: Canary) -> None:
    """The neighbours of a file stay invisible, and nothing but rw reaches the host."""
    shared = tmp_path / "shared"
    (shared / "directory").mkdir(parents=True)
    shared.chmod(0o777)
    (shared / "directory").chmod(0o777)
    for name in ("file", "neighbour", "directory/below"):
        (shared / name).write_text("the host's\n")
        (shared / name).chmod(0o666)
    code = """
import os
for name in ("ro", "rw", "cow"):
    print(name, sorted(os.listdir(f"/data/{name}")))
    for path in (f"/data/{name}/file", f"/data/{name}/directory/below"):
        try:
            open(path, "a").write(f"by {name}\\n")
        except OSError as error:
            print(path, error.strerror)
        else:
            print(path, open(path).read().splitlines()[-1])
"""
    said = boxes.run(
        "python3", "-c", code,
        files={
            shared / "file": ("/data/rw/file", "rw"), str(shared) + "/./file": ("/data/cow/file", "cow"),
            str(shared) + "//file": "/data/ro/file", canary.path / "program": "/data/program",
        },
        mounts={
            shared / "directory": "/data/ro/directory", str(shared) + "/./directory": ("/data/cow/directory", "cow"),
            str(shared) + "//directory": ("/data/rw/directory", "rw"), canary.path: ("/canary", "cow"),
        },
    ).stdout.splitlines()  # fmt: skip
    assert said == [
        "ro ['directory', 'file']",
        "/data/ro/file Read-only file system",
        "/data/ro/directory/below Read-only file system",
        "rw ['directory', 'file']",
        "/data/rw/file by rw",
        "/data/rw/directory/below by rw",
        "cow ['directory', 'file']",
        "/data/cow/file by cow",
        "/data/cow/directory/below by cow",
    ]
    assert (shared / "file").read_text() == "the host's\nby rw\n"
    assert (shared / "directory/below").read_text() == "the host's\nby rw\n"


def test_mount_points_are_never_made_in_the_rootfs(boxes: Boxes, tmp_path: Path) -> None:
    rootfs = tmp_path / "rootfs"
    bundles.make_rootfs(rootfs)
    (rootfs / "proc").rmdir()
    before = tree(rootfs)
    source = tmp_path / "file"
    source.write_text("hello\n")
    source.chmod(0o644)
    done = boxes.run(
        "/bin/probe", rootfs=rootfs, workspace="/home/user/deep/er", files={source: "/no/such/place"}, cwd="/home/user"
    )
    seen = json.loads(done.stdout)
    assert seen["ids"]["uid"] == [1000] * 3
    assert tree(rootfs) == before


@pytest.mark.needs("busybox")
def test_a_bundle_is_a_box_with_its_mounts(boxes: Boxes, bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    made = bundle()
    (made.path / "data").mkdir()
    (made.path / "data" / "file").write_text("of the bundle\n")
    made.mount("/data", "bind", "data", "rbind", "ro")
    made.edit(process__env=["PATH=/bin", "A=1"], process__cwd="/home/user")
    code = "pwd; echo $A $HOME; cat /data/file; touch /tmp/x && grep CapBnd /proc/1/status"
    done = boxes.run("sh", "-c", code, rootfs=made)
    assert done.stdout.splitlines() == ["/home/user", "1 /tmp", "of the bundle", f"CapBnd:\t{'0' * 16}"]


@pytest.mark.needs("userns")
def test_a_user_namespace_keeps_ids_of_the_host_out(runtime: Path, ids: Callable[[], str]) -> None:
    """Root of the box is another user of the host, who cannot reach what is below pytest's directories."""
    with tempfile.TemporaryDirectory(prefix=f"{ids()}-") as folder:
        Path(folder).chmod(0o755)
        boxes = Boxes(runtime, Path(folder, "state"), Path(folder), ids)
        for user in (1000, 0):
            code = LOOK + "print(open('/proc/self/uid_map').read().split())"
            said = boxes.run("python3", "-c", code, userns=True, user=user, workspace="/work").stdout.splitlines()
            seen = json.loads(said[0])
            assert seen["ids"] == [user, user, []]
            assert set(seen["capabilities"]) == {"0" * 16}
            assert said[1] == "['0', '1879048192', '65536']"
            said = boxes.run("python3", "-c", SCRIBBLE, userns=True, user=user, workspace="/work").stdout.split()
            assert said == ["/tmp", "/var/tmp", "/work", "/dev/shm", "/dev/mqueue"]


def test_the_host_network_comes_with_its_name_servers(boxes: Boxes) -> None:
    done = boxes.run("sh", "-c", "cat /etc/resolv.conf; readlink /proc/self/ns/net", network=True)
    resolver, _, namespace = done.stdout.rstrip("\n").rpartition("\n")
    assert namespace == str(Path("/proc/self/ns/net").readlink())
    assert resolver.rstrip("\n") == Path("/etc/resolv.conf").read_text().rstrip("\n")


#: Makes processes that wait for ever, until it can make no more.
FORKS = """
import os, signal
for count in range(100):
    try:
        if os.fork() == 0:
            signal.pause()
    except OSError as error:
        print(count, error.strerror)
        break
"""


def test_limits_are_those_of_the_cgroup(boxes: Boxes) -> None:
    done = boxes.run("python3", "-c", FORKS, pids=8)
    assert done.stdout == "7 Resource temporarily unavailable\n"
    done = boxes.run("python3", "-c", "x = bytearray(64 << 20); print(len(x))", memory="32m", status=None)
    assert (done.status, done.stdout) == (128 + 9, "")


@pytest.mark.needs("runc")
def test_runc_runs_the_same_config(boxes: Boxes, runc: Path, tmp_path: Path) -> None:
    seen = json.loads(boxes.run("python3", "-c", LOOK, runtime=runc, memory="256m", pids=64, cpus=0.5).stdout)
    assert (seen["ids"], seen["hostname"], seen["interfaces"]) == ([1000, 1000, []], "sandbox", ["lo"])
    assert set(seen["capabilities"]) == {"0" * 16}
    assert boxes.run("python3", "-c", SCRIBBLE, runtime=runc).stdout.split() == ["/dev/shm", "/dev/mqueue"]
