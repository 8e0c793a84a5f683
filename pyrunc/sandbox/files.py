"""Files of a running sandbox, read and written from outside.

A short-lived process of the sandbox opens them, with the sandbox's own eyes and rights, and hands the descriptor
over: no path of it is ever walked by this program.  So ``to_read``, ``to_write`` and ``to_list`` say what is to be
opened, ``Opening.starting`` asks for such a process, and ``content``, ``replace`` or ``names`` take what it has sent.
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
    from types import TracebackType

    from pyrunc.sandbox.holder import Holder

    Path = str | os.PathLike[str]

#: Neither a FIFO nor a lease makes an open with O_NONBLOCK wait; a terminal must not become ours.
_SAFELY = posix.O_NONBLOCK | posix.O_NOCTTY
_CHUNK = 1 << 20


class Opening:
    """A file that is being opened, and then is open; ``path`` as it was given."""

    __slots__ = ("_fd", "_first", "_program", "path")

    def __init__(self, holder: Holder, path: Path, flags: int, mode: int = 0, *, directory: bool = False) -> None:
        self._fd = -1
        self.path = named("path", path, values.host_path)
        self._first = holder.first
        cwd = holder.spec["process"]["cwd"]
        self._program = held.opening(cwd, self.path, flags | _SAFELY, mode, directory=directory)

    def starting(self) -> Starting:
        """Ask for the process that opens it; ``take`` has to follow."""
        stdio = Stdio(None)
        try:
            for _ in range(3):
                stdio.add_null()
            return Starting(self._first, [self.path], self._program, stdio.theirs)
        finally:
            stdio.close()

    def take(self, starting: Starting) -> None:
        """What it has sent."""
        self._fd, starting.sent = starting.sent, -1
        if self._fd < 0:
            raise HostError("was not opened: its opener was killed", where=self.path)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; an error of the file system becomes one that names the file."""
        self._close()
        if isinstance(error, OSError):
            reason = posix.strerror(error.errno or 0)
            raise HostError(reason[:1].lower() + reason[1:], where=self.path) from None

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            posix.close(fd)

    def __del__(self) -> None:
        """Whoever was to close it was interrupted before."""
        if hasattr(self, "_fd"):
            self._close()


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


def content(file: Opening, max_bytes: int) -> bytes:
    """Of a regular file; HostError when it has more than ``max_bytes``."""
    parts: list[bytes] = []
    left = max_bytes
    with file as fd:
        # One more byte than allowed: a file may grow while it is read, and st_size of some says nothing.
        while part := posix.read(fd, min(left + 1, _CHUNK)):
            left -= len(part)
            if left < 0:
                raise HostError(f"has more than {max_bytes} bytes", where=file.path, hint="raise max_bytes")
            parts.append(part)
    return b"".join(parts)


def replace(file: Opening, data: bytes) -> None:
    """Write all of a regular file."""
    view = memoryview(data)
    with file as fd:
        while view:
            view = view[posix.write(fd, view[:_CHUNK]) :]


def names(file: Opening, max_entries: int) -> list[str]:
    """Those in a directory, sorted; HostError when there are more than ``max_entries``."""
    found: list[str] = []
    with file as fd, posix.scandir(fd) as entries:
        for entry in entries:
            if len(found) == max_entries:
                raise HostError(f"has more than {max_entries} entries", where=file.path, hint="raise max_entries")
            found.append(entry.name)
    return sorted(found)
