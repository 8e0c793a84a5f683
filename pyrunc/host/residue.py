"""Objects that pyrunc itself made on the host: whether they are still there, and whether somebody uses them.

Where they lie is hostile: every component is opened without following links, relative to the one before.  And an
object over which somebody has mounted in another mount namespace stays: to remove a mount point there detaches that
mount (kernel: detach_mounts in fs/namespace.c).  What is removed pyrunc-init looks at once more (op ``remove``).
"""

from __future__ import annotations

import posix
import stat

from pyrunc.host import failure, files, mount_users, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyrunc.host.mount_users import Place

    #: Absolute directory, path below it; type and mode, uid, gid with which it is made; device, inode, when it was made
    #: in ns (0: the file system does not say).  Device and inode are 0 where they are not known, and then it was made
    #: at that time or later.
    Entry = tuple[str, str, int, int, int, int, int, int]

_DIRECTORY = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
#: Gone, moved, or in a place where it was not made: ENOENT, ENOTDIR, ELOOP.
_NOT_OURS = (2, 20, 40)


def present(entries: Sequence[Entry], failures: list[str]) -> list[Entry]:
    """Those that are still there, or something that looks like them, last made first.

    What cannot be looked at is added to ``failures``, a text each.
    """
    found = []
    for entry in reversed(entries):
        try:
            if _is_there(entry):
                found.append(entry)
        except OSError as error:
            if error.errno not in _NOT_OURS:
                failures.append(f"cannot remove {entry[0]}/{entry[1]}: {failure.reason(error)}")
    return found


def _parent(base: str, path: str) -> tuple[int, str]:
    """A descriptor of the directory that holds the object, and the object's name."""
    *way, name = path.strip("/").split("/")
    fd = files.held(posix.open, base, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        for part in way:
            inner = files.held(posix.open, part, _DIRECTORY, dir_fd=fd)
            fd, outer = inner, fd
            posix.close(outer)
    except BaseException:
        posix.close(fd)
        raise
    return fd, name


def _is_there(entry: Entry) -> bool:
    base, path, mode, _, _, device, inode, _ = entry
    fd, name = _parent(base, path)
    try:
        found = posix.stat(name, dir_fd=fd, follow_symlinks=False)
        known = not inode or (found.st_dev, found.st_ino) == (device, inode)
        if known and stat.S_IFMT(found.st_mode) == stat.S_IFMT(mode):
            return True
        # What is there may be a mount of the host, over the object.
        return posix.readlink(f"/proc/self/fd/{fd}").rstrip("/") + "/" + name in probe.mount_points()
    finally:
        posix.close(fd)


def places(entries: Iterable[Entry]) -> dict[Entry, Place]:
    """Device and path in its file system of those that can be reached still."""
    mounts = {line.partition(" ")[0]: line for line in probe.lines(probe.read("/proc/self/mountinfo"))}
    found = {}
    for entry in entries:
        place = _place(mounts, entry[0], entry[1])
        if place:
            found[entry] = place
    return found


def _place(mounts: dict[str, str], base: str, path: str) -> Place | None:
    try:
        fd, name = _parent(base, path)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise
        return None
    try:
        full = posix.readlink(f"/proc/self/fd/{fd}").rstrip("/") + "/" + name
        line = mounts.get(mount_users.mount_id(fd))
    finally:
        posix.close(fd)
    if line is None:
        return None
    _, _, device, root, point, _ = line.split(" ", 5)
    return device, mount_users.join(probe.unescape(root), full[len(probe.unescape(point).rstrip("/")) :])
