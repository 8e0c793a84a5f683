"""Sandboxes under test: made with a private root, closed at the end, and what of them the host shows."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyrunc import Sandbox
from pyrunc.sandbox import owner
from tests.support.requirements import cgroup_mounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc import Completed

DEADLINE = 60.0


class Sandboxes:
    """A factory: ``make(memory="64m")``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: list[Sandbox] = []

    def __call__(self, **wanted: Any) -> Sandbox:
        self.made.append(Sandbox(root=self.root, **wanted))
        return self.made[-1]

    def close(self) -> None:
        for box in self.made:
            box.close()

    def forget(self) -> None:
        """Let this program be to the root as one that has never made a sandbox there."""
        assert all(box.closed for box in self.made)
        owner._owners.pop(str(self.root), None)

    def containers(self) -> list[str]:
        """The ids that have a state directory."""
        return sorted(name for name in os.listdir(self.root) if not name.startswith(".")) if self.root.exists() else []


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def python(box: Sandbox, script: str, **wishes: float) -> Completed:
    """Run Python in the box, with ctypes at hand, and fail with what it said."""
    head = "import ctypes, os, signal, sys, time\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    result = box.run(["python3", "-c", head + script], text=True, **wishes)  # type: ignore[arg-type]
    assert result.returncode == 0, result.stderr
    return result


def children() -> set[int]:
    """The children of this process, zombies too."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        found.update(map(int, (task / "children").read_text().split()))
    return found


def members(box: Sandbox) -> list[int]:
    """Pids on the host of everything that runs in a sandbox, but for its first process."""
    own = os.stat(f"/proc/{box.pid}/ns/pid").st_ino
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(name) != box.pid and os.stat(f"/proc/{name}/ns/pid").st_ino == own:
                found.append(int(name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def cgroups(id: str) -> list[str]:
    """The cgroups of a sandbox, wherever this process's own are."""
    # os.walk takes no offence at cgroups that go away meanwhile.
    points = set(cgroup_mounts().values())
    return [f"{folder}/{id}" for point in points for folder, names, _ in os.walk(point) if id in names]


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "not within the deadline"
        os.sched_yield()
