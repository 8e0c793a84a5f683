"""cgroup v2: cgroup.kill, cgroup.freeze and the events file.

kernel: Documentation/admin-guide/cgroup-v2.rst
"""

from __future__ import annotations

import _signal
import errno
import posix
import select
import time

from pyrunc.errors import HostError
from pyrunc.host import failure, files
from pyrunc.host.cgroups import tree

SIGKILL = int(_signal.SIGKILL)
FREEZE_SECONDS = 0.5
KILL_SECONDS = 10.0


def kill(directory: str) -> None:
    """Kill all processes at once, forks included; returns before they are gone.  Fine if the cgroup is."""
    try:
        tree.write(directory + "/cgroup.kill", "1")
    except FileNotFoundError:
        if not files.exists(directory + "/cgroup.procs"):
            return
        _kill_one_by_one(directory)  # Linux before 5.14
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            _kill_one_by_one(directory)  # the container has made its cgroup a threaded one
        elif error.errno != errno.ENODEV:
            raise HostError(f"write 1 to {directory}/cgroup.kill: {failure.reason(error)}") from error


def _kill_one_by_one(directory: str) -> None:
    """Frozen processes do not fork and, on v2, still die of SIGKILL.  Returns when they have, or HostError."""
    deadline = time.monotonic() + KILL_SECONDS
    while pids := signal_all(directory, SIGKILL):
        left = deadline - time.monotonic()
        if left <= 0:
            raise HostError(
                f"processes survive SIGKILL: {' '.join(map(str, pids))}",
                hint="they are in an uninterruptible system call, see /proc/PID/stack",
            )
        tree.wait_for_exit(pids, left)


def signal_all(directory: str, number: int) -> list[int]:
    """Freeze, signal, thaw: nobody escapes by forking.  What was paused before stays paused.

    Returns the pids that were there, without this one.
    """
    # A caller that runs in the container's own cgroup would freeze itself for good.
    stop = not frozen(directory) and posix.getpid() not in tree.procs(directory)
    try:
        if stop:
            tree.write_if_there(directory + "/cgroup.freeze", "1")
            wait_for_event(directory, "frozen 1", FREEZE_SECONDS)
        return tree.send(tree.procs(directory), number)
    finally:
        if stop:
            tree.write_if_there(directory + "/cgroup.freeze", "0")


def frozen(directory: str) -> bool:
    """What was asked for, not what has been reached: being frozen takes the processes a moment."""
    return tree.read(directory + "/cgroup.freeze").strip() == "1"


def wait_for_event(directory: str, line: str, seconds: float) -> bool:
    """Wait until cgroup.events has the line; the kernel raises POLLPRI when the file changes.  False if it came not."""
    try:
        fd = files.held(posix.open, directory + "/cgroup.events", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        deadline = time.monotonic() + seconds
        poller = select.poll()
        poller.register(fd, select.POLLPRI)
        while line not in posix.pread(fd, 4096, 0).decode():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poller.poll(left * 1000)
        return True
    finally:
        posix.close(fd)
