"""The caller's terminal while it serves a container: raw, its size passed on, restored at the end."""

from __future__ import annotations

import termios

from pyrunc.host import console
from pyrunc.host.relay import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class Terminal:
    """Joins the caller's stdio to the pty ``master``; a context in which a terminal on stdin is raw."""

    __slots__ = ("_master", "_saved", "_size_of", "relay")

    relay: Relay

    def __init__(self, master: int) -> None:
        self._master = master
        self._size_of = console.terminal_of_caller()
        self._saved: Any = termios.tcgetattr(0) if self._size_of == 0 else None

    def __enter__(self) -> Self:
        self.resize()
        self.take()
        self.relay = Relay(self._master)
        return self

    def __exit__(self, *_: object) -> None:
        if self._saved is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)

    def resize(self) -> None:
        """Give the pty the size of the caller's terminal."""
        if self._size_of >= 0:
            console.copy_size(self._size_of, self._master)

    def take(self) -> None:
        """Make the caller's terminal raw: every byte goes to the container."""
        if self._saved is not None:
            console.make_raw(0)
