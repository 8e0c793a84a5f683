"""Terminals: the console socket of a detached container, and the terminal that `run` is on."""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import struct
import termios
from typing import TYPE_CHECKING

import pytest

from tests.callers.enclosure import on_a_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


class ConsoleSocket:
    """A listener as conmon has it: one connection, one message with the pty's master."""

    def __init__(self, path: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(60)

    def receive(self) -> tuple[int, bytes]:
        connection, _ = self.listener.accept()
        connection.settimeout(60)
        with connection:
            data, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4 * 8))
            assert len(ancillary) == 1, "one message with one descriptor"
            fds = array.array("i")
            fds.frombytes(ancillary[0][2])
            assert len(fds) == 1
            assert connection.recv(1) == b"", "the runtime closes the connection"
        return fds[0], data

    def close(self) -> None:
        self.listener.close()


def read_all(master: int) -> bytes:
    """What arrives on a pty until its last slave is closed."""
    data = b""
    while select.select([master], [], [], 60)[0]:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # EIO: no slave is left
            return data
        data += chunk
    raise AssertionError(f"no end of {data!r}")


def test_the_master_of_the_terminal_goes_to_the_console_socket(box: Box, tmp_path: Path) -> None:
    box.bundle.args("/bin/sh", "-c", "tty; stty size; ls -l /proc/self/fd/0 | sed 's/.* -> //'; echo end")
    box.bundle.edit(process__terminal=True, process__consoleSize={"height": 31, "width": 97})
    console = ConsoleSocket(tmp_path / "console")
    box.create("--console-socket", tmp_path / "console")
    master, _ = console.receive()
    console.close()
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(master, termios.TIOCGWINSZ, bytes(8)))
        assert (rows, columns) == (31, 97)
        box.start()
        lines = read_all(master).decode().split()
    finally:
        os.close(master)
    assert lines == ["/dev/pts/0", "31", "97", "/dev/pts/0", "end"] or lines[0] == "/dev/console", lines


def test_lines_end_as_on_terminals_of_runc(new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box("/bin/sh", "-c", "echo one; echo two")
    box.bundle.edit(process__terminal=True)
    words = ["--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    code, screen = on_a_terminal([str(box.runtime), *words])
    assert (code, screen) == (0, b"one\r\ntwo\r\n")  # of the caller's terminal, once: ours has ONLCR cleared
    console = ConsoleSocket(tmp_path / "console")
    box.create("--console-socket", tmp_path / "console")
    master, _ = console.receive()
    console.close()
    try:
        box.start()
        assert read_all(master) == b"one\r\ntwo\r\n"  # who takes the master decides about ONLCR
    finally:
        os.close(master)


def test_a_console_socket_that_nobody_listens_on(box: Box, tmp_path: Path) -> None:
    box.bundle.edit(process__terminal=True)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "console"))
    dead.close()
    said = box.create_refused("--console-socket", tmp_path / "console")
    assert "connect" in said or "console socket" in said
    assert "connection refused" in said.lower()


def test_a_console_socket_that_does_not_exist(box: Box, tmp_path: Path) -> None:
    box.bundle.edit(process__terminal=True)
    assert "no such file or directory" in box.create_refused("--console-socket", tmp_path / "x").lower()


def test_a_terminal_needs_a_console_socket_when_detached(box: Box) -> None:
    box.bundle.edit(process__terminal=True)
    assert "console socket" in box.create_refused()
    assert "console socket" in box.refused("run", "-d", "--bundle", box.bundle, "ID")


def test_a_console_socket_without_a_terminal_is_refused(box: Box, tmp_path: Path) -> None:
    assert "console socket" in box.create_refused("--console-socket", tmp_path / "console")


def test_run_on_a_terminal_copies_size_and_status(new_box: Callable[..., Box]) -> None:
    box = new_box(
        "/bin/sh",
        "-c",
        "until stty size 2>&1 | grep -q '41 103'; do :; done; stty size; [ -t 2 ] && echo terminal; exit 4",
    )
    box.bundle.edit(process__terminal=True)
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    code, screen = on_a_terminal(command, size=(41, 103))
    assert code == 4, screen
    assert b"41 103" in screen
    assert b"terminal" in screen
    box.nothing_left()


def test_the_terminal_is_restored_after_run(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true")
    box.bundle.edit(process__terminal=True)
    command = f"{box.runtime} --root {box.root} run --bundle {box.bundle.path} {box.id}"
    code, screen = on_a_terminal(["sh", "-c", f"stty -a; {command}; stty -a"])
    first, _, second = screen.partition(b"speed")[2].partition(b"speed")
    assert code == 0, screen
    assert first.strip() == second.strip()
