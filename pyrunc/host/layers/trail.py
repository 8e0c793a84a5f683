"""The way that a walk has come down a tree, by descriptors.

A process may have some thousand descriptors, a tree may be deeper than that.  So only the last ones of the way
are open; those further up are opened again by their names when the walk comes back, and are the same directories
or an error.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

#: Directories that are open at a time, besides the root; a commit has four such ways, of the usual 1024 descriptors.
WINDOW = 200

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

#: What the look-up of a name says when something else, or nothing, is there by now.
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE})


class _Step:
    """One directory of the way; ``fd`` is -1 while it is closed."""

    __slots__ = ("device", "fd", "inode", "name")

    def __init__(self, name: str, fd: int) -> None:
        found = os.fstat(fd)
        self.name = name
        self.fd = fd
        self.device = found.st_dev
        self.inode = found.st_ino

    def reopen(self, parent: int) -> None:
        fd = os.open(self.name, DIRECTORY, dir_fd=parent)
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) != (self.device, self.inode):
            os.close(fd)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), self.name)
        self.fd = fd


class Trail:
    """Starts at the directory ``root``, a descriptor that it owns from now on and keeps open."""

    __slots__ = ("_steps",)

    def __init__(self, root: int) -> None:
        self._steps = [_Step("", root)]

    @property
    def fd(self) -> int:
        """The directory that the walk is in; OSError (GONE) when it is not where it was."""
        last = self._steps[-1]
        if last.fd < 0:
            self._reopen()
        return last.fd

    @property
    def root(self) -> int:
        return self._steps[0].fd

    def enter(self, name: str) -> tuple[int, int]:
        """Go down into ``name``, which must be a directory and no symlink; its device and inode."""
        self._append(name, os.open(name, DIRECTORY, dir_fd=self.fd))
        last = self._steps[-1]
        return last.device, last.inode

    def leave(self) -> None:
        """Go up again."""
        fd = self._steps.pop().fd
        if fd >= 0:
            os.close(fd)

    def _append(self, name: str, fd: int) -> None:
        try:
            self._steps.append(_Step(name, fd))
        except BaseException:
            os.close(fd)
            raise
        index = len(self._steps) - 1 - WINDOW
        if index > 0 and self._steps[index].fd >= 0:
            os.close(self._steps[index].fd)
            self._steps[index].fd = -1

    def _reopen(self) -> None:
        """Open the last ones again, which have to be the same; what leads there may have changed."""
        first = max(1, len(self._steps) - WINDOW)
        at = os.dup(self.root)
        try:
            for step in self._steps[1:first]:
                inner = os.open(step.name, DIRECTORY, dir_fd=at)
                os.close(at)
                at = inner
            parent = at
            for step in self._steps[first:]:
                if step.fd < 0:
                    step.reopen(parent)
                parent = step.fd
        finally:
            os.close(at)

    def close(self) -> None:
        while self._steps:
            self.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
