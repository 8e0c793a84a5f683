"""cgroup2: gives controllers to a cgroup, and says why one cannot be had (cgroups(7); kernel cgroup-v2.rst).

A cgroup has the controllers that its parent's cgroup.subtree_control lists, and so up to the mount point.  Only that
file of the cgroups above is ever written, and only where something is missing in it.
"""

from __future__ import annotations

import errno
import posix

from pyrunc.errors import OpFailed
from pyrunc.host import failure, files
from pyrunc.host.cgroups import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Those that work in threaded cgroups, and so beside processes.
THREADED = frozenset({"cpu", "cpuset", "perf_event", "pids"})

_CONTROL = "/cgroup.subtree_control"


def enable(
    path: str, mount: str, needed: Sequence[str], fields: Sequence[str], also: Sequence[str], *, where: str
) -> None:
    """Give ``needed`` to the cgroup ``path``, or OpFailed that names the field; of ``also`` what can be had.

    ``fields`` says of each needed controller what in the config needs it.
    """
    for directory in reversed(_incomplete(path, mount, (*needed, *also))):
        available = _words(directory + "/cgroup.controllers", where)
        for controller, field in zip(needed, fields, strict=True):
            if controller not in available:
                raise _unavailable(controller, directory, field, top=directory == mount)
        enabled = _words(directory + _CONTROL, where)
        missing = [name for name in (*needed, *also) if name in available and name not in enabled]
        if missing:
            _add(directory, missing, dict(zip(needed, fields, strict=True)))


def _incomplete(path: str, mount: str, wanted: Sequence[str]) -> list[str]:
    """The cgroups above ``path`` that lack something, from below; what one of them has, all above it have."""
    found = []
    directory = path
    while directory != mount and wanted:
        directory = files.parent(directory)
        if directory != mount and not directory.startswith(mount + "/"):
            break
        if set(wanted) <= set(_words(directory + _CONTROL, "linux.cgroupsPath")):
            break
        found.append(directory)
    return found


def obtainable(directory: str, mount: str, controller: str) -> bool:
    """Whether ``enable`` could give it to a cgroup that is made in ``directory``; nothing is written."""
    while True:
        try:
            if controller in tree.read(directory + _CONTROL).split():
                return True
            if _has_processes(directory) or not posix.access(directory + _CONTROL, posix.W_OK):
                return False
            if controller in tree.read(directory + "/cgroup.controllers").split():
                return True
        except OSError:
            return False  # a directory that this process cannot see gives nothing to it
        if directory == mount:
            return False
        directory = files.parent(directory)


def _words(path: str, where: str) -> list[str]:
    try:
        return tree.read(path).split()
    except OSError as error:
        raise failure.op_failed(error, f"read {path}", op="cgroup_enable", where=where) from error


def _add(directory: str, missing: Sequence[str], needed: dict[str, str]) -> None:
    """All at once; where that fails one by one, as the kernel takes all or none.

    Where processes are in the way nothing is written: the kernel would let the threaded controllers pass, but make the
    cgroups below ones for threads alone.
    """
    path = directory + _CONTROL
    if _has_processes(directory):
        for name in missing:
            if name in needed:
                raise _refused(OSError(errno.EBUSY, "in use"), name, directory, needed[name])
        return
    try:
        tree.write(path, " ".join("+" + name for name in missing))
    except OSError:
        for name in missing:
            try:
                tree.write(path, "+" + name)
            except OSError as error:
                if name in needed:
                    raise _refused(error, name, directory, needed[name]) from error
                # Not asked for: the container is created without it, as it would be on a host that lacks it.


def _has_processes(directory: str) -> bool:
    """Whether there are some in the cgroup itself; the root of all, which has no type, may have them."""
    if not files.exists(directory + "/cgroup.type"):
        return False
    try:
        return bool(tree.read(directory + "/cgroup.procs"))
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # a threaded cgroup: the write is what tells
            return False
        raise


def _unavailable(controller: str, directory: str, field: str, *, top: bool) -> OpFailed:
    text = f"cgroup2 has no {controller} controller" + ("" if top else f" in {directory}")
    hint = "the kernel lacks it, or a hierarchy of cgroup v1 uses it" if top else "the cgroups above do not pass it on"
    return OpFailed(text, op="cgroup_enable", errno=errno.ENOENT, where=field, hint=hint)


def _refused(error: OSError, controller: str, directory: str, field: str) -> OpFailed:
    what = f'write "+{controller}" to {directory}{_CONTROL}'
    code = failure.number(error)
    hint = ""
    if code == errno.EBUSY:
        hint = (
            f"processes are in {directory} itself, which keeps it from giving {controller} to a container below it:"
            " move them to a cgroup of their own, or set linux.cgroupsPath to another place"
        )
    elif code == errno.EOPNOTSUPP:
        hint = f"{directory} is {_kind(directory)}, where {controller} cannot be used"
    elif code in (errno.EACCES, errno.EPERM):
        hint = "the cgroup is not delegated to this user with that controller"
    elif code == errno.EROFS:
        hint = "the cgroup file system is mounted read-only"
    text = f"{what}: {failure.reason(error)}"
    return OpFailed(text, op="cgroup_enable", errno=code, where=field, hint=hint)


def _kind(directory: str) -> str:
    """What cgroup.type says, in words (cgroups(7), "Thread mode")."""
    kind = tree.read(directory + "/cgroup.type").strip()
    if kind == "domain invalid":
        return "below a threaded cgroup, or below one with processes in it"
    return "a threaded cgroup" if kind == "threaded" else "the top of threaded cgroups"


def why_not(path: str, code: int) -> str:
    """A hint for a write to a file of a cgroup that has failed, "" when there is nothing to say that is of cgroup2."""
    directory, _, file = path.rpartition("/")
    if code not in (errno.ENOENT, errno.EOPNOTSUPP, errno.EBUSY) or not files.exists(directory + "/cgroup.type"):
        return ""
    controller = file.partition(".")[0]
    if tree.read(directory + "/cgroup.type").strip() in ("threaded", "domain invalid") and controller not in THREADED:
        return f"{directory} is {_kind(directory)}, where {controller} cannot be used"
    has = (*tree.read(directory + "/cgroup.controllers").split(), "cgroup")
    if code == errno.ENOENT and controller not in has:
        return f"the cgroup does not have the {controller} controller"
    return ""
