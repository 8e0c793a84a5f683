"""The walk down a layer: what overlayfs has left in an upper directory, told as changes of what lies below.

kernel: Documentation/filesystems/overlayfs.rst, without redirects and metacopies.  A whiteout is a character device
0:0.  An opaque directory, and all below it, shows nothing of the lower ones.  A layer without a lower directory (a
workspace) has neither.

The layer may be in use: what vanishes during the walk was not there.
"""

from __future__ import annotations

import os
import stat

from pyrunc.errors import HostError
from pyrunc.host.layers import compare, xattrs
from pyrunc.host.layers.found import ADDED, CHANGED, DELETED, ENTER, ENTRY, LEAVE, SAME, Found
from pyrunc.host.layers.place import Place, failed
from pyrunc.host.layers.trail import DIRECTORY, GONE, Trail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import stat_result
    from typing import Self

    from pyrunc.host.layers.found import Event
    from pyrunc.host.layers.marks import Marks

    #: sort key, name, and what to do with it
    Item = tuple[tuple[int, str, int], str, int]

_WHITEOUT, _ABSENT = 3, 4

#: Bytes of a path that a system call takes, PATH_MAX without the NUL (limits.h).
PATH_LIMIT = 4095


class _Frame:
    """A directory that the walk is in; ``items`` last to first; ``length`` is that of its path in bytes."""

    __slots__ = ("cut", "directories", "found", "items", "length", "lower", "merged")

    def __init__(self, found: Found, length: int, *, lower: bool, merged: bool) -> None:
        self.found = found
        self.length = length
        self.cut = False  # something in it has too long a path, and that has been said
        self.lower = lower
        self.merged = merged
        self.items: list[Item] = []
        self.directories: dict[str, Found] = {}  # told, and not yet gone into


