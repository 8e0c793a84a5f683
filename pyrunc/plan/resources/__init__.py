"""linux.resources: which values go to which files of the container's cgroups.

runtime-spec config-linux.md "Control groups"; kernel Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
One module a resource, imported when a config has it.  Each says what its fields are on cgroup v1 and on
cgroup2; a field that cannot be had is refused, never left out.  What is kept here decides which of
the two a controller is, and collects the operations.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.plan.ops import Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyrunc.spec.types import Resources

MAX = "max"

#: Members of linux.resources in the order in which they are applied, and the controllers of v1 that they may need;
#: ``unified`` is for cgroup2, and has the last word.
CONTROLLERS = {
    "memory": ("memory",),
    "cpu": ("cpu", "cpuset"),
    "pids": ("pids",),
    "blockIO": ("blkio",),
    "hugepageLimits": ("hugetlb",),
    "network": ("net_cls", "net_prio"),
    "rdma": ("rdma",),
    "unified": ("",),
}


def plan(resources: Resources, cgroups: Mapping[str, str], kernel: tuple[int, int], *, again: bool = False) -> Writes:
    """All resources but ``devices``.  ``cgroups`` are directories by controller as in HostFacts, ``""`` for cgroup2;
    ``kernel`` is the version of Linux; ``again``: the cgroups have had values already, not the kernel's own."""
    writes = Writes(cgroups, kernel, again=again)
    for name in CONTROLLERS:
        if values := resources.get(name):
            _apply(name, writes, values)
    return writes


def _apply(name: str, writes: Writes, values: Any) -> None:
    # Spelled out, so that each module is imported for the configs that have its resource, and seen by tools.
    if name == "memory":
        from pyrunc.plan.resources import memory

        (memory.v2 if writes.unified("memory") else memory.v1)(writes, values)
    elif name == "cpu":
        from pyrunc.plan.resources import cpu

        (cpu.v2 if writes.unified("cpu") else cpu.v1)(writes, values)
        cpu.sets(writes, values)
    elif name == "pids":
        from pyrunc.plan.resources import pids

        pids.both(writes, values)
    elif name == "blockIO":
        from pyrunc.plan.resources import blockio

        (blockio.v2 if writes.unified("blkio") else blockio.v1)(writes, values)
    elif name == "hugepageLimits":
        from pyrunc.plan.resources import hugetlb

        hugetlb.both(writes, values)
    elif name == "network":
        from pyrunc.plan.resources import network

        network.v1(writes, values)
    elif name == "rdma":
        from pyrunc.plan.resources import rdma

        rdma.both(writes, values)
    else:
        from pyrunc.plan.resources import unified

        unified.v2(writes, values)


class Writes:
    """Operations on files of cgroups, as they are collected.

    A file's name begins with its controller, which says where it is: in the hierarchy of v1 that has the
    controller, else in cgroup2.  ``field`` is a path below linux.resources.
    """

    __slots__ = ("again", "cgroups", "kernel", "late", "needs", "ops", "problems")

    def __init__(self, cgroups: Mapping[str, str], kernel: tuple[int, int], *, again: bool = False) -> None:
        self.cgroups = cgroups
        self.kernel = kernel
        self.again = again
        self.ops: list[Op] = []
        self.late: list[Op] = []  # once the container's first process exists
        self.needs: dict[str, str] = {}  # controllers of cgroup2 -> the config path that needs it first
        self.problems: list[Violation] = []

    def unified(self, controller: str) -> bool:
        """Whether the controller, by its name on v1, has to be one of cgroup2."""
        return controller not in self.cgroups and "" in self.cgroups

    def write(self, field: str, file: str, value: object) -> None:
        self._add(self.ops, "cgroup_write", field, file, value)

    def write_late(self, field: str, file: str, value: object) -> None:
        """Once the container's first process is in its cgroups."""
        self._add(self.late, "cgroup_write", field, file, value)

    def write_if_there(self, field: str, file: str, value: object) -> None:
        """For a value that means nothing where the kernel has no such file."""
        self._add(self.ops, "cgroup_write_if_there", field, file, value)

    def write_either(self, field: str, file: str, value: object, other: str, other_value: object) -> None:
        """Two names of one thing: the first file if it is there, else the other one."""
        self._add(self.ops, "cgroup_write_either", field, file, value, self._path(other), str(other_value))

    def write_pair(self, fields: tuple[str, str], first: tuple[str, object], second: tuple[str, object]) -> None:
        """(file, value) of two limits that bound one another: which can go first depends on what they are now."""
        where = "linux.resources." + fields[1]
        self._add(self.ops, "cgroup_write_pair", fields[0], *first, self._path(second[0]), str(second[1]), where)

    def refuse(self, field: str, reason: str) -> None:
        self.problems.append(Violation("linux.resources." + field, reason))

    def _add(self, ops: list[Op], name: str, field: str, file: str, value: object, *more: str) -> None:
        controller = file.partition(".")[0]
        if controller not in self.cgroups:
            if "" not in self.cgroups:
                self._missing(field, controller)
                return
            self.need(controller, field)
        ops.append(Op(name, (self._path(file), str(value), *more), "linux.resources." + field))

    def need(self, controller: str, field: str) -> None:
        self.needs.setdefault(controller, "linux.resources." + field)

    def _missing(self, field: str, controller: str) -> None:
        """Once for each controller: ten fields that need it are no ten reasons."""
        reason = f"this host has no {controller} cgroup controller"
        if all(problem.reason != reason for problem in self.problems):
            self.refuse(field, reason)

    def _path(self, file: str) -> str:
        directory = self.cgroups.get(file.partition(".")[0]) or self.cgroups.get("", "")
        return f"{directory}/{file}"
