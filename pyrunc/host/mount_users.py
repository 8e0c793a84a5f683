"""Whether anybody has mounted over an object, in any mount namespace.

A kernel that lists its mount namespaces (6.12, ioctl_nsfs(2), listmount(2)) tells of all.  What it does not tell,
the tables of processes do; there a process that has changed its root sees only a part.  Names and numbers of mounts are
up to whoever is in a namespace: what cannot be decided, and what has not been within the time, counts as in use.
"""

from __future__ import annotations

import fcntl
import posix
import time
from _struct import pack, unpack, unpack_from

from pyrunc.host import files, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    #: Device ("MAJOR:MINOR") and path in its file system
    Place = tuple[str, str]

_OWN = "/proc/self/ns/mnt"
_NS_MNT_GET_INFO, _NS_MNT_GET_NEXT, _NS_MNT_GET_PREV = 0x8010B70A, 0x8010B70B, 0x8010B70C
#: mnt_ns_info: size, number of mounts, id of the namespace
_INFO = "=IIQ"

_STATMOUNT, _LISTMOUNT = 457, 458
#: mnt_id_req: size, 0, id of a mount or _ROOT, what is wanted, id of the namespace
_REQUEST = "=IIQQQ"
_ROOT = (1 << 64) - 1
#: STATMOUNT_SB_BASIC, STATMOUNT_MNT_BASIC, STATMOUNT_MNT_ROOT, STATMOUNT_MNT_POINT
_WANTED = 0x1 | 0x2 | 0x8 | 0x10
_STRINGS = 512  # where they begin in struct statmount
_REPLY = 1 << 16
_AT_ONCE = 1024


#: A namespace without processes is about to end, unless it is kept: somebody, another deletion perhaps, looks at it.
#: How long is waited for that, and the pause between two looks.
_PATIENCE, _PAUSE = 0.5, 0.005


class _Undecided(Exception):
    """Too little is known, or the time is over."""


def in_use(wanted: Collection[Place], seconds: float) -> set[Place]:
    """Those on which something is mounted, or may be."""
    begun = time.monotonic()
    while True:
        search = _Search(wanted, begun + seconds)
        try:
            _tables(search, _listed(search))
            used, final = search.used, search.holders <= search.populated
        except _Undecided:
            used, final = set(wanted), False  # mounts that come and go meanwhile do not add up either
        if final or time.monotonic() > begun + _PATIENCE:
            return used
        time.sleep(_PAUSE)


class _Search:
    """``holders`` are the namespaces in which something in question is mounted, ``populated`` those with processes, by
    their inodes; ``namespace`` is the one that is looked through."""

    __slots__ = ("_deadline", "holders", "names", "namespace", "populated", "used", "wanted")

    def __init__(self, wanted: Collection[Place], deadline: float) -> None:
        self.wanted = frozenset(wanted)
        self.names = frozenset(path.rpartition("/")[2] for _, path in wanted)
        self.used: set[Place] = set()
        self.namespace = 0
        self.holders: set[int] = set()
        self.populated: set[int] = set()
        self._deadline = deadline

    def check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise _Undecided

    def may_be(self, point: str) -> bool:
        """Whether a mount there may be one of those in question; the root of a table is on nothing in the table."""
        return point != "/" and point.rpartition("/")[2] in self.names

    def found(self, point: str, below: tuple[str, str, str] | None) -> None:
        """Something is mounted there; ``below`` are device, root and mount point of what that lies on, if known."""
        if below is None or not point.startswith(below[2].rstrip("/") + "/"):
            # Out of sight from where the paths begin.
            name = point.rpartition("/")[2]
            self._hold({place for place in self.wanted if place[1].rpartition("/")[2] == name})
            return
        device, root, above = below
        self._hold(self.wanted & {(device, join(root, point[len(above.rstrip("/")) :]))})

    def _hold(self, places: Collection[Place]) -> None:
        if places:
            self.used.update(places)
            self.holders.add(self.namespace)


def join(root: str, path: str) -> str:
    return root.rstrip("/") + path if path != "/" else root


# Namespaces that the kernel lists


def _listed(search: _Search) -> dict[int, int]:
    """Look through all that the kernel lists; by inode 0, or how many mounts it has if not all were seen."""
    missing = {}
    kernel = _Kernel(search)
    try:
        for fd, mounts, id in _namespaces():
            search.check_time()
            search.namespace = posix.fstat(fd).st_ino
            seen = kernel.list(id)
            # What was unmounted meanwhile is not missing.
            mounts = min(mounts, _info(fd, _NS_MNT_GET_INFO)[1])
            missing[search.namespace] = mounts if mounts > seen else 0
    except OSError as error:
        if error.errno not in (1, 22, 25, 38):  # EPERM, EINVAL, ENOTTY, ENOSYS: not this kernel, or not for us
            raise
    return missing


