"""The statistics of cgroup v1 (kernel cgroup-v1/: cpuacct, memory, blkio-controller, cpusets, hugetlb)."""

from __future__ import annotations

from pyrunc.host import files as paths
from pyrunc.host.cgroups import tree
from pyrunc.host.cgroups.stats.files import entry, huge_page_sizes, kept, members, number, pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: cpuacct.stat counts in USER_HZ, which is 100 on every architecture that is left (proc_stat(5)).
_TICK = 10_000_000

_CPUSET = (
    "cpu_exclusive", "mems", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page",
    "memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
)  # fmt: skip

#: The beginnings of the files' names, and whether they have all tables.  The first that say something count: those of
#: an I/O scheduler, where one is in use, else those of throttling, which the kernel always keeps.
_BLKIO = (("blkio.bfq.", True), ("blkio.bfq.", False), ("blkio.", True), ("blkio.throttle.", False))

#: file -> member
_TABLES = {
    "io_service_bytes_recursive": "ioServiceBytesRecursive",
    "io_serviced_recursive": "ioServicedRecursive",
    "io_queued_recursive": "ioQueueRecursive",
    "io_service_time_recursive": "ioServiceTimeRecursive",
    "io_wait_time_recursive": "ioWaitTimeRecursive",
    "io_merged_recursive": "ioMergedRecursive",
    "time_recursive": "ioTimeRecursive",
    "sectors_recursive": "sectorsRecursive",
}
_BASIC = ("io_service_bytes_recursive", "io_serviced_recursive")


def cpu_usage(cpuacct: str) -> dict[str, Any]:
    """Nanoseconds; ``kernel`` and ``user`` are always there."""
    modes = pairs(cpuacct + "/cpuacct.stat")
    by_cpu = [line.split() for line in tree.read(cpuacct + "/cpuacct.usage_all").splitlines()[1:]]
    return {
        **kept(
            {
                "total": number(cpuacct + "/cpuacct.usage"),
                "percpu": [int(word) for word in tree.read(cpuacct + "/cpuacct.usage_percpu").split()],
                "percpu_kernel": [int(system) for _, _, system in by_cpu],
                "percpu_user": [int(user) for _, user, _ in by_cpu],
            }
        ),
        "kernel": modes.get("system", 0) * _TICK,
        "user": modes.get("user", 0) * _TICK,
    }


def throttling(cpu: str) -> dict[str, int]:
    found = pairs(cpu + "/cpu.stat")
    names = {"periods": "nr_periods", "throttledPeriods": "nr_throttled", "throttledTime": "throttled_time"}
    return kept({name: found.get(key, 0) for name, key in names.items()})


def cpuset(directory: str) -> dict[str, Any]:
    found: dict[str, Any] = kept({"cpus": members(directory + "/cpuset.cpus")})
    for name in _CPUSET:
        if name != "mems":
            found[name] = number(f"{directory}/cpuset.{name}")
        elif nodes := members(directory + "/cpuset.mems"):
            found[name] = nodes
    return found


def memory(directory: str) -> dict[str, Any]:
    """``swap`` is memory and swap together, as the kernel counts it here; ``event_count`` has what v1 counts."""
    raw = pairs(directory + "/memory.stat")
    kills = pairs(directory + "/memory.oom_control").get("oom_kill", 0)
    return {
        **kept({"cache": raw.get("cache", 0)}),
        **{name: _memory(f"{directory}/memory{kind}") for name, kind in
           (("usage", ""), ("swap", ".memsw"), ("kernel", ".kmem"), ("kernelTCP", ".kmem.tcp"))},
        **kept({"raw": dict(sorted(raw.items()))}),
        "event_count": kept({"oom_kill": kills}),
    }  # fmt: skip


def _memory(name: str) -> dict[str, int]:
    parts = (".limit_in_bytes", ".usage_in_bytes", ".max_usage_in_bytes", ".failcnt")
    return entry(*(number(name + part) for part in parts))


def blkio(directory: str) -> dict[str, Any]:
    for front, complete in _BLKIO:
        wanted = tuple(_TABLES) if complete else _BASIC
        if all(paths.exists(f"{directory}/{front}{name}") for name in wanted):
            found = kept({_TABLES[name]: _table(f"{directory}/{front}{name}") for name in wanted})
            if found:
                return found
    return {}


def _table(path: str) -> list[dict[str, Any]]:
    """``MAJOR:MINOR [OPERATION] NUMBER`` lines; the sum over all devices is left out."""
    found = []
    for line in tree.read(path).splitlines():
        device, *words = line.split()
        major, colon, minor = device.partition(":")
        if colon:
            operation = words[0] if len(words) > 1 else ""
            found.append(kept({"major": int(major), "minor": int(minor), "op": operation, "value": int(words[-1])}))
    return found


def hugetlb(directory: str) -> dict[str, Any]:
    """Reservations where the kernel counts these (5.7), as runc from 1.2 on has it; ``failcnt`` is always there."""
    found = {}
    for size in huge_page_sizes():
        front = f"{directory}/hugetlb.{size}"
        if paths.exists(front + ".rsvd.usage_in_bytes"):
            front += ".rsvd"
        usage, peak = number(front + ".usage_in_bytes"), number(front + ".max_usage_in_bytes")
        found[size] = {**kept({"usage": usage, "max": peak}), "failcnt": number(front + ".failcnt")}
    return found
