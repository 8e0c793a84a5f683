"""memory: limits of memory, of memory and swap together, and how the kernel reclaims.

runtime-spec config-linux.md "Memory"; kernel cgroup-v1/memory.rst, cgroup-v2.rst "Memory".
checkBeforeUpdate needs nothing here: a container is created with nobody in its cgroup; for the rest see plan/update.py.
"""

from __future__ import annotations

from pyrunc.plan.resources import MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.resources import Writes
    from pyrunc.spec.types import Memory

#: From here on a write to memory.kmem.limit_in_bytes fails or has no effect.
_NO_KMEM_LIMIT = (5, 16)
#: From here on memory.use_hierarchy is 1 in every cgroup, and cannot be changed.
_ALWAYS_HIERARCHICAL = (5, 11)


def v1(writes: Writes, memory: Memory) -> None:
    _hierarchy(writes, memory)
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if limit == -1 and not swap:
        # memory.memsw cannot be less than the limit, and nobody has asked for one.
        writes.write_if_there("memory.limit", "memory.memsw.limit_in_bytes", -1)
    if limit and swap:
        writes.write_pair(
            ("memory.limit", "memory.swap"),
            ("memory.limit_in_bytes", limit),
            ("memory.memsw.limit_in_bytes", swap),
        )
    elif limit:
        writes.write("memory.limit", "memory.limit_in_bytes", limit)
    elif swap:
        writes.write("memory.swap", "memory.memsw.limit_in_bytes", swap)
    if memory.get("reservation"):
        writes.write("memory.reservation", "memory.soft_limit_in_bytes", memory["reservation"])
    _kernel(writes, memory)
    if memory.get("kernelTCP", 0) > 0 or (writes.again and memory.get("kernelTCP")):
        writes.write("memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes", memory["kernelTCP"])
    if "swappiness" in memory:
        writes.write("memory.swappiness", "memory.swappiness", memory["swappiness"])
    if memory.get("disableOOMKiller") or (writes.again and "disableOOMKiller" in memory):
        writes.write("memory.disableOOMKiller", "memory.oom_control", int(memory["disableOOMKiller"]))


def _hierarchy(writes: Writes, memory: Memory) -> None:
    if "useHierarchy" not in memory:
        return
    if writes.kernel < _ALWAYS_HIERARCHICAL:
        writes.write("memory.useHierarchy", "memory.use_hierarchy", int(memory["useHierarchy"]))
    elif not memory["useHierarchy"]:
        writes.refuse("memory.useHierarchy", "cannot be false: since Linux 5.11 every cgroup is hierarchical")


def _kernel(writes: Writes, memory: Memory) -> None:
    if memory.get("kernel", 0) <= 0:
        return
    if writes.kernel < _NO_KMEM_LIMIT:
        writes.write("memory.kernel", "memory.kmem.limit_in_bytes", memory["kernel"])
    else:
        reason = "Linux 5.16 and later cannot limit kernel memory alone; it counts towards memory.limit"
        writes.refuse("memory.kernel", reason)


def v2(writes: Writes, memory: Memory) -> None:
    limit = memory.get("limit", 0)
    if limit:
        writes.write("memory.limit", "memory.max", _max(limit))
    _swap(writes, limit, memory.get("swap", 0))
    if memory.get("reservation"):
        # What the cgroup may keep under pressure; a soft limit is where it begins to lose.
        writes.write("memory.reservation", "memory.low", _max(memory["reservation"]))
    for field in ("kernel", "kernelTCP"):
        if memory.get(field, 0) > 0:  # type: ignore[operator]
            writes.refuse(f"memory.{field}", "cgroup2 cannot limit it alone; it counts towards memory.limit")
    if "swappiness" in memory:
        writes.refuse("memory.swappiness", "cgroup2 has no swappiness of a cgroup")
    if memory.get("disableOOMKiller"):
        writes.refuse("memory.disableOOMKiller", "cgroup2 cannot do without the OOM killer")
    if memory.get("useHierarchy") is False:
        writes.refuse("memory.useHierarchy", "cannot be false: cgroup2 is hierarchical")


def _swap(writes: Writes, limit: int, swap: int) -> None:
    """The config counts memory and swap together, cgroup2 swap alone."""
    if swap == -1:
        writes.write_if_there("memory.swap", "memory.swap.max", MAX)
    elif swap and limit <= 0:
        writes.refuse("memory.swap", "needs memory.limit: it is the sum of both, and cgroup2 wants the difference")
    elif swap and swap == limit:
        writes.write_if_there("memory.swap", "memory.swap.max", 0)
    elif swap:
        writes.write("memory.swap", "memory.swap.max", swap - limit)
    elif limit == -1:
        # As on v1, where memory without a limit implies as much for the sum.
        writes.write_if_there("memory.limit", "memory.swap.max", MAX)


def _max(value: int) -> object:
    return MAX if value == -1 else value
