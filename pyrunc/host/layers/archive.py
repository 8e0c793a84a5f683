"""A layer as an image layer: image-spec layer.md, media type application/vnd.oci.image.layer.v1.tar.

Whiteouts stand first in their directory.  Sparse files are written out, as the spec wants it.  What the format cannot
say is left out and told: sockets, and names that would be read as whiteouts.
"""

from __future__ import annotations

import os
import stat

from pyrunc.errors import HostError
from pyrunc.host.layers import content, tar, xattrs
from pyrunc.host.layers.changes import kept
from pyrunc.host.layers.found import CHANGED, DELETED, ENTER, LEAVE, SAME
from pyrunc.host.layers.place import Paths, Place, failed
from pyrunc.host.layers.trail import GONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import stat_result

    from pyrunc.host.layers.found import Found
    from pyrunc.host.layers.overlay import Walk
    from pyrunc.host.layers.sink import Sink

    #: owner and group on the host -> in the container
    Owners = Callable[[int, int], tuple[int, int]]

WHITEOUT = ".wh."
OPAQUE = b".wh..wh..opq"

#: Common readers refuse extended headers of more than 1 MiB, and the whole archive with them.
XATTRS_LIMIT = 512 << 10

_KINDS = {
    stat.S_IFREG: tar.REGULAR,
    stat.S_IFDIR: tar.DIRECTORY,
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFCHR: tar.CHARACTER,
    stat.S_IFBLK: tar.BLOCK_DEVICE,
    stat.S_IFIFO: tar.FIFO,
}