def _namespaces() -> Iterator[tuple[int, int, int]]:
    """A descriptor for the time being, the number of mounts and the id of each mount namespace."""
    for request in (_NS_MNT_GET_NEXT, _NS_MNT_GET_PREV):
        fd = files.held(posix.open, _OWN, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            if request == _NS_MNT_GET_NEXT:
                yield (fd, *_info(fd, _NS_MNT_GET_INFO)[1:])
            while True:
                try:
                    following, mounts, id = _info(fd, request)
                except FileNotFoundError:
                    break
                fd, before = following, fd
                posix.close(before)
                yield fd, mounts, id
        finally:
            posix.close(fd)


def _info(fd: int, request: int) -> tuple[int, int, int]:
    """What the ioctl returns, and of its namespace the number of mounts and the id."""
    info = bytearray(pack(_INFO, 16, 0, 0))
    done = fcntl.ioctl(fd, request, info)
    _, mounts, id = unpack(_INFO, info)
    return done, mounts, id


class _Kernel:
    """listmount(2) and statmount(2)."""

    def __init__(self, search: _Search) -> None:
        import ctypes

        self._search = search
        self._errno = ctypes.get_errno
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        self._syscall.argtypes = (ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long)
        self._reply = bytearray(_REPLY)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._reply))

    def list(self, namespace: int) -> int:
        """Look through the mounts of a namespace; their number, and 1 for what is below its root and never listed."""
        count, last = 1, 0
        while True:
            try:
                found = self._call(_LISTMOUNT, namespace, _ROOT, last, _AT_ONCE)
            except FileNotFoundError:
                return count  # none but that one, or not for us
            ids = unpack_from(f"={found}Q", self._reply)
            for at, id in enumerate(ids):
                if at % 64 == 0:
                    self._search.check_time()
                self._look(namespace, id)
            count += found
            if found < _AT_ONCE:
                return count
            last = ids[-1]

    def _look(self, namespace: int, id: int) -> None:
        mount = self._mount(namespace, id)
        if mount and self._search.may_be(mount[3]):
            below = self._mount(namespace, mount[0])
            self._search.found(mount[3], below and below[1:])

    def _mount(self, namespace: int, id: int) -> tuple[int, str, str, str] | None:
        """Parent's id, device, root and mount point; None when it is gone."""
        try:
            self._call(_STATMOUNT, namespace, id, _WANTED, _REPLY)
        except FileNotFoundError:
            return None
        major, minor = unpack_from("=II", self._reply, 16)
        (parent,) = unpack_from("=Q", self._reply, 48)
        root, point = (self._string(_STRINGS + at) for at in unpack_from("=II", self._reply, 104))
        return parent, f"{major}:{minor}", root, point

    def _string(self, at: int) -> str:
        (end,) = unpack_from("=I", self._reply)
        return self._reply[at:end].partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def _call(self, number: int, namespace: int, mount: int, what: int, limit: int) -> int:
        request = pack(_REQUEST, 32, 0, mount, what, namespace)
        done: int = self._syscall(number, request, self._address, limit, 0)
        if done < 0:
            error = self._errno()
            if error == 75:  # EOVERFLOW: a path that long
                raise _Undecided
            raise OSError(error, posix.strerror(error))
        return done


# Namespaces that processes are in


def _tables(search: _Search, missing: dict[int, int]) -> None:
    """Look through what processes see of namespaces of which not everything is known."""
    seen = set()
    ids: dict[int, set[str]] = {}
    whole = set()
    for pid in posix.listdir("/proc"):
        if not pid.isdigit():
            continue
        search.check_time()
        try:
            inode = search.namespace = posix.stat(f"/proc/{pid}/ns/mnt").st_ino
            search.populated.add(inode)
            if missing.get(inode, 1) == 0:
                continue
            view = inode, *_root(pid)
            if view in seen:
                continue
            text = probe.read(f"/proc/{pid}/mountinfo")
        except OSError:
            continue  # it has ended, or belongs to somebody whom we may not look at
        if text:
            seen.add(view)
            ids.setdefault(inode, set()).update(_look_through(search, text))
            if " / " in text and any(line.split(" ", 5)[4] == "/" for line in probe.lines(text)):
                whole.add(inode)
    for inode in ids.keys() | missing.keys():
        # A root that is no mount is not all of a namespace.
        if missing.get(inode, 0) > len(ids.get(inode, ())) + 1 or (inode in ids and inode not in whole):
            raise _Undecided


def _look_through(search: _Search, text: str) -> Iterable[str]:
    """Returns the ids of the mounts in a table (proc_pid_mountinfo(5))."""
    lines = {line.partition(" ")[0]: line for line in probe.lines(text)}
    if any(f"/{_escape(name)} " in text for name in search.names):
        try:
            for at, line in enumerate(lines.values()):
                if at % 1024 == 0:
                    search.check_time()
                _, parent, _, _, point, _ = line.split(" ", 5)
                point = probe.unescape(point)
                if search.may_be(point):
                    search.found(point, _mount_of(lines[parent]) if parent in lines else None)
        except ValueError:
            raise _Undecided from None
    return lines


def _mount_of(line: str) -> tuple[str, str, str]:
    _, _, device, root, point, _ = line.split(" ", 5)
    return device, probe.unescape(root), probe.unescape(point)


def _escape(name: str) -> str:
    for character in "\\ \t\n":
        name = name.replace(character, f"\\{ord(character):03o}")
    return name


def _root(pid: str) -> tuple[int, int, str]:
    """What tells one root directory from others."""
    fd = files.held(posix.open, f"/proc/{pid}/root", posix.O_PATH | posix.O_CLOEXEC)
    try:
        found = posix.fstat(fd)
        return found.st_dev, found.st_ino, mount_id(fd)
    finally:
        posix.close(fd)


def mount_id(fd: int) -> str:
    """Of the mount that what is open lies on, as in mountinfo."""
    text = probe.read(f"/proc/self/fdinfo/{fd}")
    start = text.index("\nmnt_id:") + len("\nmnt_id:")
    return text[start : text.index("\n", start)].strip()
