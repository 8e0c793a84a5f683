"""config-linux#default-devices, runtime-linux: what is in /dev, and which descriptors are open."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.config import add_mount, without_mount
from conformance.marks import decides, needs
from conformance.runtime import create_arguments

if TYPE_CHECKING:
    from conformance.workshop import Maker, Workshop

#: Name -> numbers.
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
PTS = ("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620")


@pytest.fixture(params=[True, False], ids=["tmpfs", "plain"])
def in_dev(request: pytest.FixtureRequest, container: Maker) -> dict[str, object]:
    """What a container sees in /dev, be that a mount or a directory of the root file system."""
    box = container()
    if not request.param:
        without_mount(box.config, "/dev")
    found = box.report()["dev"]
    assert isinstance(found, dict)
    return found


@decides(*(f"config-linux.default-devices.{name}" for name in DEVICES))
@decides("config-linux.default-devices.without-dev-mount")
def test_the_default_devices_are_there(in_dev: dict[str, dict[str, object]]) -> None:
    found = {name: in_dev.get(name, {}) for name in DEVICES}
    numbers = {name: (seen.get("type"), seen.get("major"), seen.get("minor")) for name, seen in found.items()}
    assert numbers == {name: ("char", *pair) for name, pair in DEVICES.items()}


@decides(*(f"config-linux.default-devices.{name}" for name in ("null", "zero", "full", "random", "urandom")))
def test_the_default_devices_work(container: Maker) -> None:
    reads = ["peek=/dev/zero", "peek=/dev/null", "peek=/dev/random", "peek=/dev/urandom"]
    seen = container().report("put=/dev/null", "put=/dev/full", *reads)
    assert seen.errno("put", "/dev/null") == 0
    assert seen.errno("put", "/dev/full") == errno.ENOSPC
    assert seen.answer("peek", "/dev/null") == []
    assert seen.answer("peek", "/dev/zero") == [0] * 8
    assert [len(seen.answer("peek", f"/dev/{name}")) for name in ("random", "urandom")] == [8, 8]


@decides("config-linux.default-devices.ptmx")
@needs("root")
def test_ptmx_is_of_the_containers_devpts(container: Maker) -> None:
    box = container()
    add_mount(box.config, *PTS)
    found = box.report("pty=/dev/ptmx").answer("pty", "/dev/ptmx")
    assert found.get("type") == "char", found
    assert found["device"] != os.stat("/dev/pts").st_dev


@decides("config-linux.default-devices.console")
@needs("root")
def test_with_a_terminal_console_is_the_terminal(workshop: Workshop, container: Maker) -> None:
    box = container("write", "/dev/console", "it is the console\n", "+", "wait")
    box.config["process"]["terminal"] = True
    add_mount(box.config, *PTS)
    place = workshop.folder / "console"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        box.create(console_socket=place)
        sent, _ = listener.accept()
        with sent:
            _, (terminal,), _, _ = socket.recv_fds(sent, 4096, 1)
    with open(terminal, "rb", buffering=0) as stream:
        box.start()
        read = b""
        while b"\n" not in read:
            read += stream.read(4096)
    assert read.startswith(b"it is the console")


@decides(*(f"runtime-linux.dev-symbolic-links.{name}" for name in LINKS))
@decides("runtime-linux.dev-symbolic-links.without-dev-mount")
def test_the_links_are_there(in_dev: dict[str, dict[str, object]]) -> None:
    found = {name: in_dev.get(name, {}) for name in LINKS}
    assert {name: (seen.get("type"), seen.get("target")) for name, seen in found.items()} == {
        name: ("link", target) for name, target in LINKS.items()
    }


@decides("runtime-linux.dev-symbolic-links.by-create")
@needs("root")
def test_the_links_are_there_when_create_has_returned(container: Maker) -> None:
    box = container()
    box.create()
    dev = Path(f"/proc/{box.pid}/root/dev")
    assert {name: os.readlink(dev / name) for name in LINKS} == LINKS


@decides("runtime-linux.file-descriptors.standard-streams", "runtime-linux.file-descriptors.nothing-else")
def test_the_standard_streams_are_open_and_nothing_else(container: Maker) -> None:
    assert sorted(container().report()["fds"], key=int) == ["0", "1", "2"]


@decides("runtime-linux.file-descriptors.callers-closed")
def test_what_the_caller_left_open_is_closed(workshop: Workshop, container: Maker) -> None:
    box = container("report")
    box.bundle.write()
    source = os.open("/dev/null", os.O_RDONLY)
    fds = [os.dup(source) for _ in range(20)]
    try:
        arguments = create_arguments(box.id, box.bundle.path, box.pid_file)
        workshop.runtime.call("create", *arguments, fds=fds).succeeded()
        box.exists, box.out = True, workshop.runtime.last.out
        box.watch()
        workshop.runtime.call("start", box.id, fds=fds).succeeded()
    finally:
        for fd in (source, *fds):
            os.close(fd)
    box.wait()
    assert sorted(box.seen()["fds"], key=int) == ["0", "1", "2"]
