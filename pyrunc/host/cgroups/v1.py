"""cgroup v1: the freezer makes signalling complete, because frozen processes cannot fork.

kernel: Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst
"""

from __future__ import annotations

import _signal
import posix
import time

from pyrunc.errors import HostError
from pyrunc.host.cgroups import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Freezing can take as long as a process stays in an uninterruptible system call.
FREEZE_SECONDS = 0.5
KILL_SECONDS = 10.0


def frozen(freezer: str) -> bool:
    """FROZEN, or FREEZING: on the way there."""
    return tree.read(freezer + "/freezer.state").strip() in ("FROZEN", "FREEZING")


def signal_all(cgroups: Mapping[str, str], number: int) -> None:
    """Freeze, signal, thaw; for SIGKILL again until nothing is left, or HostError.

    What was paused before stays paused, unless it is to be killed: a v1 freezer holds even SIGKILL back, also one
    that the container has made below its own.
    """
    directories = list(dict.fromkeys(cgroups.values()))
    freezer = cgroups.get("freezer", "")
    kill = number == _signal.SIGKILL
    deadline = time.monotonic() + KILL_SECONDS
    while True:
        paused = bool(freezer) and frozen(freezer)
        # A caller that runs in the container's own cgroup would freeze itself for good.
        stop = bool(freezer) and not paused and posix.getpid() not in tree.procs(freezer)
        try:
            if stop:
                _freeze(freezer)
            pids = tree.send([pid for directory in directories for pid in tree.procs(directory)], number)
        finally:
            if kill and freezer:
                _thaw_all(freezer)
            elif stop:
                tree.write_if_there(freezer + "/freezer.state", "THAWED")
        if not kill or not pids:
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise HostError(
                f"processes survive SIGKILL: {' '.join(map(str, pids))}",
                hint="they are in an uninterruptible system call, see /proc/PID/stack",
            )
        tree.wait_for_exit(pids, left)


def _freeze(freezer: str) -> None:
    """Freeze as far as it goes in the time: who is not frozen by then is signalled all the same."""
    deadline = time.monotonic() + FREEZE_SECONDS
    tree.write_if_there(freezer + "/freezer.state", "FROZEN")
    while tree.read(freezer + "/freezer.state").strip() == "FREEZING" and time.monotonic() < deadline:
        # Reading is what makes the kernel look again (freezer_read); there is no event to wait for.
        time.sleep(0.0005)


def _thaw_all(freezer: str) -> None:
    """Thaw the cgroups below, and then the one that holds them all: nobody runs who could freeze them again."""
    for fd, name in tree.below(freezer):
        tree.write_if_there(name + "/freezer.state", "THAWED", fd)
    tree.write_if_there(freezer + "/freezer.state", "THAWED")
