"""What v1 and v2 have in common: walking and removing directories of a cgroup file system."""

from __future__ import annotations

import errno
import posix
import select
import time

from pyrunc.errors import HostError
from pyrunc.host import failure, files, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


#: A payload may name its cgroups as it likes, but there are no links in a cgroup file system; this is to be sure.
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
#: Processes waited for at a time: each costs a descriptor, and a container may have more than RLIMIT_NOFILE allows.
_AT_ONCE = 32


def read(path: str, dir_fd: int | None = None) -> str:
    """A file of a cgroup or process; "" when that is gone (ENODEV, ESRCH: during the open, or since)."""
    try:
        fd = files.held(posix.open, path, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=dir_fd)
        try:
            chunks = []
            while chunk := posix.read(fd, 65536):
                chunks.append(chunk)
            return b"".join(chunks).decode("utf-8", "surrogateescape")
        finally:
            posix.close(fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ESRCH):
            return ""
        raise


def write(path: str, value: str, dir_fd: int | None = None) -> None:
    fd = files.held(posix.open, path, posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=dir_fd)
    try:
        posix.write(fd, value.encode())
    finally:
        posix.close(fd)


def write_if_there(path: str, value: str, dir_fd: int | None = None) -> None:
    """The same for a cgroup that may be gone, by ENODEV between open and write; other failures as HostError."""
    try:
        write(path, value, dir_fd)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise HostError(f"write {value} to {path}: {failure.reason(error)}") from error


def below(directory: str) -> Iterator[tuple[int, str]]:
    """Every cgroup below, each after those below it: a descriptor of its parent, its name there.

    A container that may write to its cgroups decides how deep and wide they are: v1 has no limit.  So this does
    not recurse, uses no path that could exceed PATH_MAX, and keeps one descriptor: back up it goes by "..", which
    is right because cgroups cannot be moved to another parent (cgroup1_rename) and leads up from removed ones, too.
    """
    names = _children(directory)
    if not names:
        return
    try:
        fd = files.held(posix.open, directory, _DIRECTORY)
    except FileNotFoundError:
        return
    way: list[str] = []
    todo = [names]
    try:
        while True:
            if todo[-1]:
                name = todo[-1].pop()
                try:
                    child = files.held(posix.open, name, _DIRECTORY, dir_fd=fd)
                except FileNotFoundError:
                    continue
                fd, above = child, fd
                posix.close(above)
                way.append(name)
                todo.append(_children(fd))
            elif way:
                parent = files.held(posix.open, "..", _DIRECTORY, dir_fd=fd)
                fd, left = parent, fd
                posix.close(left)
                todo.pop()
                yield fd, way.pop()
            else:
                return
    finally:
        posix.close(fd)


def _children(directory: str | int) -> list[str]:
    """Names of the cgroups right below; none if it is gone."""
    try:
        with posix.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def procs(directory: str) -> list[int]:
    """Pids in a cgroup and below it.  0 stands for processes outside of our pid namespace: left out."""
    pids = _members(directory)
    for fd, name in below(directory):
        pids += _members(name, fd)
    return pids


def _members(directory: str, dir_fd: int | None = None) -> list[int]:
    try:
        text = read(directory + "/cgroup.procs", dir_fd)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        # A threaded cgroup of v2 lists only threads; its processes would be listed above the container's cgroup.
        return _processes(read(directory + "/cgroup.threads", dir_fd).split())
    return [int(line) for line in text.split() if line != "0"]


def _processes(tids: list[str]) -> list[int]:
    """Pids of the threads that still exist."""
    pids: dict[int, None] = {}
    for tid in tids:
        for line in read(f"/proc/{tid}/status").split("\n"):  # splitlines would split the name, too
            if line.startswith("Tgid:"):
                pids[int(line[5:])] = None
    return list(pids)


def send(pids: list[int], number: int) -> list[int]:
    """Signal each process once; returns those that were there, without this one."""
    there = []
    for pid in dict.fromkeys(pids):
        if pid == posix.getpid():
            continue
        try:
            posix.kill(pid, number)
        except ProcessLookupError:
            continue  # it ended by itself
        there.append(pid)
    return there


def refuse_top(directory: str) -> None:
    """The top of a hierarchy holds the whole host: never signalled, never removed."""
    # v1 has release_agent only at the top; v2 has cgroup.events everywhere but there.
    on_v2 = files.exists(directory + "/cgroup.controllers")
    if files.exists(directory + ("/cgroup.events" if on_v2 else "/release_agent")) != on_v2:
        raise HostError(f"{directory} is the top of a cgroup hierarchy", hint="set linux.cgroupsPath")


def remove_empty(directory: str) -> bool:
    """rmdir; False when the cgroup is in use (EBUSY; also the top of a hierarchy) or has others below."""
    try:
        return _rmdir(directory)
    except OSError as error:
        raise HostError(f"cannot remove cgroup {directory}: {failure.reason(error)}") from error


def _rmdir(path: str, dir_fd: int | None = None) -> bool:
    try:
        posix.rmdir(path, dir_fd=dir_fd)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise
    return True


def remove(directory: str, seconds: float) -> None:
    """rmdir, deepest first.  EBUSY means that processes are still leaving: wait for them."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            for fd, name in below(directory):
                _rmdir(name, fd)
        except OSError as error:
            raise HostError(f"cannot remove the cgroups below {directory}: {failure.reason(error)}") from error
        if remove_empty(directory):
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise HostError(
                f"cannot remove cgroup {directory}: busy after {seconds:.0f} s",
                hint=f"processes in it: {' '.join(map(str, procs(directory))) or 'none'}",
            )
        wait_for_exit(procs(directory), left)


def wait_for_exit(pids: list[int], seconds: float) -> None:
    """Return when the processes, or the first of very many, have ended, but after 0.1 s: there may be new ones.

    Where none is left to wait for, the kernel is between the exit of the last task and the release of its
    cgroup, for which v1 has no event: the pause is a millisecond.
    """
    deadline = time.monotonic() + min(seconds, 0.1)
    poller = select.poll()
    fds: dict[int, None] = {}
    try:
        for pid in pids[:_AT_ONCE]:
            try:
                fd = process.pidfd_open(pid)
            except ProcessLookupError:
                continue
            fds[fd] = None
            poller.register(fd, select.POLLIN)
        if not fds:
            poller.poll(1)
        while fds and (left := deadline - time.monotonic()) > 0:
            for fd, _ in poller.poll(left * 1000):
                poller.unregister(fd)
                del fds[fd]  # without a call between this and the next: see files.held
                posix.close(fd)
    finally:
        files.close(list(fds))
