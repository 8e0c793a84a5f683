"""What a running container looks like from inside, as far as a checkpoint has to know: its mounts, where symlinks lead,
what its first descriptors are."""

from __future__ import annotations

import posix
from _stat import S_ISCHR, S_ISREG

from pyrunc.host import files, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.criu.mounts import Mounted

#: As many symlinks as path_resolution(7) takes.
_LINKS = 40
#: Major number of the slaves of ptys.
_PTS = range(136, 144)


def mounts(pid: int | str) -> Mounted:
    """Of what is mounted at the same place, the last one counts."""
    found = {}
    for line in probe.lines(probe.read(f"/proc/{pid}/mountinfo")):
        _, _, device, root, point, rest = line.split(" ", 5)
        kind = rest.partition(" - ")[2].split(" ", 1)[0]
        found[probe.unescape(point)] = device, probe.unescape(root), kind
    return found


def real(pid: int, path: str) -> str:
    """Where symlinks in the container lead; what does not exist stays as it is.

    Only names come of it: nothing is opened, wherever a container that changes them meanwhile may lead us.
    """
    root = f"/proc/{pid}/root"
    way: list[str] = []
    todo = [name for name in reversed(path.split("/")) if name not in ("", ".")]
    links = 0
    while todo:
        name = todo.pop()
        if name == "..":
            del way[-1:]
            continue
        try:
            target = posix.readlink("/".join((root, *way, name)))
        except OSError:  # no symlink, or nothing at all
            way.append(name)
            continue
        links += 1
        if links > _LINKS:
            return path
        if target.startswith("/"):
            way = []
        todo += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return "/" + "/".join(way)


def descriptors(pid: int) -> list[str]:
    """What CRIU calls descriptors 0 to 2: ``pipe:[…]``, or ``file[…]`` or ``tty[…]`` of what comes from outside.

    All other names are for readers.
    """
    own = {line.split(" ", 1)[0] for line in probe.lines(probe.read(f"/proc/{pid}/mountinfo"))}
    return [_name(pid, fd, own) for fd in range(3)]


def _name(pid: int, fd: int, own: set[str]) -> str:
    path = f"/proc/{pid}/fd/{fd}"
    try:
        link = posix.readlink(path)
        found = posix.stat(path)
        info = probe.read(f"/proc/{pid}/fdinfo/{fd}")
    except FileNotFoundError:  # closed
        return ""
    mount = next((line.split()[1] for line in info.splitlines() if line.startswith("mnt_id:")), "")
    if mount in own or not link.startswith("/"):
        return link
    if S_ISCHR(found.st_mode) and posix.major(found.st_rdev) in _PTS:
        return f"tty[{found.st_rdev:x}:{found.st_dev:x}]"
    if S_ISREG(found.st_mode) or S_ISCHR(found.st_mode):
        return f"file[{int(mount):x}:{found.st_ino:x}]"
    return link


def inode(path: str) -> int:
    """Of a namespace."""
    return posix.stat(path).st_ino


def source(path: str) -> str:
    """The path without symlinks, or as it is where nothing is there any more."""
    return files.real_path(path) if files.exists(path) else path
