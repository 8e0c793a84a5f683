"""rlimits, scheduler, I/O priority, CPU affinity, personality, memory policy: what the process inherits.

runtime-spec config.md "Linux Process", config-linux.md "Personality" and "Memory policy".
"""

from __future__ import annotations

from pyrunc.plan.kernel import (
    IO_PRIORITY_CLASSES,
    IOPRIO_CLASS_SHIFT,
    MEMORY_POLICIES,
    MEMORY_POLICY_FLAGS,
    PERSONALITIES,
    RLIMITS,
    SCHEDULER_FLAGS,
    SCHEDULERS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder
    from pyrunc.spec.types import Process


def apply(b: Builder, process: Process) -> None:
    for index, limit in enumerate(process.get("rlimits") or ()):
        where = f"process.rlimits[{index}]"
        b.on_container(where, "rlimit", RLIMITS[limit["type"]], signed(limit["soft"]), signed(limit["hard"]))
    scheduler = process.get("scheduler")
    if scheduler:
        b.on_container(
            "process.scheduler",
            "scheduler",
            SCHEDULERS[scheduler["policy"]],
            sum(SCHEDULER_FLAGS[flag] for flag in scheduler.get("flags") or ()),
            scheduler.get("nice", 0),
            scheduler.get("priority", 0),
            signed(scheduler.get("runtime", 0)),
            signed(scheduler.get("deadline", 0)),
            signed(scheduler.get("period", 0)),
        )
    io_priority = process.get("ioPriority")
    if io_priority:
        value = IO_PRIORITY_CLASSES[io_priority["class"]] << IOPRIO_CLASS_SHIFT | io_priority.get("priority", 0)
        b.on_container("process.ioPriority", "io_priority", value)
    linux = b.spec.get("linux") or {}
    if linux.get("personality"):
        domain = PERSONALITIES[linux["personality"]["domain"]]
        b.on_container("linux.personality", "personality", domain)
    policy = linux.get("memoryPolicy")
    if policy:
        mode = MEMORY_POLICIES[policy["mode"]]
        for flag in policy.get("flags") or ():
            mode |= MEMORY_POLICY_FLAGS[flag]
        nodes = bitmap(policy["nodes"]) if policy.get("nodes") else b""
        # set_mempolicy(2) reads maxnode - 1 bits.
        b.on_container("linux.memoryPolicy", "memory_policy", mode, nodes, len(nodes) * 8 + 1 if nodes else 0)


def exec_affinity(b: Builder, process: Process) -> None:
    """config.md "execCPUAffinity": for exec alone; one before the process joins its cgroups, one after."""
    affinity = process.get("execCPUAffinity") or {}
    if affinity.get("initial"):
        b.on_host("process.execCPUAffinity.initial", "cpu_affinity", bitmap(affinity["initial"]))
    if affinity.get("final"):
        b.on_container("process.execCPUAffinity.final", "cpu_affinity", bitmap(affinity["final"]))


def signed(value: int) -> int:
    """A u64 of the config as the i64 of the wire, bit for bit (RLIM_INFINITY is 2^64-1)."""
    return value - (1 << 64) if value >= 1 << 63 else value


def bitmap(text: str) -> bytes:
    """``0-3,7`` (the list format of cpuset(7)) as a little-endian bitmap in whole 64-bit words."""
    bits = 0
    for part in text.replace(" ", "").split(","):
        if part:
            first, _, last = part.partition("-")
            start = int(first)
            bits |= ((1 << int(last or first) - start + 1) - 1) << start
    words = (bits.bit_length() + 63) // 64
    return bits.to_bytes(words * 8, "little")
