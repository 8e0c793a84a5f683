"""Removes objects that pyrunc itself made in a rootfs, if they are still what it made.

The rootfs is hostile: every component is opened without following links, relative to the one before, and
an object goes only when its device, inode and emptiness are as they were.
"""

from __future__ import annotations

import posix
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_DIRECTORY = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC


def remove(rootfs: str, made: Sequence[str]) -> None:
    """``made`` holds ``DEV INO PATH`` in the order of creation; what is not ours any more stays."""
    for entry in reversed(made):
        device, inode, path = entry.split(" ", 2)
        _remove(rootfs, path.strip("/").split("/"), int(device), int(inode))


def _remove(rootfs: str, parts: list[str], device: int, inode: int) -> None:
    fd = posix.open(rootfs, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = posix.open(part, _DIRECTORY, dir_fd=fd)
            posix.close(fd)
            fd = inner
        found = posix.stat(parts[-1], dir_fd=fd, follow_symlinks=False)
        if (found.st_dev, found.st_ino) != (device, inode):
            return
        if stat.S_ISDIR(found.st_mode):
            posix.rmdir(parts[-1], dir_fd=fd)
        elif not (stat.S_ISREG(found.st_mode) and found.st_size):
            posix.unlink(parts[-1], dir_fd=fd)
    except OSError as error:
        # Gone, moved, in use or filled by somebody since: then it is not the empty object that we made.
        if error.errno not in (2, 16, 17, 20, 30, 39, 40):
            raise
    finally:
        posix.close(fd)
