"""How the first process of a container or of an exec gets into its cgroups, before it can fork (cgroups(7))."""

from __future__ import annotations

from pyrunc.plan.kernel import O_PATH
from pyrunc.plan.ops import SLOT_CGROUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.plan.builder import Builder


def join(b: Builder, cgroups: Mapping[str, str], *, other_userns: bool) -> int:
    """Be born there (cgroup2; returns the slot for clone), or join before the clone (-1).

    ``cgroups`` are directories by controller, "" for cgroup2.  ``other_userns``: the process enters a user namespace
    that exists already; clone3 would check its credentials there, those of the host's stage are needed.

    A process that writes to cgroup.procs waits for an RCU grace period, 5 to 10 ms on an idle host (the kernel's
    cgroup_threadgroup_rwsem); a thread that moves itself, through the ``tasks`` of v1, does not.
    """
    into = -1
    for directory, controller in {path: name for name, path in cgroups.items()}.items():
        if controller:
            b.on_host("linux.cgroupsPath", "join_cgroup", directory + "/tasks")
        elif other_userns:
            b.on_host("linux.cgroupsPath", "join_cgroup", directory + "/cgroup.procs")
        else:
            b.on_host("linux.cgroupsPath", "open", SLOT_CGROUP, directory, O_PATH)
            into = SLOT_CGROUP
    return into
