"""Cgroups of v1 and v2: where a process is, and what a file there says."""

from __future__ import annotations

import contextlib
import os
from functools import cache
from pathlib import Path

from conformance.seen import mounts


@cache
def hierarchies() -> dict[str, tuple[Path, str]]:
    """Controller -> where its hierarchy is mounted, and the cgroup at that place.

    "" is the unified one; a controller of it is not listed: what is not of v1 is there.
    """
    found: dict[str, tuple[Path, str]] = {}
    for mount in mounts(Path("/proc/self/mountinfo").read_text()):
        if mount.type == "cgroup2":
            found.setdefault("", (Path(mount.target), mount.root))
        elif mount.type == "cgroup":
            for name in mount.super_options:
                found.setdefault(name, (Path(mount.target), mount.root))
    return found


def version() -> int:
    """2 where the unified hierarchy is the only one, else 1: then a limit is in a file of v1."""
    mounted = Path("/sys/fs/cgroup")
    return 2 if (mounted / "cgroup.controllers").exists() else 1


def controllers() -> frozenset[str]:
    """Those that a container's limits can use here."""
    if version() == 2:
        return frozenset(Path("/sys/fs/cgroup/cgroup.controllers").read_text().split())
    return frozenset(name for name in hierarchies() if name and "=" not in name)


def of(pid: int | str = "self") -> dict[str, Path]:
    """Controller -> the directory of the cgroup that the process is in, as far as it is mounted; "" is unified."""
    found: dict[str, Path] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if name in hierarchies():
                mounted, root = hierarchies()[name]
                inside = os.path.relpath(path, root)
                found[name] = mounted if inside == "." else mounted / inside
    return found


def own(pid: int) -> set[Path]:
    """The directories of a container's first process that are not ours as well."""
    mine = {*of().values()}
    shared = mine.union(*(path.parents for path in mine))
    return {path for path in of(pid).values() if path not in shared}


def read(pid: int, controller: str, file: str) -> str:
    """``read(pid, "pids", "pids.max")``: the text of a file in the process's cgroup, stripped.

    ``controller`` chooses the hierarchy on v1, and means nothing on v2.  Raises FileNotFoundError.
    """
    groups = of(pid)
    return (groups[controller if version() == 1 else ""] / file).read_text().strip()


def named(word: str) -> set[Path]:
    """Cgroups that have ``word`` in their name, right below a hierarchy's root or below the cgroup that we are in.

    That is where runtimes make those that the config does not name.  Others come and go meanwhile, and some are not
    ours to read.
    """
    found: set[Path] = set()
    for parent in {mounted for mounted, _ in hierarchies().values()} | set(of().values()):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            found.update(parent / name for name in os.listdir(parent) if word in name)
    return found


def members(path: Path) -> list[int]:
    """The processes in a cgroup and below it."""
    found: list[int] = []
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            found += map(int, Path(folder, "cgroup.procs").read_text().split())
    return [pid for pid in found if pid]


def remove(path: Path) -> None:
    """Remove a cgroup and those below it, as far as nothing is in them."""
    for folder, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
