"""What v1 and v2 have in common: walking and removing directories of a cgroup file system."""

from __future__ import annotations

import errno
import posix
import select
import time

from pyrunc.errors import HostError
from pyrunc.host import failure, files


def read(path: str) -> str:
    """A file of a cgroup; "" when it or its cgroup is gone (ENODEV: removed after the open)."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        chunks = []
        while chunk := posix.read(fd, 65536):
            chunks.append(chunk)
        return b"".join(chunks).decode()
    except OSError as error:
        # EOPNOTSUPP: cgroup.procs of a threaded cgroup; its processes are listed by the threaded domain.
        if error.errno in (errno.ENODEV, errno.EOPNOTSUPP):
            return ""
        raise
    finally:
        posix.close(fd)


def write(path: str, value: str) -> None:
    fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(fd, value.encode())
    finally:
        posix.close(fd)


def children(directory: str) -> list[str]:
    """Directories of the cgroups right below; none if it is gone."""
    try:
        with posix.scandir(directory) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def procs(directory: str) -> list[int]:
    """Pids in a cgroup and below it.  0 stands for processes outside of our pid namespace: left out."""
    pids = [int(line) for line in read(directory + "/cgroup.procs").split() if line != "0"]
    for child in children(directory):
        pids += procs(child)
    return pids


def refuse_top(directory: str) -> None:
    """The top of a hierarchy holds the whole host: never signalled, never removed."""
    # v1 has release_agent only at the top; v2 has cgroup.events everywhere but there.
    on_v2 = files.exists(directory + "/cgroup.controllers")
    if files.exists(directory + ("/cgroup.events" if on_v2 else "/release_agent")) != on_v2:
        raise HostError(f"{directory} is the top of a cgroup hierarchy", hint="set linux.cgroupsPath")


def remove_empty(directory: str) -> bool:
    """rmdir; False when the cgroup is in use (EBUSY; also the top of a hierarchy) or has others below."""
    try:
        posix.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise HostError(f"cannot remove cgroup {directory}: {failure.reason(error)}") from error
    return True


def remove(directory: str, seconds: float) -> None:
    """rmdir, deepest first.  EBUSY means that processes are still leaving: wait for them."""
    deadline = time.monotonic() + seconds
    while True:
        for child in children(directory):
            remove(child, max(0, deadline - time.monotonic()))
        try:
            posix.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise HostError(f"cannot remove cgroup {directory}: {failure.reason(error)}") from error
        left = deadline - time.monotonic()
        if left <= 0:
            raise HostError(
                f"cannot remove cgroup {directory}: busy after {seconds:.0f} s",
                hint=f"processes in it: {' '.join(map(str, procs(directory))) or 'none'}",
            )
        wait_for_exit(procs(directory), left)


def wait_for_exit(pids: list[int], seconds: float) -> None:
    """Return when all of the processes have ended, at the latest after 0.1 s: by then there may be new ones.

    Where none is left to wait for, the kernel is between the exit of the last task and the release of its
    cgroup, for which v1 has no event: the pause is a millisecond.
    """
    deadline = time.monotonic() + min(seconds, 0.1)
    poller = select.poll()
    fds = set()
    try:
        for pid in pids:
            try:
                fd = posix.pidfd_open(pid)
            except ProcessLookupError:
                continue
            fds.add(fd)
            poller.register(fd, select.POLLIN)
        if not fds:
            poller.poll(1)
        while fds and (left := deadline - time.monotonic()) > 0:
            for fd, _ in poller.poll(left * 1000):
                poller.unregister(fd)
                fds.remove(fd)
                posix.close(fd)
    finally:
        for fd in fds:
            posix.close(fd)
