"""Where an archive goes: a file, in which zeros become holes, or a stream."""

from __future__ import annotations

import os
import select

from pyrunc.host.layers.place import failed

_BUFFER = 1 << 20
_ZEROS = bytes(_BUFFER)


class Sink:
    """Writes to a descriptor of the caller's, called ``name`` in errors; ``sparse``: it is a new file.

    Nothing is complete before ``finish``.
    """

    __slots__ = ("_buffer", "_fd", "_name", "_sparse")

    def __init__(self, fd: int, name: str, *, sparse: bool) -> None:
        self._fd = fd
        self._name = name
        self._buffer = bytearray()
        self._sparse = sparse

    def write(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= _BUFFER:
            self._flush()

    def zeros(self, count: int) -> None:
        """As many NUL bytes: an untrusted file of an exabyte costs nothing but its place in the numbering."""
        if self._sparse and count >= _BUFFER:
            self._flush()
            try:
                os.lseek(self._fd, count, os.SEEK_CUR)
            except OSError as error:
                raise failed(error, self._name) from None
            return
        while count:
            part = min(count, _BUFFER)
            self.write(_ZEROS[:part])
            count -= part

    def finish(self) -> None:
        self._flush()

    def _flush(self) -> None:
        view = memoryview(bytes(self._buffer))
        self._buffer.clear()
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:  # somebody else's O_NONBLOCK on the same open file
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                poll.poll()
            except OSError as error:
                raise failed(error, self._name) from None
