"""The plan of ``update``: which files of a container's cgroups are written when some of its resources change.

Only what is asked for is written, and what the kernel or a conversion ties to it (TOGETHER).  Whatever else has been
done to the cgroups meanwhile stays.  Device rules are not changed, as in runc.
"""

from __future__ import annotations

from pyrunc.errors import SpecError, Violation
from pyrunc.plan import resources as module
from pyrunc.plan.ops import Op
from pyrunc.plan.resources.wishes import wishes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyrunc.plan.facts import HostFacts, Unit
    from pyrunc.spec.types import Resources

#: What tells the entries of a list apart.
KEYS = {
    "hugepageLimits": ("pageSize",),
    "priorities": ("name",),
    "weightDevice": ("major", "minor"),
    "throttleReadBpsDevice": ("major", "minor"),
    "throttleWriteBpsDevice": ("major", "minor"),
    "throttleReadIOPSDevice": ("major", "minor"),
    "throttleWriteIOPSDevice": ("major", "minor"),
}

#: Object -> field -> the field that has to be written with it: they are in one file, or one is counted from the other.
TOGETHER = {
    "memory": {"limit": "swap", "swap": "limit"},
    "cpu": {
        "quota": "period",
        "period": "quota",
        "realtimeRuntime": "realtimePeriod",
        "realtimePeriod": "realtimeRuntime",
    },
}


class Change:
    """``ops`` and, where systemd has to be told, ``told`` behind them, the ``resources`` that are in force afterwards,
    and ``warnings``."""

    __slots__ = ("ops", "resources", "told", "warnings")

    def __init__(self, ops: list[Op], told: list[Op], resources: Resources, warnings: list[Violation]) -> None:
        self.ops = ops
        self.told = told
        self.resources = resources
        self.warnings = warnings


def merge(in_force: Resources, given: Resources) -> Resources:
    """What is in force afterwards.  It has to be valid as a whole, which spec.load says."""
    wished: Any = wishes(given, again=True)
    merged: Any = _merged(in_force, wished)
    if wished.get("memory", {}).get("limit") == -1 and not given.get("memory", {}).get("swap"):
        merged["memory"].pop("swap", None)  # no limit of memory is none of memory and swap together either
    return merged  # type: ignore[no-any-return]


def plan(
    given: Resources,
    in_force: Resources,
    merged: Resources,
    cgroups: Mapping[str, str],
    facts: HostFacts,
    unit: Unit | None = None,
) -> Change:
    """``merged`` is what ``merge`` returned; ``unit`` is systemd's, where that manages the cgroups.

    Raises SpecError with everything that this host cannot do.
    """
    warnings = []
    if "devices" in given and given["devices"] != in_force.get("devices", []):
        warnings.append(Violation("linux.resources.devices", "not changed by an update: they stay as they are"))
    wished: Any = wishes(given, again=True)
    wanted = _completed(wished, merged)
    writes = module.plan(wanted, cgroups, facts["kernel"], again=True)
    if writes.problems:
        raise SpecError(writes.problems)
    ops = _enabled(writes, facts) + _checked(writes, wished, merged)
    files = writes.ops + writes.late
    told = _told(wanted, cgroups, facts, unit, files) if unit else []
    return Change(ops + files, told, merged, warnings)


def _merged(old: Any, new: Any, name: str = "") -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old.get(key), value, key) for key, value in new.items()}}
    if isinstance(old, list) and name in KEYS:
        there = {tuple(entry[key] for key in KEYS[name]): entry for entry in old}
        there.update({tuple(entry[key] for key in KEYS[name]): entry for entry in new})
        return list(there.values())
    return new


def _completed(wished: Any, merged: Any) -> Resources:
    """``wished`` with the fields that have to be written beside its own."""
    found: Any = {name: dict(values) if name in TOGETHER else values for name, values in wished.items()}
    for name, pairs in TOGETHER.items():
        for field in wished.get(name, ()):
            other = pairs.get(field, "")
            if other in merged[name]:
                found[name][other] = merged[name][other]
    cpu = found.get("cpu", {})
    if cpu.get("idle") == 0 and merged["cpu"].get("shares"):
        cpu["shares"] = merged["cpu"]["shares"]  # an idle cgroup has lost its shares
    return found  # type: ignore[no-any-return]


def _told(wanted: Resources, cgroups: Mapping[str, str], facts: HostFacts, unit: Unit, files: list[Op]) -> list[Op]:
    """systemd writes its properties to the same files again: it gets ours, once the kernel has taken the values.

    Behind that the files are written once more, since systemd rounds some of them.
    """
    from pyrunc.plan.systemd.properties import properties

    assert facts["systemd"] is not None  # whoever changes a unit looks for it first
    found = properties(wanted, cgroups, facts["systemd"])
    if not found:
        return []
    return [*found, Op("systemd_set", (unit["name"], unit["socket"]), "linux.resources"), *files]


def _enabled(writes: module.Writes, facts: HostFacts) -> list[Op]:
    """The controllers of cgroup2 that the container may not have had a use for so far."""
    if not writes.needs:
        return []
    mount = facts["cgroup"]["mounts"][""].rstrip("/")
    args = (writes.cgroups[""], mount, tuple(writes.needs), tuple(writes.needs.values()), ())
    return [Op("cgroup_enable", args, "linux.resources")]


def _checked(writes: module.Writes, wished: Any, merged: Any) -> list[Op]:
    """memory.checkBeforeUpdate: cgroup2 takes any limit, and kills until it is kept; v1 refuses one by itself."""
    memory = merged.get("memory", {})
    if not (memory.get("checkBeforeUpdate") and writes.unified("memory")):
        return []
    file = writes.cgroups[""] + "/memory.current"
    return [
        Op("cgroup_usage", (file, memory[field], what), f"linux.resources.memory.{field}")
        for field, what in (("swap", "memory+swap"), ("limit", "memory"))
        if wished.get("memory", {}).get(field, 0) > 0
    ]
