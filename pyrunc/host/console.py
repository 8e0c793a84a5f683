"""Terminals: the container's pty master, and the caller's terminal (pty(7), termios(3))."""

from __future__ import annotations

import posix
import termios

from pyrunc.host import agent

# Indices of what termios.tcgetattr returns.
_IFLAG, _CFLAG, _LFLAG, _CC = 0, 2, 3, 6


def send_master(socket_path: str, master_fd: int, name: str) -> None:
    """Hand the master to who listens on ``--console-socket``: one message, the pty's name as its data."""
    agent.send_descriptor(
        socket_path,
        name.encode(),
        master_fd,
        where="--console-socket",
        hint="it must be a UNIX stream socket that somebody listens on",
    )


def make_raw(fd: int) -> None:
    """cfmakeraw(3): every byte goes to the container, and its own line discipline decides."""
    attributes = termios.tcgetattr(fd)
    attributes[_IFLAG] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    # Output stays processed: the pty inside passes \n on as it is, and this terminal makes \r\n of it.
    attributes[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    attributes[_CFLAG] = attributes[_CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    attributes[_CC][termios.VMIN] = 1
    attributes[_CC][termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSADRAIN, attributes)


def copy_size(source: int, target: int) -> None:
    """Give ``target`` the window size of ``source``, unless that has none (a serial line, for example)."""
    rows, columns = termios.tcgetwinsize(source)
    if rows or columns:
        termios.tcsetwinsize(target, (rows, columns))


def terminal_of_caller() -> int:
    """The first of stdin, stdout, stderr that is a terminal; -1 if none is."""
    for fd in (0, 1, 2):
        if posix.isatty(fd):
            return fd
    return -1
