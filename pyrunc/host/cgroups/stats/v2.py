"""The statistics of cgroup2, brought to the names and units that v1 has (kernel cgroup-v2.rst)."""

from __future__ import annotations

import errno

from pyrunc.host.cgroups import tree
from pyrunc.host.cgroups.stats.files import NO_LIMIT, entry, huge_page_sizes, kept, members, number, pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Nanoseconds in the unit of cpu.stat.
_MICROSECOND = 1000

#: io.stat -> (member, operation); what v1 has no name for is left out.
_IO = {
    "rbytes": ("ioServiceBytesRecursive", "Read"),
    "wbytes": ("ioServiceBytesRecursive", "Write"),
    "rios": ("ioServicedRecursive", "Read"),
    "wios": ("ioServicedRecursive", "Write"),
}

#: What only a cpuset of v1 has; always there in a report.
_ONLY_V1 = (
    "cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab",
    "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
)  # fmt: skip


def cpu(directory: str) -> dict[str, Any]:
    """``kernel`` and ``user`` are always there; cpu.stat is, too, without the controller."""
    found = pairs(directory + "/cpu.stat")
    throttling = {
        "periods": found.get("nr_periods", 0),
        "throttledPeriods": found.get("nr_throttled", 0),
        "throttledTime": found.get("throttled_usec", 0) * _MICROSECOND,
    }
    return {
        "usage": {
            **kept({"total": found.get("usage_usec", 0) * _MICROSECOND}),
            "kernel": found.get("system_usec", 0) * _MICROSECOND,
            "user": found.get("user_usec", 0) * _MICROSECOND,
        },
        "throttling": kept(throttling),
    }


def cpuset(directory: str) -> dict[str, Any]:
    used = {name: members(f"{directory}/cpuset.{name}.effective") for name in ("cpus", "mems")}
    return {**kept(used), **dict.fromkeys(_ONLY_V1, 0)}


def memory(directory: str) -> dict[str, Any]:
    """``swap`` is memory and swap together, as on v1; the kernel's own memory is not counted apart."""
    raw = pairs(directory + "/memory.stat")
    usage = number(directory + "/memory.current")
    limit = number(directory + "/memory.max")
    swap = number(directory + "/memory.swap.max")
    together = NO_LIMIT if NO_LIMIT in (swap, limit) else swap + limit
    return {
        **kept({"cache": raw.get("file", 0)}),
        "usage": entry(limit, usage, number(directory + "/memory.peak"), 0),
        "swap": entry(together, usage + number(directory + "/memory.swap.current"), 0, 0),
        "kernel": entry(0, 0, 0, 0),
        "kernelTCP": entry(0, 0, 0, 0),
        **kept({"raw": dict(sorted(raw.items()))}),
        "event_count": kept(pairs(directory + "/memory.events")),
    }


def pids(directory: str) -> dict[str, int]:
    """The files are those of v1, too; no limit is 0, and so left out.  Without the controller processes are counted."""
    text = tree.read(directory + "/pids.current").strip()
    limit = number(directory + "/pids.max")
    current = int(text) if text else len(tree.procs(directory))
    return kept({"current": current, "limit": 0 if limit == NO_LIMIT else limit})


def io(directory: str) -> dict[str, Any]:
    tables: dict[str, list[dict[str, Any]]] = {}
    for line in tree.read(directory + "/io.stat").splitlines():
        device, *words = line.split()
        major, _, minor = device.partition(":")
        for key, _, value in (word.partition("=") for word in words):
            if key in _IO:
                member, operation = _IO[key]
                row = {"major": int(major), "minor": int(minor), "op": operation, "value": int(value)}
                tables.setdefault(member, []).append(kept(row))
    return tables


def hugetlb(directory: str) -> dict[str, Any]:
    """``failcnt`` is always there; nothing without the controller."""
    found = {}
    for size in huge_page_sizes():
        front = f"{directory}/hugetlb.{size}"
        text = tree.read(front + ".rsvd.current") or tree.read(front + ".current")
        if text:
            found[size] = {**kept({"usage": int(text)}), "failcnt": pairs(front + ".events").get("max", 0)}
    return found


def pressure(path: str) -> dict[str, dict[str, float]]:
    """Pressure stall information: averages in percent, total in microseconds; {} where the kernel does not keep it."""
    found: dict[str, dict[str, float]] = {}
    try:
        text = tree.read(path)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return {}  # the kernel was started with psi=0
    for line in text.splitlines():
        name, *words = line.split()
        values = (word.partition("=") for word in words)
        found[name] = {key: int(value) if key == "total" else float(value) for key, _, value in values}
    return found
