"""Makes cgroups and writes to their files: the runtime ops cgroup_create, cgroup_copy and cgroup_write…"""

from __future__ import annotations

import errno
import posix

from pyrunc.errors import HostError, OpFailed
from pyrunc.host import failure, files
from pyrunc.host.cgroups import tree

_HINTS = {
    errno.ENOENT: "this kernel or hierarchy has no such file",
    errno.EACCES: "the cgroup is not delegated to this user",
    errno.EPERM: "the cgroup is not delegated to this user",
    errno.EROFS: "the cgroup file system is mounted read-only",
    errno.EBUSY: "more is in use than the new limit allows, or processes are in the cgroup",
    errno.EINVAL: "the kernel does not take this value here; an ancestor may allow less",
    errno.ERANGE: "the value is out of the kernel's range",
    errno.ENODEV: "there is no such device, or it is nothing that this can be set for",
    errno.ENOSPC: "processes would be left without a CPU or a memory node",
    errno.EOPNOTSUPP: "this kernel or device does not do it",
}

_ASK = "the cgroup is not delegated to this user; where there is a session, use --cgroup-manager systemd"
_CREATE_HINTS = {**_HINTS, errno.EACCES: _ASK, errno.EPERM: _ASK}


def create(path: str, created: list[str], where: str, *, cloner: int = 0) -> bool:
    """mkdir -p; what was really made is appended to ``created``, parents first.  False if ``path`` was there before.

    A cgroup with processes in it is refused: they are not the container's, and would be killed with it.  ``cloner`` is
    the one that may be there.
    """
    missing = []
    while path and not files.is_directory(path):
        missing.append(path)
        path = files.parent(path)
    _refuse_frozen(path, where)
    if not missing:
        refuse_populated(path, where, cloner=cloner)
    for directory in reversed(missing):
        try:
            files.held(posix.mkdir, directory, 0o755)
        except FileExistsError:
            # Another container of the same parent was faster; or one of the same path.
            if directory == missing[0]:
                refuse_populated(directory, where, cloner=cloner)
            continue
        except OSError as error:
            what = f"mkdir {directory}"
            raise failure.op_failed(error, what, op="cgroup_create", where=where, hints=_CREATE_HINTS) from error
        created.append(directory)
    return path in created


def _refuse_frozen(path: str, where: str) -> None:
    """In a cgroup that is frozen, or below one, pyrunc-init would stop for good.  The top of a hierarchy cannot be."""
    frozen = tree.read(path + "/freezer.state").strip() in ("FROZEN", "FREEZING")
    if frozen or "frozen 1" in tree.read(path + "/cgroup.events"):
        raise OpFailed(
            f"container's cgroup unexpectedly frozen: {path}",
            op="cgroup_create",
            errno=errno.EBUSY,
            where=where,
            hint="thaw it, or give another linux.cgroupsPath",
        )


def refuse_populated(path: str, where: str, *, cloner: int = 0) -> None:
    found = [pid for pid in tree.procs(path) if pid != cloner]
    if found:
        raise OpFailed(
            f"container's cgroup is not empty: {len(found)} process(es) found in {path}",
            op="cgroup_create",
            errno=errno.EBUSY,
            where=where,
            hint="another container may use the same linux.cgroupsPath",
        )


def write(path: str, value: str, where: str) -> None:
    """One write of the value to a file of a cgroup."""
    _write(path, value, "cgroup_write", where)


def write_if_there(path: str, value: str, where: str) -> None:
    """The same, but for a kernel without such a file: there the value stands for what is the case anyway."""
    try:
        tree.write(path, value)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _failed(error, path, value, "cgroup_write_if_there", where) from error


def write_either(path: str, value: str, other: str, other_value: str, *, where: str) -> None:
    """To the first file, or to the other one where the kernel does not have the first; a failure names the one used."""
    if files.exists(path):
        _write(path, value, "cgroup_write_either", where)
    else:
        _write(other, other_value, "cgroup_write_either", where)


def write_pair(path: str, value: str, other: str, other_value: str, other_where: str, *, where: str) -> None:
    """Two limits of which the kernel holds each against the other: when it says EINVAL, the other one goes first."""
    op = "cgroup_write_pair"
    try:
        tree.write(path, value)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise _failed(error, path, value, op, where) from error
        try:
            tree.write(other, other_value)
        except OSError:
            # Neither can be set: what was to come first is what the user has to look at.
            raise _failed(error, path, value, op, where) from error
        _write(path, value, op, where)
    else:
        _write(other, other_value, op, other_where)


def refuse_below_usage(path: str, limit: int, what: str, *, where: str) -> None:
    """OpFailed where the file says that as much as the limit, or more, is in use."""
    usage = int(_value(path, where, "cgroup_usage"))
    if limit <= usage:
        raise OpFailed(
            f"rejecting {what} limit {limit} <= usage {usage}",
            op="cgroup_usage",
            errno=errno.EBUSY,
            where=where,
            hint="memory.checkBeforeUpdate asks for that",
        )


def _write(path: str, value: str, op: str, where: str) -> None:
    try:
        tree.write(path, value)
    except OSError as error:
        raise _failed(error, path, value, op, where) from error


def _failed(error: OSError, path: str, value: str, op: str, where: str) -> OpFailed:
    from pyrunc.host.cgroups import controllers

    code = failure.number(error)
    hints = {**_HINTS, code: controllers.why_not(path, code) or _HINTS.get(code, "")}
    # A value of several lines or none stays on one line of the message.
    return failure.op_failed(error, f'write "{value.strip()}" to {path}', op=op, where=where, hints=hints)


def copy(path: str, name: str, where: str) -> None:
    """Fill an empty file from the nearest ancestor that has a value, and the empty ones between, top-down.

    A new cpuset of v1 has no CPUs and no memory nodes, and takes no process until it does (cpuset(7)).
    """
    empty = []
    directory = path
    while not (value := _value(f"{directory}/{name}", where, "cgroup_copy")):
        empty.append(directory)
        directory = files.parent(directory)
    for directory in reversed(empty):
        _write(f"{directory}/{name}", value, "cgroup_copy", where)


def _value(path: str, where: str, op: str) -> str:
    try:
        fd = files.held(posix.open, path, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            return posix.read(fd, 65536).decode().strip()
        finally:
            posix.close(fd)
    except OSError as error:
        raise failure.op_failed(error, f"read {path}", op=op, where=where) from error


def undo(created: list[str]) -> list[str]:
    """Remove what ``create`` made, deepest first; returns the failures as texts, and empties the list.

    A directory that another container uses by now stays: its own processes or children are in it.
    """
    failures = []
    while created:
        directory = created.pop()
        try:
            posix.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.EBUSY:
                failures.append(f"cannot remove cgroup {directory}: {failure.reason(error)}")
                continue
            try:
                tree.remove(directory, 2)
            except HostError as late:
                failures.append(str(late))
    return failures
