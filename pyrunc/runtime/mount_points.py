"""Mount points that had to be made on the host's files: noted before they are made, removed with the container.

One that another container mounts over by then is left to whichever deletion finds it unused: ``ROOT/.mount-points``
lists those.  While a container is being created it holds a shared lock of the directory ROOT, so that no deletion
takes a mount point away between its look-up and its mount.
"""

from __future__ import annotations

import fcntl
import posix
import time

from pyrunc.errors import StateError
from pyrunc.host import files, residue
from pyrunc.plan.ops import Op
from pyrunc.runtime.conversation import perform
from pyrunc.spec.jsontext import dumps, loads
from pyrunc.state.store import Store, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pyrunc.host.residue import Entry

LEFT = "/.mount-points"


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

    def before(self, slot: int, path: str, kind: int) -> None:
        if slot in self._bases:
            self.made.append((self._bases[slot], path, kind, 0, 0, time.time_ns()))
            self._save()

    def after(self, slot: int, path: str, device: int, inode: int, born: int) -> None:
        if slot in self._layers:
            self.in_layers.append(self._layers[slot].rstrip("/") + "/" + path)
        elif slot in self._bases:
            base, _, kind, *_ = self.made.pop()
            if inode:
                self.made.append((base, path, kind, device, inode, born))


def creating(root: str) -> int:
    """Hold off removals; the descriptor to close when the container's mounts stand."""
    fd = posix.open(root, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
    except BaseException:
        posix.close(fd)
        raise
    return fd


def remove(root: str, id: str, entries: Sequence[Entry]) -> list[str]:
    """Remove what container ``id`` has made and what earlier deletions had to leave; what is in use is left to later
    ones.

    Returns what could not be removed, a text each.
    """
    failures: list[str] = []
    if not entries and not files.exists(root + LEFT):
        return failures
    fd = _open_left(root)
    try:
        pending = _parse(posix.pread(fd, posix.fstat(fd).st_size, 0), root)
        pending = list(dict.fromkeys([*pending, *map(tuple, entries)]))
        lock = posix.open(root, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            pending = _remove(root, id, pending, failures)
        except BlockingIOError:
            pass  # somebody is between look-up and mount: left to a later deletion
        finally:
            posix.close(lock)
        if pending:
            replace(root + LEFT, dumps(pending).encode("utf-8", "backslashreplace"), 0o600)
        else:
            posix.unlink(root + LEFT)
    finally:
        posix.close(fd)
    return failures


def _remove(root: str, id: str, entries: list[Entry], failures: list[str]) -> list[Entry]:
    """Returns what somebody else needs still, in the order in which it was made."""
    found = residue.present(entries, failures)
    if not found:
        return []
    used = residue.mount_points(found)
    unused = [entry for entry in found if entry[:2] not in used]
    if unused:
        perform([Op("remove", entry, "") for entry in unused], lambda text: failures.append(text.removeprefix(": ")))
    kept = [entry for entry in found if entry[:2] in used]
    # Directories that were not empty: another container's mount points may be in there.
    full = residue.present(unused[::-1], [])
    if full:
        needed = {_place(entry) for entry in kept} | _of_others(root, id)
        kept += [entry for entry in full if any(place.startswith(_place(entry) + "/") for place in needed)]
    return [entry for entry in entries if entry in kept]


def _place(entry: Entry) -> str:
    return f"{entry[0]}/{entry[1]}"


def _of_others(root: str, id: str) -> set[str]:
    """What the other containers have made."""
    found = set()
    store = Store(root)
    for name in store.ids():
        if name != id:
            try:
                found |= {_place(entry) for entry in store.load(name).get("made") or ()}
            except StateError:
                continue  # it is on its way in or out, or damaged: it says nothing
    return found


def _open_left(root: str) -> int:
    """The list, locked.  Whoever changes it puts a new file in its place: then the one we hold is not that."""
    while True:
        fd = posix.open(root + LEFT, posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        own = posix.fstat(fd)
        try:
            there = posix.stat(root + LEFT)
            if (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino):
                return fd
        except FileNotFoundError:
            pass  # emptied while we waited
        posix.close(fd)


def _parse(data: bytes, root: str) -> list[Any]:
    entries: Any = loads(data, root + LEFT) if data else []
    return [tuple(entry) for entry in entries]
