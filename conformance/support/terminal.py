"""The other side of a container's terminal, as a console socket brings it."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING, Self

from conformance.container import PATIENCE
from conformance.verdict import Failed

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.workshop import Workshop


class ConsoleSocket:
    """A socket at ``path`` that a runtime sends a terminal to; closed, with the terminal, when its body ends."""

    def __init__(self, workshop: Workshop) -> None:
        self.path: Path = workshop.folder / "console"
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(self.path))
        self.listening.listen(16)
        self.listening.settimeout(PATIENCE)
        self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.listening.close()
        if self.fd >= 0:
            os.close(self.fd)

    def receive(self) -> None:
        """Take the terminal.  Raises Failed when none comes."""
        try:
            connection, _ = self.listening.accept()
            with connection:
                connection.settimeout(PATIENCE)
                _, fds, _, _ = socket.recv_fds(connection, 4096, 1)
        except TimeoutError:
            raise Failed(f"no terminal came over the console socket within {PATIENCE:g} s") from None
        if not fds:
            raise Failed("what came over the console socket is no descriptor")
        self.fd = fds[0]

    def read(self) -> str:
        """All that is written to the terminal until nobody has it open.  Raises Failed."""
        deadline, text = time.monotonic() + PATIENCE, b""
        while select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                text += (got := os.read(self.fd, 65536))
            except OSError:
                got = b""  # EIO: the other side is closed
            if not got:
                return text.decode(errors="surrogateescape").replace("\r\n", "\n")
        raise Failed(f"the terminal is still open after {PATIENCE:g} s; it said {text[:500]!r}")
