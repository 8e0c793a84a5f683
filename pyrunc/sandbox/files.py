"""Files of a running sandbox, read and written from outside.

A short-lived process of the sandbox opens them, with the sandbox's own eyes and rights, and hands the descriptor
over: no path of it is ever walked by this program.  So each of ``to_read``, ``to_write`` and ``to_list`` asks for such
a process, and what it has sent goes to ``content``, ``replace`` or ``names``, which close it.
"""

from __future__ import annotations

import posix

from pyrunc.errors import HostError
from pyrunc.plan import held
from pyrunc.sandbox import values
from pyrunc.sandbox.problems import named
from pyrunc.sandbox.starting import Starting
from pyrunc.sandbox.streams import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from pyrunc.sandbox.holder import Holder

    Path = str | os.PathLike[str]

#: Neither a FIFO nor a lease makes an open with O_NONBLOCK wait; a terminal must not become ours.
_SAFELY = posix.O_NONBLOCK | posix.O_NOCTTY
_CHUNK = 1 << 20


class Opening:
    """A file on its way; ``path`` as it was given."""

    __slots__ = ("_first", "_program", "path")

    def __init__(self, holder: Holder, path: Path, flags: int, mode: int = 0, *, directory: bool = False) -> None:
        self.path = named("path", path, values.host_path)
        self._first = holder.first
        cwd = holder.spec["process"]["cwd"]
        self._program = held.opening(cwd, self.path, flags | _SAFELY, mode, directory=directory)

    def starting(self) -> Starting:
        """Ask for the process that opens it."""
        stdio = Stdio(None)
        try:
            for _ in range(3):
                stdio.add_null()
            return Starting(self._first, [self.path], self._program, stdio.theirs)
        finally:
            stdio.close()

    def opened(self, starting: Starting) -> int:
        """The descriptor that it has sent."""
        if starting.sent < 0:
            raise HostError("was not opened: its opener was killed", where=self.path)
        return starting.sent


def to_read(holder: Holder, path: Path) -> Opening:
    return Opening(holder, path, posix.O_RDONLY)


def to_write(holder: Holder, path: Path, mode: object) -> Opening:
    """``mode`` is for a new file."""
    return Opening(holder, path, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC, named("mode", mode, _mode))


def to_list(holder: Holder, path: Path) -> Opening:
    return Opening(holder, path, posix.O_RDONLY | posix.O_DIRECTORY, directory=True)


def _mode(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0o777:
        raise ValueError("expected 0 to 0o777")
    return value


def content(fd: int, path: str, max_bytes: int) -> bytes:
    """Of a regular file; HostError when it has more than ``max_bytes``."""
    parts: list[bytes] = []
    left = max_bytes
    try:
        # One more byte than allowed: a file may grow while it is read, and st_size of some says nothing.
        while part := posix.read(fd, min(left + 1, _CHUNK)):
            left -= len(part)
            if left < 0:
                raise HostError(f"has more than {max_bytes} bytes", where=path, hint="raise max_bytes")
            parts.append(part)
    except OSError as error:
        raise _failed(error, path) from None
    finally:
        posix.close(fd)
    return b"".join(parts)


def replace(fd: int, path: str, data: bytes) -> None:
    """Write all of a regular file."""
    view = memoryview(data)
    try:
        while view:
            view = view[posix.write(fd, view[:_CHUNK]) :]
    except OSError as error:
        raise _failed(error, path) from None
    finally:
        posix.close(fd)


def names(fd: int, path: str, max_entries: int) -> list[str]:
    """Those in a directory, sorted; HostError when there are more than ``max_entries``."""
    try:
        found: list[str] = []
        with posix.scandir(fd) as entries:
            for entry in entries:
                if len(found) == max_entries:
                    raise HostError(f"has more than {max_entries} entries", where=path, hint="raise max_entries")
                found.append(entry.name)
        return sorted(found)
    except OSError as error:
        raise _failed(error, path) from None
    finally:
        posix.close(fd)


def _failed(error: OSError, path: str) -> HostError:
    reason = posix.strerror(error.errno or 0)
    return HostError(reason[:1].lower() + reason[1:], where=path)
