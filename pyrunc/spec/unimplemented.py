"""What runtime-spec 1.3.0 has and pyrunc has not: refused by name, never ignored.

An implementation of a feature begins with taking its row out.
"""

from __future__ import annotations

from pyrunc.errors import Violation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Path -> the values that ask for nothing; with {} or [] there, an object or array of nothing else as well.
NOT_IMPLEMENTED: dict[str, tuple[object, ...]] = {
    "linux.intelRdt": (),
    "linux.resources.blockIO": ({}, [], 0),
    "linux.resources.hugepageLimits": ([],),
    "linux.resources.network": ({}, [], 0),
    "linux.resources.rdma": ({},),
    "linux.resources.unified": ({},),
    "linux.resources.memory.kernel": (0, -1),
    "linux.resources.memory.kernelTCP": (0, -1),
    "linux.resources.memory.swappiness": (),
    "linux.resources.memory.disableOOMKiller": (False,),
    "linux.resources.memory.useHierarchy": (True,),  # has been so in every cgroup since Linux 5.11
    "linux.resources.memory.checkBeforeUpdate": (False,),
    "linux.resources.cpu.burst": (0,),
    "linux.resources.cpu.realtimeRuntime": (0,),
    "linux.resources.cpu.realtimePeriod": (0,),
    "linux.resources.cpu.idle": (0,),
}

#: Objects of config.json for other kernels and for virtual machines.
OTHER_PLATFORMS = ("freebsd", "solaris", "vm", "windows", "zos")


def check_platforms(spec: object) -> Iterator[Violation]:
    assert isinstance(spec, dict)
    for name in OTHER_PLATFORMS:
        if name in spec:
            yield Violation(name, "for another platform; pyrunc makes Linux containers")


def check_implemented(spec: object) -> Iterator[Violation]:
    for path, neutral in NOT_IMPLEMENTED.items():
        value = spec
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None and not _asks_nothing(value, neutral):
            yield Violation(path, "not implemented by pyrunc yet")


def _asks_nothing(value: object, neutral: tuple[object, ...]) -> bool:
    if isinstance(value, dict):
        return {} in neutral and all(_asks_nothing(member, neutral) for member in value.values())
    if isinstance(value, list):
        return [] in neutral and all(_asks_nothing(member, neutral) for member in value)
    return value in neutral
