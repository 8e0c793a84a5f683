"""Network devices that move into a network namespace with their addresses (runtime-spec 1.3, netDevices)."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.errors import OpFailed
from pyrunc.host import execute, netdev
from pyrunc.plan.ops import Op
from tests.conftest import token

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root", "netns")


def ip(*args: str, pid: int | None = None) -> str:
    enter = ["nsenter", f"--net=/proc/{pid}/ns/net"] if pid else []
    return subprocess.check_output([*enter, "ip", *args], text=True, stderr=subprocess.STDOUT)


@pytest.fixture
def holder() -> Iterator[int]:
    """A process with a network namespace of its own."""
    child = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 100000"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
    yield child.pid
    child.kill()
    child.wait()


@pytest.fixture
def device() -> Iterator[str]:
    """One end of a veth pair on the host; interface names have 15 characters at most."""
    name = f"pt{token()}{os.environ.get('PYTEST_XDIST_WORKER', '')[2:]}"
    ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    yield name
    # The peer is still here, unless the namespace of the other end has gone and taken both along.
    subprocess.run(["ip", "link", "delete", f"{name}p"], stderr=subprocess.DEVNULL, check=False)


def moving(name: str, rename: str, pid: int) -> execute.Context:
    """Move it; the context can take it back."""
    context = execute.Context(lambda: "{}", "/", print)
    context.pid = pid
    execute.execute(Op("move_net_device", (name, rename), f"linux.netDevices.{name}"), context)
    return context


def move(name: str, rename: str, pid: int) -> None:
    execute.settle(moving(name, rename, pid))


def addresses(name: str, pid: int) -> list[tuple[str, int, str]]:
    (link,) = json.loads(ip("-j", "address", "show", "dev", name, pid=pid))
    found: list[dict[str, Any]] = link["addr_info"]
    return [(one["local"], one["prefixlen"], one["scope"]) for one in found if one["scope"] == "global"]


@pytest.mark.parametrize("rename", ["", "eth0"])
def test_a_device_moves_keeps_its_addresses_and_comes_up(rename: str, device: str, holder: int) -> None:
    ip("address", "add", "198.51.100.7/24", "broadcast", "198.51.100.255", "dev", device)
    ip("address", "add", "198.51.100.8/24", "dev", device)
    ip("-6", "address", "add", "2001:db8::7/64", "dev", device, "nodad")
    ip("address", "add", "169.254.9.9/16", "scope", "link", "dev", device)
    ip("address", "add", "203.0.113.5/32", "dev", device, "valid_lft", "1000", "preferred_lft", "1000")
    ip("link", "set", device, "up")
    move(device, rename, holder)
    new = rename or device
    assert not os.path.exists(f"/sys/class/net/{device}")
    expected = {("198.51.100.7", 24), ("198.51.100.8", 24), ("2001:db8::7", 64)}
    assert {(address, length) for address, length, _ in addresses(new, holder)} == expected
    (link,) = json.loads(ip("-j", "link", "show", "dev", new, pid=holder))
    assert "UP" in link["flags"]
    assert "198.51.100.255" in ip("address", "show", "dev", new, pid=holder)


def test_a_template_is_the_first_name_that_is_free(device: str, holder: int) -> None:
    ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth2", pid=holder)
    ip("address", "add", "198.51.100.7/24", "dev", device)
    move(device, "eth%d", holder)
    assert addresses("eth1", holder) == [("198.51.100.7", 24, "global")]
    (link,) = json.loads(ip("-j", "link", "show", "dev", "eth1", pid=holder))
    assert "UP" in link["flags"]
    assert not os.path.exists(f"/sys/class/net/{device}")


@pytest.mark.parametrize("state", ["up", "down"])
def test_a_device_of_a_creation_that_fails_comes_back_as_it_was(state: str, device: str, holder: int) -> None:
    """Though the process has ended, whose namespace would have taken it along."""
    ip("address", "add", "198.51.100.7/24", "broadcast", "198.51.100.255", "dev", device)
    ip("link", "set", device, state)
    context = moving(device, "eth%d", holder)
    os.kill(holder, 9)
    os.waitid(os.P_PID, holder, os.WEXITED | os.WNOWAIT)
    assert execute.undo(context) == []
    assert addresses(device, os.getpid()) == [("198.51.100.7", 24, "global")]
    (link,) = json.loads(ip("-j", "link", "show", "dev", device))
    assert ("UP" in link["flags"]) == (state == "up")
    assert context.moved == []


def test_a_device_that_is_gone_cannot_come_back_and_is_named(device: str, holder: int) -> None:
    context = moving(device, "", holder)
    ip("link", "delete", f"{device}p")
    (said,) = execute.undo(context)
    assert said == f"linux.netDevices.{device}: move network device {device} back: no such device"


def test_an_absent_device_is_named(holder: int) -> None:
    with pytest.raises(OpFailed) as caught:
        move("nosuchdev0", "", holder)
    assert caught.value.errno == 19
    assert str(caught.value) == ("linux.netDevices.nosuchdev0: find network device nosuchdev0: no such device")


def test_a_name_that_is_taken_in_the_container_is_an_error_and_the_device_stays(device: str, holder: int) -> None:
    ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1", pid=holder)
    with pytest.raises(OpFailed, match=f"move network device {device} into the container as eth0: file exists"):
        move(device, "eth0", holder)
    assert os.path.exists(f"/sys/class/net/{device}")


def test_the_threads_of_the_program_stay_in_their_namespace(device: str, holder: int) -> None:
    before = os.readlink("/proc/thread-self/ns/net")
    threads = threading.active_count()  # of tests that ran here before; they may end meanwhile
    move(device, "", holder)
    assert os.readlink("/proc/thread-self/ns/net") == before
    assert threading.active_count() <= threads
    assert {os.readlink(f"/proc/self/task/{tid}/ns/net") for tid in os.listdir("/proc/self/task")} == {before}


def test_a_process_that_is_gone_is_an_error(device: str) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(OpFailed, match=r"netlink socket in the network namespace of \d+: no such file"):
        netdev.move(device, "", child.pid, "linux.netDevices", [])
