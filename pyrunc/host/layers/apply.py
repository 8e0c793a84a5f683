"""Applies the changes of a layer to a directory.

Neither tree is trusted: names come from the container, and the destination may hold symlinks of earlier ones.  It is
reached by descriptors like the layer, nothing in it is written through: an object is made under a name of its own,
gets what belongs to it through the descriptor that it was made with, and is then renamed into its place.
"""

from __future__ import annotations

import errno
import os
import stat

from pyrunc.errors import HostError
from pyrunc.host.layers import xattrs
from pyrunc.host.layers.aside import Aside, disturbed
from pyrunc.host.layers.changes import kept
from pyrunc.host.layers.found import DELETED, ENTER, LEAVE, SAME
from pyrunc.host.layers.place import Place, failed
from pyrunc.host.layers.remove import remove
from pyrunc.host.layers.trail import DIRECTORY, GONE, Trail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import stat_result

    from pyrunc.host.layers.found import Found
    from pyrunc.host.layers.overlay import Walk


class Destination:
    """The directory ``root``, a descriptor of the caller's; ``path`` is its name in errors."""

    __slots__ = ("_aside", "_links", "_made", "_name", "_new", "_path", "_root", "_trail", "_walk", "_warn")

    def __init__(self, root: int, path: str, warn: Callable[[str], None]) -> None:
        self._root = root
        self._path = path
        self._warn = warn
        # Nobody can have put anything there before.
        self._name = f".pyrunc-{os.urandom(12).hex()}"

    def add(self, walk: Walk, prefix: str) -> None:
        """All changes of a layer, whose root is ``prefix`` below the destination.

        The directories on the way there are made if they are absent.
        """
        events = kept(walk.events(), _wanted)
        first = next(events, None)
        if first is None:
            return
        self._walk = walk
        self._aside = Aside(walk, self._name, self._warn)
        self._links: dict[tuple[int, int], tuple[Place, tuple[int, int]]] = {}
        self._made: list[bool] = []  # of the directories that the walk is in: whether they are new
        self._new = False
        with Trail(self._descend(prefix)) as self._trail:
            self._do(*first)
            for step, found in events:
                self._do(step, found)

    def _descend(self, prefix: str) -> int:
        fd = os.dup(self._root)
        for name in filter(None, prefix.split("/")):
            try:
                self._new = _make_directory(fd, name)
                inner = os.open(name, DIRECTORY, dir_fd=fd)
                if self._new:
                    _check_new(inner)
            except OSError as error:
                wrong = failed(error, f"{self._path}{prefix}")
                wrong.hint = f"{name} is no directory there: choose the layer {prefix} alone"
                raise wrong from None
            finally:
                os.close(fd)
            fd = inner
        return fd

    def _do(self, step: int, found: Found) -> None:
        place = found.place
        try:
            if step == ENTER:
                self._enter(found)
            elif step == LEAVE:
                self._leave(found)
            elif found.kind == DELETED:
                remove(self._trail.fd, place.name)
            else:
                self._place(found)
        except HostError as error:
            error.where = error.where or place.below(self._path)
            raise
        except OSError as error:
            raise failed(error, place.below(self._path)) from None

    def _enter(self, found: Found) -> None:
        name = found.place.name
        found.xattrs = None  # read again at its end, not kept as long as the walk is below
        if found.place.parent is None:
            self._made.append(self._new)
            return
        made = False
        try:
            self._trail.enter(name)
        except OSError as error:
            if error.errno not in GONE:
                raise
            if error.errno != errno.ENOENT:  # a symlink, or anything else that is no directory
                os.unlink(name, dir_fd=self._trail.fd)
            os.mkdir(name, 0o700, dir_fd=self._trail.fd)
            self._trail.enter(name)
            _check_new(self._trail.fd)
            made = True
        self._made.append(made)

    def _leave(self, found: Found) -> None:
        """Attributes last: they may keep us from writing, and what is written changes the time."""
        made = self._made.pop()
        root = found.place.parent is None
        if root and found.kind == SAME and not made:
            return
        assert found.stat is not None
        directory = self._trail.fd
        if made or found.kind != SAME:
            os.fchown(directory, found.stat.st_uid, found.stat.st_gid)
            os.fchmod(directory, stat.S_IMODE(found.stat.st_mode))
            self._aside.write_xattrs(found, xattrs.at(directory), xattrs.read(xattrs.at(self._walk.upper.fd)))
        os.utime(directory, ns=(found.stat.st_atime_ns, found.stat.st_mtime_ns))
        if not root:
            self._trail.leave()

    def _place(self, found: Found) -> None:
        """Put an object that is no directory in the place of whatever is there."""
        name, directory = found.place.name, self._trail.fd
        made = -1
        try:
            assert found.stat is not None
            if found.linked:
                made = self._link(found.stat)
            if made < 0:
                made = self._aside.make(found, directory)
            if made < 0:
                return
            self._clear(directory, name)
            self._aside.check(made, directory)
            os.rename(self._name, name, src_dir_fd=directory, dst_dir_fd=directory)
            if found.linked:
                now = os.fstat(made)
                key = found.stat.st_dev, found.stat.st_ino
                self._links.setdefault(key, (found.place, (now.st_dev, now.st_ino)))
        finally:
            if made >= 0:
                os.close(made)
            try:
                os.unlink(self._name, dir_fd=directory)
            except FileNotFoundError:
                pass

    def _clear(self, directory: int, name: str) -> None:
        """rename(2) replaces anything but a directory."""
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(found.st_mode):
            remove(directory, name)

    def _link(self, now: stat_result) -> int:
        """Another name of what has been placed already; -1 when it has not, or has all the names it may have."""
        place, identity = self._links.get((now.st_dev, now.st_ino), (None, (0, 0)))
        if place is None:
            return -1
        *directories, name = place.names()
        with Trail(os.dup(self._trail.root)) as way:
            for directory in directories:
                way.enter(directory)
            placed = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=way.fd)
        try:
            is_ = os.fstat(placed)
            if (is_.st_dev, is_.st_ino) == identity:
                os.link(xattrs.of(placed), self._name, dst_dir_fd=self._trail.fd, follow_symlinks=True)
                return placed
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EXDEV):
                os.close(placed)
                raise
        os.close(placed)
        return -1


def _check_new(directory: int) -> None:
    """That it is the one that was made, and not another of the same name: its owner and mode are about to change."""
    now = os.fstat(directory)
    if now.st_uid != os.geteuid() or now.st_mode & 0o022 or os.listdir(directory):
        raise disturbed()


def _make_directory(directory: int, name: str) -> bool:
    """Whether it was absent."""
    try:
        os.mkdir(name, 0o755, dir_fd=directory)
    except FileExistsError:
        return False
    return True


def _wanted(found: Found) -> bool:
    """Besides changes: all names of one inode, for it is made anew."""
    return found.kind != SAME or found.linked
