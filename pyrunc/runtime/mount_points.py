"""Mount points that have to be made on the host's files: noted before they are made (runtime/removal.py removes them).

While a container is being created it holds a shared lock of ``ROOT/.mounting``, so that no deletion takes a mount
point away between its look-up and its mount.  Nobody else can open that file: whoever can hold a lock can stop every
creation.
"""

from __future__ import annotations

import fcntl
import posix
import time

from pyrunc.errors import HostError
from pyrunc.host import files, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyrunc.host.residue import Entry

LOCK = "/.mounting"
#: A creation gives up then: the pyrunc-init of a deletion may hang in a file system.
WAIT_SECONDS = 10


class Noted:
    """What the creation of one container makes; ``save`` writes it down.

    ``bases`` are the host directories behind the mounts of pyrunc-init's slots, ``layers`` the destinations of those
    whose objects lie in a layer of the container.
    """

    __slots__ = ("_bases", "_layers", "_save", "in_layers", "made")

    def __init__(self, bases: Mapping[int, str], layers: Mapping[int, str], save: Callable[[], None]) -> None:
        self._bases = bases
        self._layers = layers
        self._save = save
        self.made: list[Entry] = []
        self.in_layers: list[str] = []

    def before(self, slot: int, path: str, mode: int, pid: int) -> None:
        if slot in self._bases:
            uid, gid = process.file_system_ids(pid)
            self.made.append((self._bases[slot], path, mode, uid, gid, 0, 0, time.time_ns()))
            self._save()

    def after(self, slot: int, path: str, device: int, inode: int, born: int) -> None:
        if slot in self._layers:
            self.in_layers.append(self._layers[slot].rstrip("/") + "/" + path)
        elif slot in self._bases:
            base, _, mode, uid, gid, *_ = self.made[-1]
            if inode:
                self.made[-1] = base, path, mode, uid, gid, device, inode, born
            else:
                del self.made[-1]


def creating(root: str) -> int:
    """Hold off removals; the descriptor to close when the container's mounts stand."""
    deadline = time.monotonic() + WAIT_SECONDS
    fd = open_lock(root)
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return fd
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise HostError(
                        f"locked for {WAIT_SECONDS} seconds by a deletion that removes mount points",
                        where=root + LOCK,
                        hint="it may hang in the kernel: see what holds it with fuser",
                    ) from None
            time.sleep(0.005)
    except BaseException:
        posix.close(fd)
        raise


def open_lock(root: str) -> int:
    """The file whose lock creations share."""
    return files.open_private(root + LOCK)
