"""What a container uses, as runc's events report it (runc types/events.go): names, nesting and units are runc's.

As Go's encoder does it with ``omitempty``, most members that are 0 are left out; which are not is said where they are
made.  A controller that the container does not have leaves its member empty.
"""

from __future__ import annotations

from pyrunc.host.cgroups.stats import v1, v2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyrunc.host.cgroups import Cgroups


def read(cgroups: Cgroups) -> dict[str, Any]:
    """The ``data`` of an event of the type stats.  ``cgroups`` is the mapping of state.json.

    On the hybrid layout most comes from v1; pressure stall information is cgroup2's wherever that is mounted.
    """
    two = cgroups.get("", "")
    found: dict[str, Any] = {
        "cpu": _cpu(cgroups, two),
        "cpuset": v1.cpuset(cgroups["cpuset"]) if "cpuset" in cgroups else v2.cpuset(two),
        "memory": v1.memory(cgroups["memory"]) if "memory" in cgroups else v2.memory(two),
        "pids": v2.pids(cgroups.get("pids") or two),
        "blkio": v1.blkio(cgroups["blkio"]) if "blkio" in cgroups else v2.io(two),
        "hugetlb": v1.hugetlb(cgroups["hugetlb"]) if "hugetlb" in cgroups else v2.hugetlb(two),
        "intel_rdt": {},
        "network_interfaces": None,
    }
    for member, resource in (("cpu", "cpu"), ("memory", "memory"), ("blkio", "io")):
        pressure = v2.pressure(f"{two}/{resource}.pressure") if two else {}
        if pressure:
            found[member]["psi"] = pressure
    return found


def _cpu(cgroups: Mapping[str, str], two: str) -> dict[str, Any]:
    if "cpu" not in cgroups and "cpuacct" not in cgroups:
        return v2.cpu(two)
    return {"usage": v1.cpu_usage(cgroups.get("cpuacct", "")), "throttling": v1.throttling(cgroups.get("cpu", ""))}
