"""The end of the mount points that containers had to make on the host's files (runtime/mount_points.py notes them).

One that another container mounts over by then is left to whichever deletion finds it unused: ``ROOT/.mount-points``
lists those.
"""

from __future__ import annotations

import fcntl
import posix

from pyrunc.errors import HostError, StateError
from pyrunc.host import files, mount_users, residue
from pyrunc.plan.ops import Op
from pyrunc.runtime import mount_points
from pyrunc.runtime.conversation import perform
from pyrunc.runtime.destroy import LEFT
from pyrunc.spec.jsontext import dumps, loads
from pyrunc.state.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.host.mount_users import Place
    from pyrunc.host.residue import Entry

#: For how long a deletion holds creations up to find out what is in use; what it does not know by then is left.
SEARCH_SECONDS = 2


def remove(root: str, id: str, entries: Sequence[Entry]) -> list[str]:
    """Remove what container ``id`` has made and what earlier deletions had to leave; what is in use is left to later
    ones.

    Returns what could not be removed, a text each.
    """
    failures: list[str] = []
    fd = _open_left(root)
    try:
        pending = _parse(posix.pread(fd, posix.fstat(fd).st_size, 0), root)
        pending = list(dict.fromkeys([*pending, *map(tuple, entries)]))
        lock = mount_points.open_lock(root)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            pending = _remove(root, id, pending, failures)
        except BlockingIOError:
            pass  # somebody is between look-up and mount: left to a later deletion
        finally:
            posix.close(lock)
        aside = root + LEFT + ".tmp"
        if pending:
            files.replace(root + LEFT, dumps(pending).encode("utf-8", "backslashreplace"), 0o600, aside=aside)
        else:
            files.unlink(aside)  # one that was killed has left it
            posix.unlink(root + LEFT)
    finally:
        posix.close(fd)
    return failures


def _remove(root: str, id: str, entries: list[Entry], failures: list[str]) -> list[Entry]:
    """Returns what somebody else needs still, in the order in which it was made."""
    found = residue.present(entries, failures)
    if not found:
        return []
    places = residue.places(found)
    used = mount_users.in_use(set(places.values()), SEARCH_SECONDS)
    unused = [entry for entry in found if entry in places and places[entry] not in used]
    # What lies deeper is another container's, perhaps, and was made later: it has to go first.
    unused.sort(key=lambda entry: -places[entry][1].count("/"))
    if unused:
        perform([Op("remove", entry, "") for entry in unused], lambda text: failures.append(text.removeprefix(": ")))
    kept = [entry for entry in found if entry not in unused]
    # Directories that were not empty: another container's mount points may be in there.
    full = residue.present(unused, [])
    if full:
        others = residue.places(_of_others(root, id))
        needed = [*(places[entry] for entry in kept if entry in places), *others.values()]
        kept += [entry for entry in full if any(_is_above(places[entry], place) for place in needed)]
    return [entry for entry in entries if entry in kept]


def _is_above(directory: Place, place: Place) -> bool:
    return directory[0] == place[0] and place[1].startswith(directory[1] + "/")


def _of_others(root: str, id: str) -> set[Entry]:
    """What the other containers have made."""
    found: set[Entry] = set()
    store = Store(root)
    for name in store.ids():
        if name != id:
            try:
                made: Sequence[Any] = store.load(name).get("made") or ()
                found.update(tuple(entry) for entry in made)
            except (StateError, HostError):
                continue  # it is on its way in or out, damaged, or a newer pyrunc's: it says nothing
    return found


def _open_left(root: str) -> int:
    """The list, locked.  Whoever changes it puts a new file in its place: then the one we hold is not that."""
    while True:
        fd = files.open_private(root + LEFT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            own = posix.fstat(fd)
            there = posix.stat(root + LEFT)
            current = (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)
        except FileNotFoundError:
            current = False  # emptied while we waited
        except BaseException:
            posix.close(fd)
            raise
        if current:
            return fd
        posix.close(fd)


def _parse(data: bytes, root: str) -> list[Any]:
    entries: Any = loads(data, root + LEFT) if data else []
    return [tuple(entry) for entry in entries]
