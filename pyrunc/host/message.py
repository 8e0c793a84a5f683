"""What pyrunc-init says: one message a packet, and a failure after start as a record in the exec FIFO.

docs/internals.md has the layout; native/report.c writes it.
"""

from __future__ import annotations

from _struct import unpack_from

CLONED, SYNC, READY, FAILED, PTY, LISTENER, WARNING, STOPPED, CREATED, MAKING, LAYER, FILE = range(1, 13)

_HEADER = "<IIiI"
_HEADER_SIZE = 16
_DETAIL_SIZE = 4000
#: The longest message, in bytes.
LIMIT = _HEADER_SIZE + _DETAIL_SIZE


class Message:
    """One packet from pyrunc-init, or one record that it left in the exec FIFO."""

    __slots__ = ("detail", "errno", "fd", "kind", "op", "value")

    def __init__(self, data: bytes, fd: int = -1) -> None:
        self.kind, self.op, self.errno, self.value = unpack_from(_HEADER, data)
        # The path of an object has to lead to it still; the rest is for people.
        errors = "surrogateescape" if self.kind in (CREATED, MAKING) else "backslashreplace"
        self.detail = data[_HEADER_SIZE:].decode("utf-8", errors)
        self.fd = fd


def record(data: bytes) -> Message | None:
    """The FAILED record in what the exec FIFO delivered behind its first byte, if there is one."""
    return Message(data) if len(data) >= _HEADER_SIZE else None
