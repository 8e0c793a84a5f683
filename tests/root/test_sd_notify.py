"""NOTIFY_SOCKET: a service manager hears from the container that it is ready (sd_notify(3))."""

from __future__ import annotations

import array
import os
import socket
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.box import DEADLINE, until, wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


class Manager:
    """A service manager: listens for what its services say, and closes what comes with a barrier."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(DEADLINE)
        self.env = {"NOTIFY_SOCKET": address, "PATH": "/usr/bin:/bin"}

    def heard(self) -> tuple[str, int]:
        """One message, and how many descriptors came with it."""
        data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(16))
        fds = array.array("i", b"".join(entry[2] for entry in ancillary))
        for fd in fds:
            os.close(fd)
        return data.decode(), len(fds)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "manager"))
    yield made
    made.socket.close()


@pytest.fixture
def short_root() -> Iterator[Path]:
    """runc's socket must fit into an address (unix(7))."""
    with tempfile.TemporaryDirectory(prefix="pyrunc-test-") as path:
        yield Path(path)


class Service:
    """``COMMAND`` under the manager, and the container that it starts."""

    def __init__(self, box: Box, manager: Manager, *words: str) -> None:
        self.box = box
        command = [str(box.runtime), "--root", str(box.root), *(box.id if word == "ID" else word for word in words)]
        with box.err.open("wb") as err:  # no pipe: the container has it, too
            self.process = subprocess.Popen(
                command, env=manager.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err
            )

    def running(self) -> int:
        until(lambda: self.box.exists() and self.box.command("state", "ID", status=None).status == 0, lambda: "exists")
        until(lambda: self.box.status() == "running", lambda: "is running")
        pid = self.box.state()["pid"]
        assert isinstance(pid, int)
        return pid

    def says(self, text: str) -> None:
        """As a process of the container would, through the container's own mounts."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.sendto(text.encode(), f"/proc/{self.box.state()['pid']}/root/run/notify/notify.sock")

    def ended(self) -> tuple[int, str]:
        return self.process.wait(DEADLINE), self.box.err.read_text()


@pytest.fixture
def service(new_box: Callable[..., Box], manager: Manager) -> Callable[..., Service]:
    """``start`` or ``run`` with these words, of a container that sleeps."""

    def make(*words: str, box: Box | None = None) -> Service:
        made = box or new_box("/bin/sleep", "1000")
        if words[0] == "start" and not made.exists():
            made.create(env=manager.env)
        return Service(made, manager, *(str(made.bundle.path) if word == "BUNDLE" else word for word in words))

    return make


COMMANDS = {
    "start": ("start", "ID"),
    "detached": ("run", "--detach", "--bundle", "BUNDLE", "ID"),
    "foreground": ("run", "--bundle", "BUNDLE", "ID"),
}


@pytest.mark.parametrize("how", COMMANDS)
def test_readiness_is_passed_on_with_the_main_process(
    how: str, manager: Manager, service: Callable[..., Service]
) -> None:
    made = service(*COMMANDS[how])
    pid = made.running()
    made.says("STATUS=warming up")
    made.says("X_READY=1")
    made.says("STATUS=done\nREADY=1")
    main = made.process.pid if how == "foreground" else pid
    assert [manager.heard() for _ in range(3)] == [("READY=1\n", 0), (f"MAINPID={main}\n", 0), ("BARRIER=1", 1)]
    if how == "foreground":
        made.box.kill("KILL")
    assert made.ended() == (137 if how == "foreground" else 0, "")
    made.box.delete("--force")
    made.box.nothing_left()


@pytest.mark.needs("runc")
@pytest.mark.parametrize("how", COMMANDS)
def test_the_container_sees_what_it_sees_under_runc(
    how: str,
    new_box: Callable[..., Box],
    service: Callable[..., Service],
    runc: Path,
    manager: Manager,
    short_root: Path,
) -> None:
    seen = []
    for box in (new_box("/bin/sleep", "1000", runtime=runc), new_box("/bin/sleep", "1000")):
        box.root = short_root
        made = service(*COMMANDS[how], box=box)
        pid = made.running()
        with open(f"/proc/{pid}/environ", "rb") as file:
            env = [entry for entry in file.read().split(b"\0") if entry.startswith(b"NOTIFY")]
        with open(f"/proc/{pid}/mountinfo") as table:
            mounts = [line.split() for line in table if " /run/notify " in line]
        modes = [os.stat(f"/proc/{pid}/root/run/notify{name}") for name in ("", "/notify.sock")]
        made.says("READY=1")
        main = manager.heard()[0], manager.heard()[0] == f"MAINPID={made.process.pid if how == 'foreground' else pid}\n"
        if box.runtime != runc:
            assert manager.heard() == ("BARRIER=1", 1)  # runc has it from 1.2 on
        seen.append(([line[4:6] for line in mounts], env, [stat.filemode(one.st_mode) for one in modes], main))
        if how == "foreground":
            box.kill("KILL")
        made.ended()
        box.delete("--force")
    assert seen[0] == seen[1]


def test_a_container_that_ends_without_a_word_is_no_error(
    new_box: Callable[..., Box], manager: Manager, service: Callable[..., Service]
) -> None:
    for command in COMMANDS.values():
        made = service(*command, box=new_box("/bin/true"))
        assert made.ended() == (0, "")
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.heard()


def test_configured_commands_are_not_kept_waiting(manager: Manager, service: Callable[..., Service]) -> None:
    made = service("start", "ID")
    pid = made.running()
    assert "NOTIFY_SOCKET" not in made.box.exec("ID", "env", env=manager.env).stdout
    made.box.delete("--force", env=manager.env)
    wait_for_exit(pid)
    assert made.ended() == (0, "")
    made.box.nothing_left()


def test_a_variable_of_the_config_is_replaced(
    new_box: Callable[..., Box], manager: Manager, service: Callable[..., Service]
) -> None:
    configured = new_box("/bin/sleep", "1000")
    configured.bundle.edit(process__env=["NOTIFY_SOCKET=/elsewhere", "A=B"])
    made = service("start", "ID", box=configured)
    with open(f"/proc/{made.running()}/environ", "rb") as file:
        assert file.read().split(b"\0")[:2] == [b"NOTIFY_SOCKET=/run/notify/notify.sock", b"A=B"]
    made.says("READY=1")
    assert {manager.heard()[0] for _ in range(3)} >= {"READY=1\n", "BARRIER=1"}
    assert made.ended() == (0, "")


def test_an_abstract_address(new_box: Callable[..., Box], container_id: str) -> None:
    manager = Manager(f"@{container_id}")
    box = new_box("/bin/sleep", "1000")
    box.create(env=manager.env)
    made = Service(box, manager, "start", "ID")
    made.running()
    made.says("READY=1")
    assert [manager.heard() for _ in range(3)][2] == ("BARRIER=1", 1)
    assert made.ended() == (0, "")
    manager.socket.close()


def test_a_manager_that_is_not_there_is_told_before_anything_runs(box: Box, tmp_path: Path) -> None:
    env = {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "PATH": "/usr/bin:/bin"}
    box.create(env=env)
    said = box.start(env=env, status=1).stderr
    assert said == f"pyrunc: NOTIFY_SOCKET: {tmp_path}/nobody: no such file or directory\n"
    assert box.status() == "created"
    box.delete()
    box.nothing_left()
    said = box.refused("run", "--bundle", box.bundle, "ID", env=env)
    assert said.endswith("nobody: no such file or directory")


def test_a_start_without_the_variable_listens_for_nobody(manager: Manager, new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.create(env=manager.env)
    box.start(env={})
    assert not os.path.exists(f"/proc/{box.state()['pid']}/root/run/notify/notify.sock")


def test_a_root_with_a_path_longer_than_an_address(
    manager: Manager, new_box: Callable[..., Box], tmp_path: Path
) -> None:
    box = new_box("/bin/sleep", "1000")
    box.root = tmp_path / ("deep" * 30)
    box.create(env=manager.env)
    made = Service(box, manager, "start", "ID")
    made.running()
    made.says("READY=1")
    assert {manager.heard()[0] for _ in range(3)} >= {"READY=1\n", "BARRIER=1"}
    assert made.ended() == (0, "")
    box.delete("--force")
