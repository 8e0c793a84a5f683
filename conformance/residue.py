"""What a container leaves behind, looked for by what its test alone has: a token, a directory, its cgroups."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import cgroup, processes
from conformance.seen import mounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.container import Container

#: Seconds in which what goes away by itself may do so.
PATIENCE = 5.0

_MNT_DETACH = 2


def below(folder: Path) -> list[str]:
    """What is mounted in ``folder``, the uppermost first."""
    text = Path("/proc/self/mountinfo").read_text()
    inside = [mount.target for mount in mounts(text) if mount.target.startswith(f"{folder}/")]
    return inside[::-1]


def left(token: str, folder: Path, root: Path, containers: Iterable[Container]) -> list[str]:
    """One line for each thing that is there although every container should be gone."""
    found = [f"process {processes.describe(pid)}" for pid in processes.mentioning(token)]
    for container in containers:
        if container.watched is not None and not container.watched.wait(0):
            line = f"process {processes.describe(container.pid)}"
            found += [line] if line not in found else []
    known = {path for container in containers for path in container.cgroups if path.is_dir()}
    found += [f"cgroup {path}" for path in sorted(known | cgroup.named(token))]
    found += [f"mount {target}" for target in below(folder)]
    if root.is_dir():
        found += [f"state {path.relative_to(root)}" for path in sorted(root.rglob(f"*{token}*"))]
    return found


def wait(token: str, folder: Path, root: Path, containers: list[Container], patience: float = PATIENCE) -> list[str]:
    """What is still left when it has had time to go."""
    deadline, pause = time.monotonic() + patience, 0.01
    while (found := left(token, folder, root, containers)) and time.monotonic() < deadline:
        processes.reap()
        time.sleep(pause)
        pause = min(2 * pause, 0.2)
    return found


def clear(token: str, folder: Path, containers: Iterable[Container]) -> None:
    """Take away by force what a runtime left, so that the next test and the machine do not suffer from it."""
    groups = cgroup.named(token)
    for container in containers:
        groups |= container.cgroups
        if container.watched is not None:
            container.watched.kill()
            container.watched.wait(processes.PATIENCE)

    def members() -> list[int]:
        pids = processes.mentioning(token)
        pids += [pid for group in groups if token in group.name for pid in cgroup.members(group)]
        return [pid for pid in pids if processes.alive(pid)]

    deadline = time.monotonic() + processes.PATIENCE
    # Who is killed may have started another one since the look that has found it.
    while (pids := members()) and time.monotonic() < deadline:
        processes.kill(pids)
        processes.reap()
        time.sleep(0.01)
    processes.reap()
    for path in sorted(groups, reverse=True):
        cgroup.remove(path)
    libc = ctypes.CDLL(None, use_errno=True)
    for target in below(folder):
        with contextlib.suppress(OSError):
            if libc.umount2(os.fsencode(target), _MNT_DETACH):
                raise OSError(ctypes.get_errno(), target)
