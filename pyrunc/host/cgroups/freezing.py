"""Stops a container and lets it go on: the freezer controller of v1, cgroup.freeze of v2.

kernel: cgroup-v1/freezer-subsystem.rst, cgroup-v2.rst "cgroup.freeze".  Whoever only stops processes for a moment, to
signal them all, does without the certainty that is needed here (v1, v2).
"""

from __future__ import annotations

import posix
import time

from pyrunc.errors import HostError
from pyrunc.host import files
from pyrunc.host.cgroups import tree, v2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: A process in an uninterruptible system call freezes when that returns: how long that may take.
SECONDS = 10.0
#: Between two looks at v1's state, which has no event to wait for: the first pause, and the longest.
_PAUSES = (0.0005, 0.02)


def freeze(cgroups: Mapping[str, str]) -> None:
    """Freeze every process in the cgroups, or HostError: then none is left frozen.

    ``cgroups`` is the mapping of state.json; with v1's freezer in it cgroup2 is left alone.
    """
    directory = _directory(cgroups)
    if posix.getpid() in tree.procs(directory):
        raise HostError("this process is in the container's own cgroup, and would stop itself", where=directory)
    try:
        frozen = _freeze_v1(directory) if "freezer" in cgroups else _freeze_v2(directory)
        if not frozen:
            raise HostError(f"unable to freeze: {_why_not(directory)}", where=directory)
    except BaseException as error:
        try:
            _write(cgroups, directory, on=False)
        except HostError as another:
            if isinstance(error, HostError):
                error.add(str(another))
        raise


def thaw(cgroups: Mapping[str, str]) -> None:
    """Thaw the cgroups; HostError where one above, which is not the container's, holds its processes."""
    directory = _directory(cgroups)
    _write(cgroups, directory, on=False)
    above = _frozen_above(directory, "freezer.self_freezing" if "freezer" in cgroups else "cgroup.freeze")
    if above:
        raise HostError(f"{above} is frozen, and with it everything below", where=directory, hint="thaw that one")


def _directory(cgroups: Mapping[str, str]) -> str:
    directory = cgroups.get("freezer") or cgroups.get("", "")
    if not directory:
        hint = "this host has no such controller, or it is a sandbox, which joins those that limit it"
        raise HostError("the container is in no cgroup that can be frozen", hint=hint)
    tree.refuse_top(directory)
    return directory


def _write(cgroups: Mapping[str, str], directory: str, *, on: bool) -> None:
    if "freezer" in cgroups:
        tree.write_if_there(directory + "/freezer.state", "FROZEN" if on else "THAWED")
    else:
        tree.write_if_there(directory + "/cgroup.freeze", str(int(on)))


def _freeze_v1(directory: str) -> bool:
    """Ask again and again: each write goes through the processes once more, also through those that came later."""
    file = directory + "/freezer.state"
    deadline = time.monotonic() + SECONDS
    pause, longest = _PAUSES
    while True:
        tree.write_if_there(file, "FROZEN")
        state = tree.read(file).strip()
        if state == "FROZEN":
            return True
        if not state or time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, longest)


def _freeze_v2(directory: str) -> bool:
    tree.write_if_there(directory + "/cgroup.freeze", "1")
    return v2.wait_for_event(directory, "frozen 1", SECONDS)


def _why_not(directory: str) -> str:
    if not files.is_directory(directory):
        return "the cgroup is gone"
    # D: what does not get to where it could be frozen (proc_pid_stat(5)).
    stuck = [str(pid) for pid in tree.procs(directory) if _state(pid) == "D"]
    return f"its processes do not come to a stop in {SECONDS:.0f} s; in the kernel: {' '.join(stuck) or 'none'}"


def _state(pid: int) -> str:
    return tree.read(f"/proc/{pid}/stat").rpartition(")")[2].strip()[:1]


def _frozen_above(directory: str, file: str) -> str:
    """The nearest cgroup above that is frozen by itself, "" if none is."""
    while files.exists(f"{(directory := files.parent(directory))}/{file}"):
        if tree.read(f"{directory}/{file}").strip() == "1":
            return directory
    return ""
