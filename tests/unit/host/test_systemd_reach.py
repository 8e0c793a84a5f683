"""Where a systemd is looked for, and what is said when it is not there.  What it answers is tested in the guest."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import HostError
from pyrunc.host.systemd import bus, reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:path=/run/user/1000/bus", ["/run/user/1000/bus"]),
        ("unix:path=/a%20b,guid=00", ["/a b"]),
        ("unix:abstract=/tmp/x,guid=1", ["@/tmp/x"]),
        ("tcp:host=localhost,port=1;unix:path=/b;unix:path=/c", ["/b", "/c"]),
        ("unix:path=/100%", ["/100%"]),
        ("unix:path=/%c3%a9", ["/é"]),
        ("nonsense", []),
        ("", []),
    ],
)
def test_addresses_are_read_as_the_specification_has_them(text: str, expected: list[str]) -> None:
    assert reach.addresses(text) == expected


def test_root_asks_the_systems_bus_and_then_systemd_itself() -> None:
    assert reach.sockets({}, user=False) == ["/run/dbus/system_bus_socket", "/run/systemd/private"]
    given = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/x", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/y"}
    assert reach.sockets(given, user=False) == ["/x", "/run/systemd/private"]


def test_a_user_asks_the_sessions_bus_and_then_its_own_systemd() -> None:
    directory = {"XDG_RUNTIME_DIR": "/run/user/7"}
    assert reach.sockets(directory, user=True) == ["/run/user/7/bus", "/run/user/7/systemd/private"]
    given = {**directory, "DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}
    assert reach.sockets(given, user=True) == ["/x", "/run/user/7/systemd/private"]
    assert reach.sockets({"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}, user=True) == ["/x"]
    assert reach.sockets({}, user=True) == []


@pytest.mark.parametrize(("text", "number"), [("252.39-1~deb12u2", 252), ("v255", 255), ("239", 239), ("256~rc1", 256)])
def test_the_version_is_the_number_that_it_begins_with(text: str, number: int) -> None:
    assert reach._version(text) == number


def test_a_version_that_is_none_is_an_error() -> None:
    with pytest.raises(HostError, match="the version 'next' of systemd cannot be read"):
        reach._version("next")


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Callable[[bytes], str]]:
    """A socket behind which somebody answers the first line with what is given, and hangs up."""
    threads = []

    def listen(answer: bytes) -> str:
        path = str(tmp_path / "socket")
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen(1)

        def serve() -> None:
            with server, server.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(answer)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return path

    yield listen
    for thread in threads:
        thread.join(60)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"REJECTED EXTERNAL\r\n", "the D-Bus does not accept this user: REJECTED EXTERNAL"),
        (b"HTTP/1.1 400 Bad Request", "is no D-Bus"),
        (b"", "is no D-Bus"),
        (b"x" * 10000, "is no D-Bus"),
        (b"OK 0\r\n", "the D-Bus has closed the connection"),
    ],
)
def test_what_is_no_bus_is_an_error_with_the_socket(
    answering: Callable[[bytes], str], answer: bytes, message: str
) -> None:
    path = answering(answer)
    with pytest.raises(HostError) as error:
        bus.Bus(path)
    assert error.value.where == path
    # Or the other side was gone before we had spoken.
    words = (message, "the D-Bus is gone", "reset", "broken pipe")
    assert any(word in str(error.value) for word in words)


def test_all_of_the_authentication_comes_before_the_answer(tmp_path: Path) -> None:
    """As systemd's own socket may not look at a message that it read together with BEGIN."""
    path = str(tmp_path / "socket")
    seen: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(1)

        def serve() -> None:
            with server.accept()[0] as connection:
                while not b"".join(seen).endswith(b"BEGIN\r\n"):
                    seen.append(connection.recv(1))
                connection.sendall(b"DATA\r\nOK 0\r")
                connection.sendall(b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(HostError, match=r"the D-Bus has closed the connection|gone"):
            bus.Bus(path)
        thread.join(60)
    assert b"".join(seen) == b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"


def test_a_socket_that_is_not_there_is_named() -> None:
    with pytest.raises(HostError) as error:
        bus.Bus("/no/such/socket")
    assert str(error.value) == "/no/such/socket: cannot connect: no such file or directory"
