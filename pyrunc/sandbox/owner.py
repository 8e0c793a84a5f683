"""Which program a box belongs to, and the end of the boxes whose program was killed.

What runs in a box ends with its program, whatever ends that.  A program that was killed leaves the box's layers,
cgroups and state directory behind all the same, and whoever makes a box below the same runtime root next removes them.

While a program has boxes it holds the lock (flock(2)) of ``ROOT/.owner-TOKEN``, and the ids of its boxes begin with
``sandbox-TOKEN-``: so the name alone says whose a directory is, from the moment that it is there.  A lock that can be
taken is that of a program that is gone.  The kernel gives it back, whoever asks and in whichever pid namespace; who
only looks for a pid could be wrong.  No process has the descriptor but the program: a forked child closes it.
"""

from __future__ import annotations

import _thread
import fcntl
import os
import posix
from itertools import count

from pyrunc.errors import PyruncError, StateError
from pyrunc.host import files
from pyrunc.state.store import Record, wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = ".owner-"
_ID = "sandbox-"
#: Seconds for the first process of a box to end; one that hangs in the kernel is left to whoever comes later.
_END_SECONDS = 5

_lock = _thread.allocate_lock()


class Owner:
    """This program as the owner of its boxes below one runtime root.  Threads may use it at the same time."""

    __slots__ = ("_boxes", "_fd", "_numbers", "_path", "_root", "_swept", "_token")

    def __init__(self, root: str) -> None:
        self._root = root
        self._token = posix.urandom(8).hex()
        self._path = f"{root}/{PREFIX}{self._token}"
        self._numbers = count(1)
        self._boxes: set[str] = set()
        self._fd = -1
        self._swept = False

    def new_id(self) -> str:
        return f"{_ID}{self._token}-{next(self._numbers)}"

    def enter(self, id: str, warn: Callable[[str], None]) -> None:
        """Before the box is made.  The first time, boxes of programs that were killed are removed; ``warn`` is told
        which of them cannot be.  Raises HostError."""
        with _lock:
            if self._fd < 0:
                try:
                    self._fd = _locked(self._root, self._path)
                except OSError as error:
                    raise wrap(error, self._path) from None
            self._boxes.add(id)
            swept, self._swept = self._swept, True
        if not swept:
            sweep(self._root, warn)

    def leave(self, id: str) -> None:
        """When nothing of the box is on the host any more.  May be repeated."""
        with _lock:
            self._boxes.discard(id)
            if not self._boxes:
                self._end()

    def _end(self) -> None:
        if self._fd >= 0:
            files.unlink(self._path)
            fd, self._fd = self._fd, -1
            posix.close(fd)

    def forget(self) -> None:
        """In a forked child: the lock is the parent's, who keeps it when this copy is closed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            posix.close(fd)


#: By runtime root.
_owners: dict[str, Owner] = {}


def of(root: str) -> Owner:
    owner = _owners.get(root)
    return owner if owner is not None else _owners.setdefault(root, Owner(root))


def sweep(root: str, warn: Callable[[str], None]) -> None:
    """Remove the boxes below ``root`` whose program has gone."""
    for name in posix.listdir(root):
        if name.startswith(PREFIX):
            _sweep(root, name, warn)


def _sweep(root: str, name: str, warn: Callable[[str], None]) -> None:
    path = f"{root}/{name}"
    try:
        fd = files.held(posix.open, path, posix.O_RDWR | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    except FileNotFoundError:
        return  # that program has just closed its last box
    except PermissionError:
        return  # another user's, whose boxes are not ours to remove
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if posix.fstat(fd).st_nlink and _removed(root, name.removeprefix(PREFIX), warn):
            files.unlink(path)
    except BlockingIOError:
        return  # it lives, or somebody else removes its boxes
    finally:
        posix.close(fd)


def _removed(root: str, token: str, warn: Callable[[str], None]) -> bool:
    """Remove all boxes of a program that has gone; the caller holds its lock.  False when one has to stay."""
    done = True
    for id in posix.listdir(root):
        if id.startswith(f"{_ID}{token}-"):
            try:
                _remove(root, id, warn)
            except (PyruncError, OSError) as error:
                warn(f"{id} of a program that was killed cannot be removed: {error}")
                done = False
    return done


def _remove(root: str, id: str, warn: Callable[[str], None]) -> None:
    from pyrunc.runtime import delete, destroy

    with Record(root, id) as record:
        try:
            if not record.lock(wait=False):
                raise StateError("another command is at work on it", where=id)
        except StateError:
            if files.is_directory(record.directory):
                raise
            return  # another command has deleted it
        try:
            found = record.load()
        except StateError:
            pass  # it had not come as far as a process
        else:
            destroy.stop_first(found, _END_SECONDS)  # it ends with its program, but perhaps not yet
        delete.remove(record, force=True, warn=warn)


def _locked(root: str, path: str) -> int:
    """A new file at ``path``, locked."""
    files.make_directories(root, 0o700)
    while True:
        fd = files.held(posix.open, path, posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if posix.fstat(fd).st_nlink:
                return fd
        except BaseException:
            files.unlink(path)
            posix.close(fd)
            raise
        posix.close(fd)  # taken for that of a program that has gone, before it was locked


def _forget_all() -> None:
    global _lock
    _lock = _thread.allocate_lock()  # a thread that held it is not in the child
    for owner in _owners.values():
        owner.forget()
    _owners.clear()


os.register_at_fork(after_in_child=_forget_all)