class Archive:
    """Writes layers into ``sink``, one after the other; ``owners`` says what their ids are in the container."""

    __slots__ = ("_directories", "_excluded", "_links", "_names", "_owners", "_sink", "_walk", "_warn")

    def __init__(self, sink: Sink, owners: Owners, warn: Callable[[str], None]) -> None:
        self._sink = sink
        self._owners = owners
        self._warn = warn

    def add(self, walk: Walk, prefix: str) -> None:
        """All of a layer; ``prefix`` is an absolute path, that of its root when the root of the archive is /."""
        self._walk = walk
        self._names = Paths(prefix)
        self._links: dict[tuple[int, int], Place] = {}
        self._directories: list[stat_result] = []  # those that are being written
        self._excluded = 0  # how many of the directories around are left out
        for step, found in kept(walk.events(), _wanted):
            if step == LEAVE:
                if self._excluded:
                    self._excluded -= 1
                else:
                    self._directories.pop()
            elif self._excluded or not self._representable(found):
                self._excluded += step == ENTER
            else:
                self._tell(step, found)
            if step == ENTER:
                found.xattrs = None  # not as long as the walk is below

    def finish(self) -> None:
        self._sink.write(tar.END)
        self._sink.finish()

    def _representable(self, found: Found) -> bool:
        if found.place.name.startswith(WHITEOUT):
            self._warn(f"{self._path(found)}: left out: in an image layer the name {WHITEOUT}… is that of a whiteout")
            return False
        if found.stat is not None and stat.S_ISSOCK(found.stat.st_mode):
            self._warn(f"{self._path(found)}: left out: an image layer cannot hold sockets")
            return False
        return True

    def _tell(self, step: int, found: Found) -> None:
        try:
            if found.kind == DELETED:
                self._whiteout(found)
            elif step == ENTER:
                self._directory(found)
            else:
                self._object(found)
        except HostError as error:
            error.where = error.where or self._path(found)
            raise
        except OSError as error:
            raise failed(error, self._path(found)) from None

    def _whiteout(self, found: Found) -> None:
        if not found.merged:
            return  # the opaque directory around it says so
        path = self._name(found.place)
        directory, slash, name = path.rpartition(b"/")
        self._mark(directory + slash + os.fsencode(WHITEOUT) + name)

    def _directory(self, found: Found) -> None:
        assert found.stat is not None
        self._directories.append(found.stat)
        name = self._name(found.place) + b"/"
        if name != b"./" or found.kind == CHANGED:
            member = self._member(name, found.stat)
            member.xattrs = self._xattrs(found, found.xattrs)
            self._sink.write(tar.header(member))
        if found.hides and found.lower:
            self._mark(OPAQUE if name == b"./" else name + OPAQUE)

    def _mark(self, name: bytes) -> None:
        """An empty file that stands for a deletion, as old as its directory."""
        member = tar.Member(name, tar.REGULAR, mtime=self._directories[-1].st_mtime_ns)
        self._sink.write(tar.header(member))

    def _object(self, found: Found) -> None:
        try:
            self._write_object(found)
        except OSError as error:
            if error.errno not in GONE:
                raise

    def _write_object(self, found: Found) -> None:
        """GONE errors come before anything is written."""
        assert found.stat is not None
        name, directory = found.place.name, self._walk.upper.fd
        path = xattrs.at(directory, name)
        if found.linked and self._write_link(found, found.stat):
            return  # the archive has it already, under another name
        member = self._member(self._name(found.place), found.stat)
        member.xattrs = self._xattrs(found, xattrs.read(path))
        if member.kind == tar.SYMLINK:
            member.link = os.fsencode(content.read_link(directory, name))
        elif member.kind in (tar.CHARACTER, tar.BLOCK_DEVICE):
            member.device = os.major(found.stat.st_rdev), os.minor(found.stat.st_rdev)
        if member.kind == tar.REGULAR:
            if not self._write_file(found, member, directory):
                return
        else:
            self._sink.write(tar.header(member))
        if found.linked:
            self._links[found.stat.st_dev, found.stat.st_ino] = found.place

    def _write_file(self, found: Found, member: tar.Member, directory: int) -> bool:
        """False when it is left out."""
        fd = content.open_regular(directory, found.place.name)
        try:
            now = os.fstat(fd)  # a header and a content of one moment, as far as that goes
            if content.absurd(now):
                self._warn(f"{self._path(found)}: left out: {now.st_size} bytes, and hardly any of them written")
                return False
            member.size, member.mtime = now.st_size, now.st_mtime_ns
            self._sink.write(tar.header(member))
            self._copy(fd, now.st_size, found)
        finally:
            os.close(fd)
        return True

    def _write_link(self, found: Found, now: stat_result) -> bool:
        first = self._links.get((now.st_dev, now.st_ino))
        if first is None:
            return False
        member = self._member(self._name(found.place), now)
        member.kind = tar.HARDLINK
        member.link = self._name(first)
        self._sink.write(tar.header(member))
        return True

    def _copy(self, fd: int, size: int, found: Found) -> None:
        """Exactly ``size`` bytes, whatever becomes of the file meanwhile."""
        at = 0
        missing = 0
        for start, end in content.extents(fd, size):
            self._sink.zeros(start - at)
            at = start
            while at < end:
                data = os.pread(fd, min(content.CHUNK, end - at), at)
                if not data:
                    missing = end - at
                    break
                self._sink.write(data)
                at += len(data)
            if missing:
                break
        self._sink.zeros(size - at)
        self._sink.write(tar.padding(size))
        if missing or os.fstat(fd).st_size != size:
            self._warn(f"{self._path(found)}: has changed its size while it was read")

    def _member(self, name: bytes, now: stat_result) -> tar.Member:
        member = tar.Member(name, _KINDS[stat.S_IFMT(now.st_mode)], mode=stat.S_IMODE(now.st_mode))
        member.mtime = now.st_mtime_ns
        member.uid, member.gid = self._owners(now.st_uid, now.st_gid)
        return member

    def _xattrs(self, found: Found, has: dict[str, bytes] | None) -> dict[str, bytes]:
        """Those that a header can say: an = would end the name."""
        if has is None or sum(len(name) + len(value) for name, value in has.items()) > XATTRS_LIMIT:
            self._warn(f"{self._path(found)}: extended attributes left out: they are too many")
            return {}
        for name in [name for name in has if "=" in name]:
            self._warn(f"{self._path(found)}: extended attribute left out: {name}")
            del has[name]
        return has

    def _name(self, place: Place) -> bytes:
        """The path in the archive, relative to its root; ``.`` for the root itself."""
        return os.fsencode(self._names.of(place)[1:]) or b"."

    def _path(self, found: Found) -> str:
        return found.place.below(self._walk.destination)


def _wanted(found: Found) -> bool:
    """Besides changes: all names of one inode, and whatever an opaque directory would hide."""
    return found.kind != SAME or found.linked or not found.merged
