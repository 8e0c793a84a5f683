"""How the first process of a container or of an exec gets into its cgroups, before it can fork (cgroups(7))."""

from __future__ import annotations

from pyrunc.plan.kernel import O_PATH
from pyrunc.plan.ops import SLOT_CGROUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.plan.builder import Builder


def join(b: Builder, cgroups: Mapping[str, str], *, from_elsewhere: bool) -> int:
    """Be born there (cgroup2; returns the slot for clone), or join before the clone (-1).

    ``cgroups`` are directories by controller, "" for cgroup2.  ``from_elsewhere``: before the clone the process enters
    a user or cgroup namespace that exists already.  clone3 would check its credentials in that user namespace, and
    whether the cgroup that it comes from is in that cgroup namespace (mount option nsdelegate): neither is so.

    A process that writes to cgroup.procs waits for an RCU grace period, 5 to 10 ms on an idle host (the kernel's
    cgroup_threadgroup_rwsem); a thread that moves itself, through the ``tasks`` of v1, does not.
    """
    into = -1
    for directory, controller in {path: name for name, path in cgroups.items()}.items():
        if controller:
            b.on_host("linux.cgroupsPath", "join_cgroup", directory + "/tasks")
        elif from_elsewhere:
            b.on_host("linux.cgroupsPath", "join_cgroup", directory + "/cgroup.procs")
        else:
            b.on_host("linux.cgroupsPath", "open", SLOT_CGROUP, directory, O_PATH)
            into = SLOT_CGROUP
    return into