class Walk:
    """``upper`` and ``lower`` are descriptors of directories, the walk's own from now on.

    ``by_path``: in the order of the paths as strings; else each directory is followed by what is in it, and
    deletions come first.  ``userxattr``: the overlay was mounted with that option.

    ``too_long`` is told once of each directory in which something has a path that nobody could say to the kernel: it is
    left out, with all below it.  None: everything is told.

    ``merged``: ``upper`` is the overlay itself, as the container sees it.  Then what it does not have was deleted, and
    what shows through is none of the layer's.
    """

    __slots__ = (
        "_by_path",
        "_frames",
        "_lower",
        "_marks",
        "_merged",
        "_too_long",
        "_userxattr",
        "destination",
        "upper",
    )

    def __init__(
        self,
        upper: int,
        lower: int | None,
        destination: str,
        marks: Marks,
        *,
        by_path: bool,
        userxattr: bool,
        too_long: Callable[[str], None] | None,
        merged: bool = False,
    ) -> None:
        self.upper = Trail(upper)
        self._lower = None if lower is None else Trail(lower)
        self._marks = marks
        self._by_path = by_path
        self._userxattr = userxattr
        self._merged = merged
        self._too_long = too_long
        self._frames: list[_Frame] = []
        self.destination = destination

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.upper.close()
        if self._lower is not None:
            self._lower.close()

    def events(self) -> Iterator[Event]:
        """The whole layer, its root included.  During ENTRY ``upper.fd`` is the directory that the object is in."""
        root = self._root()
        yield ENTRY, root
        self._push(root, lower=self._lower is not None)
        yield ENTER, root
        while self._frames:
            frame = self._frames[-1]
            if frame.items:
                event = self._next(frame)
                if event is not None:
                    yield event
            else:
                yield LEAVE, frame.found
                self._pop()

    def _next(self, frame: _Frame) -> Event | None:
        _, name, step = frame.items.pop()
        try:
            if step != ENTER:
                if self._cut(frame, name):
                    return None
                found = self._look(frame, name, step)
                return None if found is None else (ENTRY, found)
            directory = frame.directories.pop(name, None)
            return (ENTER, directory) if directory is not None and self._enter(directory) else None
        except HostError as error:
            error.where = error.where or Place(frame.found.place, name).below(self.destination)
            raise
        except OSError as error:
            if error.errno in GONE:
                return None
            raise failed(error, Place(frame.found.place, name).below(self.destination)) from None

    def _root(self) -> Found:
        above, kind = os.fstat(self.upper.fd), SAME
        if self._lower is not None and compare.differs(
            ".", self.upper.fd, above, self._lower.fd, os.fstat(self._lower.fd)
        ):
            kind = CHANGED
        found = Found(Place(), kind, above, merged=True, marks=self._marks)
        found.lower = self._lower is not None  # and never opaque: pyrunc made it
        if not self._by_path:
            found.xattrs = xattrs.read(xattrs.at(self.upper.fd))
        return found

    def _enter(self, found: Found) -> bool:
        """Go down; False when something else is there by now."""
        assert found.stat is not None
        if self.upper.enter(found.place.name) != (found.stat.st_dev, found.stat.st_ino):
            self.upper.leave()
            return False
        lower = found.lower and self._enter_lower(found.place.name)
        self._push(found, lower=lower)
        return True

    def _enter_lower(self, name: str) -> bool:
        assert self._lower is not None
        try:
            self._lower.enter(name)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return False
        return True

    def _push(self, found: Found, *, lower: bool) -> None:
        length = (
            self._length(self._frames[-1], found.place.name)
            if self._frames
            else len(os.fsencode(self.destination.rstrip("/")))
        )
        frame = _Frame(found, length, lower=lower, merged=found.merged and not found.hides)
        self._frames.append(frame)
        try:
            frame.items = self._list(frame)
        except OSError as error:
            if error.errno not in GONE:
                raise failed(error, found.place.below(self.destination)) from None

    @staticmethod
    def _length(frame: _Frame, name: str) -> int:
        return frame.length + 1 + len(os.fsencode(name))

    def _cut(self, frame: _Frame, name: str) -> bool:
        if self._too_long is None or self._length(frame, name) <= PATH_LIMIT:
            return False
        if not frame.cut:
            self._too_long(frame.found.place.below(self.destination))
            frame.cut = True
        return True

    def _pop(self) -> None:
        frame = self._frames.pop()
        if self._frames:
            self.upper.leave()
            if frame.lower and self._lower is not None:
                self._lower.leave()

    def _list(self, frame: _Frame) -> list[Item]:
        """What there is to tell about the directory, last to first."""
        items: list[Item] = []
        names = set()
        with os.scandir(self.upper.fd) as entries:
            for entry in entries:
                name = entry.name
                names.add(name)
                if entry.is_dir(follow_symlinks=False):
                    items.append(self._item(name, ENTER))
                    items.append(self._item(name, ENTRY))
                elif self._lower is not None and _is_whiteout(entry):
                    items.append(self._item(name, _WHITEOUT))
                else:
                    items.append(self._item(name, ENTRY))
        if frame.lower and (self._merged or not frame.merged):
            assert self._lower is not None
            hidden = set(os.listdir(self._lower.fd)) - names
            items += [self._item(name, _ABSENT) for name in hidden]
        items.sort(reverse=True)
        return items

    def _item(self, name: str, step: int) -> Item:
        if self._by_path:
            return (0, name + "/" if step == ENTER else name, 0), name, step
        return (0 if step in (_WHITEOUT, _ABSENT) else 1, name, step), name, step

    def _look(self, frame: _Frame, name: str, step: int) -> Found | None:
        marks = frame.found.marks.at(name)
        place = Place(frame.found.place, name)
        below = self._lstat_lower(name) if frame.lower else None
        if step in (_WHITEOUT, _ABSENT):
            return None if below is None else Found(place, DELETED, None, merged=frame.merged, marks=marks)
        above = os.stat(name, dir_fd=self.upper.fd, follow_symlinks=False)
        if (marks.covered or marks.made) and _untouched(self.upper.fd, name, above, marks):
            return None
        found = Found(place, ADDED, above, merged=frame.merged, marks=marks)
        if below is not None and self._lower is not None:
            if self._merged and not found.directory and compare.shows_through(above, below):
                return None
            found.kind = CHANGED if compare.differs(name, self.upper.fd, above, self._lower.fd, below) else SAME
        if found.directory:
            found.lower = below is not None and stat.S_ISDIR(below.st_mode)
            self._read_directory(found, name)
            frame.directories[name] = found
        return found

    def _read_directory(self, found: Found, name: str) -> None:
        """What is wanted of a directory when the walk has left it."""
        fd = os.open(name, DIRECTORY, dir_fd=self.upper.fd)
        try:
            if self._lower is not None and found.merged and not self._merged:
                found.hides = xattrs.opaque(fd, userxattr=self._userxattr)
            if not self._by_path:
                found.xattrs = xattrs.read(xattrs.at(fd))
        finally:
            os.close(fd)

    def _lstat_lower(self, name: str) -> stat_result | None:
        assert self._lower is not None
        try:
            return os.stat(name, dir_fd=self._lower.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return None


def _is_whiteout(entry: os.DirEntry[str]) -> bool:
    if entry.is_file(follow_symlinks=False) or entry.is_symlink():
        return False
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _untouched(directory: int, name: str, found: stat_result, marks: Marks) -> bool:
    """Whether a mount point is still empty, other such ones in it excepted.

    Whoever has CAP_SYS_ADMIN in the container may unmount what covers one.
    """
    if not stat.S_ISDIR(found.st_mode):
        return stat.S_ISREG(found.st_mode) and found.st_size == 0
    fd = os.open(name, DIRECTORY, dir_fd=directory)
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                inner = marks.at(entry.name)
                if not (inner.covered or inner.made) or not _untouched(
                    fd, entry.name, entry.stat(follow_symlinks=False), inner
                ):
                    return False
    finally:
        os.close(fd)
    return True
