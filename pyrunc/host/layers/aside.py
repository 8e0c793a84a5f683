"""Objects of a layer that are made anew, complete and under a name of their own, before they get their place.

The directory may belong to somebody else, who changes it at any time.
"""

from __future__ import annotations

import errno
import os
import stat

from pyrunc.errors import HostError
from pyrunc.host.layers import content, xattrs
from pyrunc.host.layers.trail import GONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import stat_result

    from pyrunc.host.layers.found import Found
    from pyrunc.host.layers.overlay import Walk


class Aside:
    """Makes what ``walk`` finds; ``warn`` is told what cannot be had."""

    __slots__ = ("_walk", "_warn", "name")

    def __init__(self, walk: Walk, name: str, warn: Callable[[str], None]) -> None:
        self._walk = walk
        self._warn = warn
        self.name = name

    def make(self, found: Found, directory: int) -> int:
        """A descriptor of the object, which is complete and has the temporary name; -1 when it vanished, or cannot be.

        The name is used once, to make it: whoever owns the directory may give it to something else at once.
        """
        now = found.stat
        assert now is not None
        name, source = found.place.name, self._walk.upper.fd
        opened, link = -1, ""
        try:
            has = xattrs.read(xattrs.at(source, name))
            if stat.S_ISREG(now.st_mode):
                opened = content.open_regular(source, name)
            elif stat.S_ISLNK(now.st_mode):
                link = content.read_link(source, name)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return -1
        if opened >= 0:
            try:
                made, now = self._copy(opened, directory)
            except OSError as error:
                if error.errno != errno.EFBIG:  # the container has chosen the size
                    raise
                self._warn(f"{found.place.below(self._walk.destination)}: left out: too large for the file system")
                return -1
        else:
            made = self._make_node(found, now, link, directory)
        if made >= 0:
            try:
                self._finish(found, made, now, has)
            except BaseException:
                os.close(made)
                raise
        return made

    def _finish(self, found: Found, made: int, now: stat_result, has: dict[str, bytes] | None) -> None:
        """All attributes.  The kernel's link leads to the very object, be that a symlink, and no further."""
        path = xattrs.of(made)
        os.chown(path, now.st_uid, now.st_gid)
        if not stat.S_ISLNK(now.st_mode):  # chown(2) has taken set-id bits away
            os.chmod(path, stat.S_IMODE(now.st_mode))
        self.write_xattrs(found, path, has)
        os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns))

    def _make_node(self, found: Found, now: stat_result, link: str, directory: int) -> int:
        """A symlink, a FIFO, a socket, or a device, which takes a privilege."""
        kind = stat.S_IFMT(now.st_mode)
        try:
            if link:
                os.symlink(link, self.name, dir_fd=directory)
            else:
                os.mknod(self.name, kind | 0o600, now.st_rdev, dir_fd=directory)
        except PermissionError:
            if kind not in (stat.S_IFCHR, stat.S_IFBLK):
                raise
            path = found.place.below(self._walk.destination)
            self._warn(f"{path}: left out: to make a device takes CAP_MKNOD in the initial user namespace")
            return -1
        try:
            made = os.open(self.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except FileNotFoundError:
            raise disturbed() from None
        is_ = os.fstat(made)
        ours = stat.S_IFMT(is_.st_mode) == kind and is_.st_nlink == 1 and is_.st_uid == os.geteuid()
        if not ours or (kind in (stat.S_IFCHR, stat.S_IFBLK) and is_.st_rdev != now.st_rdev):
            os.close(made)
            raise disturbed()
        return made

    def _copy(self, source: int, directory: int) -> tuple[int, stat_result]:
        """Contents and holes of ``source``, which is closed; a descriptor of the copy, and what the source was."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            now = os.fstat(source)
            to = os.open(self.name, flags, 0o600, dir_fd=directory)
            try:
                os.ftruncate(to, now.st_size)
                for start, end in content.extents(source, now.st_size):
                    _copy_range(source, to, start, end)
            except BaseException:
                os.close(to)
                raise
        finally:
            os.close(source)
        return to, now

    def check(self, made: int, directory: int) -> None:
        """That the temporary name is still that of the object: the directory may be somebody else's."""
        try:
            same = os.path.samestat(os.stat(self.name, dir_fd=directory, follow_symlinks=False), os.fstat(made))
        except FileNotFoundError:
            same = False
        if not same:
            raise disturbed()

    def write_xattrs(self, found: Found, path: str, has: dict[str, bytes] | None) -> None:
        where = found.place.below(self._walk.destination)
        if has is None:
            self._warn(f"{where}: extended attributes left out: they are too many")
        for name in xattrs.write(path, has or {}):
            self._warn(f"{where}: extended attribute left out, which is too large for the file system: {name}")


def disturbed() -> HostError:
    return HostError(
        "what was being made there has been replaced by something else",
        hint="commit to a directory that nobody else may write",
    )


def _copy_range(source: int, to: int, start: int, end: int) -> None:
    """A source that has become shorter leaves zeros."""
    at = start
    while at < end:
        data = os.pread(source, min(content.CHUNK, end - at), at)
        if not data:
            return
        at += os.pwrite(to, data, at)
