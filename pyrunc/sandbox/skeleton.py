"""``rootfs="host"``: the host's own programs, read-only, in a root directory that holds nothing else of the host.

The root directory is a skeleton: empty directories for what is mounted over them, links such as /bin as the host has
them, and a few files in /etc.  It is made once per runtime root, shared by all boxes and never changed: a box whose
mounts need other mount points has an overlay above it (see ``base``).

``ROOT/.host-rootfs/NAME`` is complete from the moment that it has its name, and NAME says what is in it, so another
version of pyrunc, or a host that has changed, gets one of its own.  Both directories belong to the caller and are
writable for nobody else.
"""

from __future__ import annotations

import fcntl
import os
import stat

from pyrunc.errors import HostError
from pyrunc.host import failure, files
from pyrunc.sandbox.shares import bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.types import Mount

    #: path without a slash in front; "d", "f" or "l"; contents or target
    Entry = tuple[str, str, str]

DIRECTORY = ".host-rootfs"

#: Links into /usr where the host keeps everything there, otherwise directories of their own.
USR_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

#: What programs in /usr keep outside of it and do not work without; public on every host.
ETC = (
    "/etc/alternatives",  # Debian's /usr/bin/java, cc, awk and many more are links into it
    "/etc/ld.so.cache",  # where libraries outside of the standard directories are
    "/etc/ssl/certs",  # the certificates of the authorities, without the host's own keys beside them
    "/etc/ssl/openssl.cnf",
    "/etc/pki/ca-trust/extracted",  # the same on Fedora
    "/etc/pki/tls/certs",
    "/etc/crypto-policies",
)
#: Debian's Java keeps its security settings in /etc/java-17-openjdk and the like, and does not start without.
ETC_PREFIX = "java"
#: With the host's network come its name servers.
RESOLVER = "/etc/resolv.conf"

