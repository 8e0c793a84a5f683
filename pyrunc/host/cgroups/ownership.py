"""Gives a cgroup2 to a user: the runtime op cgroup_own (cgroups(7) "Cgroups delegation")."""

from __future__ import annotations

import posix

from pyrunc.host import failure, files
from pyrunc.host.cgroups import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Names of the files that a delegate may write to, one a line, with the controllers' own; from Linux 4.15 on.
DELEGATE = "/sys/kernel/cgroup/delegate"
#: Where it is absent (config-linux.md "Cgroup ownership").
_USUAL = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def give(path: str, uid: int, where: str) -> None:
    """The directory and the kernel's list of files in it; the group stays.  A listed file that is absent is fine."""
    for name in _names(path):
        try:
            posix.chown(name, uid, -1, follow_symlinks=False)
        except OSError as error:
            if not files.exists(name):
                continue
            raise failure.op_failed(error, f"chown {name} to {uid}", op="cgroup_own", where=where) from error


def owners(path: str) -> dict[str, int]:
    """Whom the directory and each of these files belong to, by path."""
    return {name: posix.stat(name).st_uid for name in _names(path) if files.exists(name)}


def put_back(owners: Mapping[str, int]) -> list[str]:
    """Give everything back; returns what could not be, a text each."""
    failures = []
    for name, uid in owners.items():
        try:
            posix.chown(name, uid, -1, follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError as error:
            failures.append(f"cannot give {name} back to {uid}: {failure.reason(error)}")
    return failures


def _names(path: str) -> list[str]:
    return [path, *(f"{path}/{name}" for name in tree.read(DELEGATE).split() or _USUAL)]
