"""Files of a running sandbox, read and written from outside.

A short-lived process of the sandbox opens them, with the sandbox's own eyes and rights, and hands the descriptor
over: no path of it is ever walked by this program.
"""

from __future__ import annotations

import posix

from pyrunc.errors import HostError, UsageError
from pyrunc.plan import held
from pyrunc.sandbox import values
from pyrunc.sandbox.streams import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

    from pyrunc.sandbox.holder import Holder

#: Neither a FIFO nor a lease makes an open with O_NONBLOCK wait; a terminal must not become ours.
_SAFELY = posix.O_NONBLOCK | posix.O_NOCTTY
_CHUNK = 1 << 20


def read(holder: Holder, path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """A regular file; HostError when it has more than ``max_bytes``."""
    name = _path(path)
    fd = _open(holder, name, posix.O_RDONLY)
    parts: list[bytes] = []
    left = max_bytes
    try:
        # One more byte than allowed: a file may grow while it is read, and st_size of some says nothing.
        while part := posix.read(fd, min(left + 1, _CHUNK)):
            left -= len(part)
            if left < 0:
                raise HostError(f"has more than {max_bytes} bytes", where=name, hint="raise max_bytes")
            parts.append(part)
    except OSError as error:
        raise _failed(error, name) from None
    finally:
        posix.close(fd)
    return b"".join(parts)


def write(holder: Holder, path: str | os.PathLike[str], data: bytes, mode: int) -> None:
    """Make or replace the content of a regular file; ``mode`` is for a new one."""
    name = _path(path)
    if not 0 <= mode <= 0o777:
        raise UsageError(f"mode=0o{mode:o}: expected 0 to 0o777")
    fd = _open(holder, name, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC, mode)
    view = memoryview(data)
    try:
        while view:
            view = view[posix.write(fd, view[:_CHUNK]) :]
    except OSError as error:
        raise _failed(error, name) from None
    finally:
        posix.close(fd)


def listdir(holder: Holder, path: str | os.PathLike[str], max_entries: int) -> list[str]:
    """The names in a directory, sorted; HostError when there are more than ``max_entries``."""
    name = _path(path)
    fd = _open(holder, name, posix.O_RDONLY | posix.O_DIRECTORY, directory=True)
    try:
        names: list[str] = []
        with posix.scandir(fd) as entries:
            for entry in entries:
                if len(names) == max_entries:
                    raise HostError(f"has more than {max_entries} entries", where=name, hint="raise max_entries")
                names.append(entry.name)
        return sorted(names)
    except OSError as error:
        raise _failed(error, name) from None
    finally:
        posix.close(fd)


def _path(path: str | os.PathLike[str]) -> str:
    try:
        return values.host_path(path)
    except ValueError as error:
        raise UsageError(f"path={path!r}: {error}") from None


def _open(holder: Holder, path: str, flags: int, mode: int = 0, *, directory: bool = False) -> int:
    program = held.opening(holder.spec["process"]["cwd"], path, flags | _SAFELY, mode, directory=directory)
    stdio = Stdio(None)
    try:
        for _ in range(3):
            stdio.add_null()
        _, fd = holder.start([path], program, stdio.theirs)
    finally:
        stdio.close()
    if fd < 0:
        raise HostError("was not opened: its opener was killed", where=path)
    return fd


def _failed(error: OSError, path: str) -> HostError:
    reason = posix.strerror(error.errno or 0)
    return HostError(reason[:1].lower() + reason[1:], where=path)