DIRECTORIES = ("dev", "etc", "home", "opt", "proc", "root", "run", "sys", "tmp", "usr", "var", "work")
LINKS = (
    ("etc/mtab", "../proc/self/mounts"),
    ("var/run", "../run"),
    ("var/tmp", "../tmp"),  # as private as /tmp
)
FILES = (
    (
        "etc/passwd",
        (
            "root:x:0:0:root:/root:/bin/sh\n"
            "sandbox:x:1000:1000:sandbox:/tmp:/bin/sh\n"
            "nobody:x:65534:65534:nobody:/:/bin/false\n"
        ),
    ),
    ("etc/group", "root:x:0:\ntty:x:5:\nsandbox:x:1000:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("etc/resolv.conf", ""),
)


class Host:
    """``path`` of the skeleton, ``mounts`` that make it a root file system, ``points``: what exists in it.

    ``points`` maps an absolute path to whether it is a directory.
    """

    __slots__ = ("mounts", "path", "points")

    def __init__(self, path: str, mounts: list[Mount], points: dict[str, bool]) -> None:
        self.path = path
        self.mounts = mounts
        self.points = points


#: Where a change of what ``_look`` finds shows as a change of the directory.
_WATCHED = ("/", "/etc", *sorted({path.rpartition("/")[0] for path in ETC} - {"/etc"}))

#: What the host was found to have, and the times of change of ``_WATCHED`` before it was looked at.
_found: tuple[tuple[int, ...], list[Mount], list[Entry], str] | None = None
#: directory of skeletons and name -> device, inode and time of change of a skeleton that was found complete
_verified: dict[tuple[str, str], tuple[int, int, int]] = {}


def prepare(root: str, *, network: bool = False, others: bool = False) -> Host:
    """The skeleton below the runtime root ``root``, made if absent.  HostError where it cannot be had.

    ``network``: with the host's name servers.  ``others``: reachable for other users of the host, because root of the
    box is one of them.
    """
    mounts, entries, name = _of_the_host()
    if network:
        mounts = [*mounts, bind(os.path.realpath(RESOLVER), RESOLVER, directory=False, readonly=True)]
    parent = f"{root}/{DIRECTORY}"
    try:
        if not _is_complete(parent, name, entries):
            _make(root, parent, name, entries)
        if others:
            _open(root, parent)
    except OSError as error:
        raise HostError(failure.reason(error), where=str(error.filename or parent)) from None
    points = {"/" + path: kind == "d" for path, kind, _ in entries if kind != "l"}
    return Host(f"{parent}/{name}", mounts, points)


def _of_the_host() -> tuple[list[Mount], list[Entry], str]:
    """The mounts of this host, what the skeleton must have for them, and its name; nobody changes them."""
    global _found
    changed = tuple([_changed(path) for path in _WATCHED])
    found = _found
    if found is None or found[0] != changed:
        mounts, entries = _look()
        _found = found = (changed, mounts, entries, _name(entries))
    return found[1:]


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_ctime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _look() -> tuple[list[Mount], list[Entry]]:
    if not os.path.isdir("/usr"):
        raise HostError("this host has no /usr to share", where='rootfs="host"')
    mounts = [bind("/usr", "/usr", directory=True, readonly=True)]
    entries: list[Entry] = [(name, "d", "") for name in DIRECTORIES]
    entries += [(path, "l", to) for path, to in LINKS]
    entries += [(path, "f", text) for path, text in FILES]
    for name in USR_LINKS:
        mode = _mode("/" + name)
        if stat.S_ISLNK(mode):
            entries.append((name, "l", os.readlink("/" + name)))
        elif stat.S_ISDIR(mode):
            entries.append((name, "d", ""))
            mounts.append(bind("/" + name, "/" + name, directory=True, readonly=True))
    for path in (*ETC, *sorted(f"/etc/{name}" for name in os.listdir("/etc") if name.startswith(ETC_PREFIX))):
        try:
            directory = stat.S_ISDIR(os.stat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for above in _above(path):
            if (above, "d", "") not in entries:
                entries.append((above, "d", ""))
        entries.append((path[1:], "d" if directory else "f", ""))
        mounts.append(bind(path, path, directory=directory, readonly=True))
    return mounts, entries


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0


def _above(path: str) -> list[str]:
    """The directories that lead to an absolute path, without their first slash."""
    parts = path.split("/")[1:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _name(entries: list[Entry]) -> str:
    from _blake2 import blake2b

    digest: str = blake2b(repr(entries).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    return digest


def _is_complete(parent: str, name: str, entries: list[Entry]) -> bool:
    """Whether the skeleton is there and is ours alone; HostError if somebody else could have changed it.

    A program looks at the whole of it once, and from then on at whether it is the same directory.
    """
    try:
        above, own = os.lstat(parent), os.lstat(f"{parent}/{name}")
    except FileNotFoundError:
        return False
    _refuse_foreign(parent, above)
    _refuse_foreign(f"{parent}/{name}", own)
    identity = own.st_dev, own.st_ino, own.st_ctime_ns
    if _verified.get((parent, name)) != identity:
        for entry in entries:
            _verify(f"{parent}/{name}/{entry[0]}", entry)
        _verified[parent, name] = identity
    return True


def _refuse_foreign(path: str, found: os.stat_result) -> None:
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise HostError(
            "not a directory that only this user can change",
            where=path,
            hint=f"owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}; remove it",
        )


def _verify(path: str, entry: Entry) -> None:
    """An entry is as it was made; HostError otherwise."""
    _, kind, text = entry
    try:
        found = os.lstat(path)
        if kind == "l":
            right = stat.S_ISLNK(found.st_mode) and os.readlink(path) == text
        else:
            is_kind = stat.S_ISDIR if kind == "d" else stat.S_ISREG
            right = is_kind(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
            if right and kind == "f":
                with open(path, encoding="utf-8") as file:
                    right = file.read() == text
    except FileNotFoundError:
        right = False
    if not right:
        raise HostError(
            "has been changed since pyrunc made it", where=path, hint="when no box uses it any more, remove the tree"
        )


def _make(root: str, parent: str, name: str, entries: list[Entry]) -> None:
    """Make the skeleton aside and give it its name when it is complete.

    Whoever does so holds the lock of ``parent``: what is there under the other name then is of somebody who was killed.
    """
    files.make_directories(root, 0o700)
    try:
        os.mkdir(parent, 0o700)
    except FileExistsError:
        _refuse_foreign(parent, os.lstat(parent))
    lock = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_complete(parent, name, entries):
            return
        aside = f"{parent}/new"
        _remove(aside)
        os.mkdir(aside, 0o700)
        for entry in entries:
            _make_entry(aside, entry)
        os.chmod(aside, 0o755)
        os.rename(aside, f"{parent}/{name}")
    finally:
        os.close(lock)


def _make_entry(top: str, entry: Entry) -> None:
    """Modes are set, not asked for: the caller's umask is not ours."""
    name, kind, text = entry
    path = f"{top}/{name}"
    if kind == "l":
        os.symlink(text, path)
    elif kind == "d":
        os.mkdir(path)
        os.chmod(path, 0o755)
    else:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)


def _remove(path: str) -> None:
    import shutil

    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return


def _open(root: str, parent: str) -> None:
    """Let others through, but not look: a container's own directory stays closed."""
    for path in (root, parent):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & 0o011 != 0o011:
            os.chmod(path, mode | 0o011)
