"""cpu: shares and bandwidth, and the CPUs and memory nodes of the controller cpuset.

runtime-spec config-linux.md "CPU"; kernel scheduler/sched-bwc.rst, sched-rt-group.rst, cgroup-v2.rst "CPU".
"""

from __future__ import annotations

import math

from pyrunc.plan.resources import MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.resources import Writes
    from pyrunc.spec.types import CPU

#: MIN_SHARES and MAX_SHARES of the kernel: what lies beyond is taken for these.
_SHARES = (2, 1 << 18)
#: CGROUP_WEIGHT_MIN and _MAX.
_WEIGHTS = (1, 10000)


def v1(writes: Writes, cpu: CPU) -> None:
    _shares(writes, cpu, "cpu.shares", cpu.get("shares", 0))
    period, quota = cpu.get("period"), cpu.get("quota")
    if period and quota:
        # The kernel looks at the ratio after each write.
        writes.write_pair(("cpu.period", "cpu.quota"), ("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", quota))
    elif period:
        writes.write("cpu.period", "cpu.cfs_period_us", period)
    elif quota:
        writes.write("cpu.quota", "cpu.cfs_quota_us", quota)
    if "burst" in cpu:
        writes.write("cpu.burst", "cpu.cfs_burst_us", cpu["burst"])
    period, runtime = cpu.get("realtimePeriod"), cpu.get("realtimeRuntime")
    if period and runtime:
        writes.write_pair(
            ("cpu.realtimePeriod", "cpu.realtimeRuntime"), ("cpu.rt_period_us", period), ("cpu.rt_runtime_us", runtime)
        )
    elif period:
        writes.write("cpu.realtimePeriod", "cpu.rt_period_us", period)
    elif runtime:
        writes.write("cpu.realtimeRuntime", "cpu.rt_runtime_us", runtime)


def v2(writes: Writes, cpu: CPU) -> None:
    _shares(writes, cpu, "cpu.weight", weight(cpu["shares"]) if cpu.get("shares") else 0)
    quota, period = cpu.get("quota", 0), cpu.get("period", 0)
    if quota or period:
        limit = str(quota) if quota > 0 else MAX
        writes.write("cpu.quota" if quota else "cpu.period", "cpu.max", f"{limit} {period}" if period else limit)
    if "burst" in cpu:
        writes.write("cpu.burst", "cpu.max.burst", cpu["burst"])
    for field in ("realtimeRuntime", "realtimePeriod"):
        if cpu.get(field):
            writes.refuse(f"cpu.{field}", "cgroup2 has no limits for realtime processes")


def _shares(writes: Writes, cpu: CPU, file: str, value: int) -> None:
    """The kernel takes no shares and no weight while a cgroup is idle."""
    idle = cpu.get("idle")
    if idle == 0 or (idle and value and writes.again):
        writes.write("cpu.idle", "cpu.idle", 0)
    if value:
        writes.write("cpu.shares", file, value)
    if idle:
        writes.write("cpu.idle", "cpu.idle", idle)


def sets(writes: Writes, cpu: CPU) -> None:
    """The files have the same names on v1 and v2."""
    for key in ("cpus", "mems"):
        if cpu.get(key):
            writes.write(f"cpu.{key}", f"cpuset.{key}", cpu[key])


def weight(shares: int) -> int:
    """cpu.weight for the shares of v1, as runc from 1.4 and crun from 1.23 on have it.

    A parabola in the logarithms of both, which meets the least (2 to 1), the default (1024 to 100) and the
    greatest values (262144 to 10000): that is log10(weight) = (l² + 125 l) / 612 - 7 / 34 for l = log2(shares).  A line
    through the ends alone would give a container with the default a weight of 39.
    """
    low, high = _SHARES
    if shares <= low:
        return _WEIGHTS[0]
    if shares >= high:
        return _WEIGHTS[1]
    exponent = math.log2(shares)
    return math.ceil(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34))
