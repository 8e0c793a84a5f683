"""Objects that pyrunc itself made on the host: whether they are still there, and whether somebody uses them.

Where they lie is hostile: every component is opened without following links, relative to the one before.  And an
object over which somebody has mounted in another mount namespace stays: to remove a mount point there detaches that
mount (kernel: detach_mounts in fs/namespace.c).  What is removed pyrunc-init looks at once more (op ``remove``).
"""

from __future__ import annotations

import posix
import stat

from pyrunc.host import failure, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    #: Absolute directory, path below it, S_IF* kind, device, inode, when it was made in ns (0: the file system does not
    #: say); device and inode are 0 where they are not known, and then it was made at that time or later
    Entry = tuple[str, str, int, int, int, int]

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
    fd = posix.open(base, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        for part in way:
            inner = posix.open(part, _DIRECTORY, dir_fd=fd)
            posix.close(fd)
            fd = inner
    except BaseException:
        posix.close(fd)
        raise
    return fd, name


def _is_there(entry: Entry) -> bool:
    base, path, kind, device, inode, _ = entry
    fd, name = _parent(base, path)
    try:
        found = posix.stat(name, dir_fd=fd, follow_symlinks=False)
        if stat.S_IFMT(found.st_mode) == kind and (not inode or (found.st_dev, found.st_ino) == (device, inode)):
            return True
        # What is there may be a mount of the host, over the object.
        return posix.readlink(f"/proc/self/fd/{fd}").rstrip("/") + "/" + name in probe.mount_points()
    finally:
        posix.close(fd)


def mount_points(entries: Iterable[Entry]) -> set[tuple[str, str]]:
    """Directory and path of those that are mount points in our mount namespace, or in that of a process that we can
    see."""
    wanted: dict[tuple[str, str], tuple[str, str]] = {}
    table = probe.read("/proc/self/mountinfo")
    own = list(_mounts(table))
    for base, path, *_ in entries:
        place = _in_file_system(own, base, path)
        if place:
            wanted[place] = (base, path)
    names = {path.rpartition("/")[2] for _, path in wanted.values()}
    used = set()
    for text in (table, *_mount_tables()):
        mounts = list(_mounts(text))
        by_id = {mount[0]: mount for mount in mounts}
        for _, parent, _, _, point in mounts:
            above = by_id.get(parent)
            if above is None or point.rpartition("/")[2] not in names:
                continue
            place = above[2], _join(above[3], point[len(above[4].rstrip("/")) :])
            if place in wanted:
                used.add(wanted[place])
    return used


def _mounts(text: str) -> Iterable[tuple[str, str, str, str, str]]:
    """(id, parent's id, device, root in the file system, mount point) of each line (proc_pid_mountinfo(5))."""
    for line in probe.lines(text):
        id, parent, device, root, point, _ = line.split(" ", 5)
        yield id, parent, device, probe.unescape(root), probe.unescape(point)


def _join(root: str, path: str) -> str:
    return root.rstrip("/") + path if path != "/" else root


def _in_file_system(mounts: list[tuple[str, str, str, str, str]], base: str, path: str) -> tuple[str, str] | None:
    """Device and path in its file system; None when it cannot be reached any more."""
    try:
        fd, name = _parent(base, path)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise
        return None
    try:
        full = posix.readlink(f"/proc/self/fd/{fd}").rstrip("/") + "/" + name
    finally:
        posix.close(fd)
    best = None
    for mount in mounts:
        if full.startswith(mount[4].rstrip("/") + "/") and (best is None or len(mount[4]) >= len(best[4])):
            best = mount
    return (best[2], _join(best[3], full[len(best[4].rstrip("/")) :])) if best else None


def _mount_tables() -> Iterable[str]:
    """The mount table of every other mount namespace."""
    seen = {posix.readlink("/proc/self/ns/mnt")}
    for pid in posix.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            namespace = posix.readlink(f"/proc/{pid}/ns/mnt")
            if namespace in seen:
                continue
            text = probe.read(f"/proc/{pid}/mountinfo")
        except OSError:
            continue  # it has ended, or belongs to somebody whom we may not look at
        if text:
            seen.add(namespace)
            yield text
