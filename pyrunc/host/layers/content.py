"""What regular files hold: opened without touching anything else, read without reading holes."""

from __future__ import annotations

import errno
import os
import stat

from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import stat_result

CHUNK = 1 << 20

LARGE = 1 << 40

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_regular(directory: int, name: str) -> int:
    """Open the regular file ``name`` for reading; FileNotFoundError when that is anything else by now.

    Opening a FIFO or a device does something to whoever is behind it.  So the object is held first, then judged, and
    only then opened, through the descriptor that holds it.
    """
    held = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(held).st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return os.open(f"/proc/self/fd/{held}", _READ)
    except BlockingIOError:
        # fcntl(2) "Leases": its holder may keep everybody else waiting for 45 s, per file.
        raise HostError("a process of the container holds a lease on it", hint="stop the container first") from None
    finally:
        os.close(held)


def absurd(found: stat_result) -> bool:
    """Whether writing out its holes would be all that there is to it: more than 1 TiB, and 1024 times what it takes."""
    return found.st_size > LARGE and found.st_size > 1024 * 512 * found.st_blocks


def read_link(directory: int, name: str) -> str:
    """Where the symlink ``name`` leads; FileNotFoundError when that is anything else by now."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None


def extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and end of what is not a hole in the first ``size`` bytes, ascending."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
            end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno != errno.ENXIO:  # no data from there on, or the file has become shorter
                raise
            return
        if start < end:
            yield start, end


def same(one: int, other: int, size: int) -> bool:
    """Whether two files hold the same ``size`` bytes."""
    at = 0
    for start, end in _joint(one, other, size):
        at = max(at, start)
        while at < end:
            count = min(CHUNK, end - at)
            if os.pread(one, count, at) != os.pread(other, count, at):
                return False
            at += count
    return True


def _joint(one: int, other: int, size: int) -> Iterator[tuple[int, int]]:
    """The extents of both files, ascending by their starts."""
    import heapq

    return heapq.merge(extents(one, size), extents(other, size))
