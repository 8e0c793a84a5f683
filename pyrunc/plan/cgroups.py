"""linux.cgroupsPath and linux.resources: which cgroups the container gets, and what is written to them.

runtime-spec config-linux.md "Control groups"; cgroups(7).  Limits are in place before the container's first
process exists, and that process is born in its cgroups, so that nothing escapes accounting.
"""

from __future__ import annotations

from pyrunc.plan import device_rules
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder
    from pyrunc.spec.types import Resources

_MAX = "max"


def create(b: Builder) -> None:
    facts = b.facts["cgroup"]
    linux = b.spec.get("linux") or {}
    resources = linux.get("resources") or {}
    wanted = [name for name in ("memory", "cpu", "pids") if resources.get(name)]
    if b.request["cgroup_manager"] == "disabled" or facts["mode"] == "none":
        why = "no cgroup file system is mounted" if facts["mode"] == "none" else "cgroups are disabled"
        for name in wanted:
            b.problem(f"linux.resources.{name}", f"cannot be applied: {why}")
        return
    if _optional(b) and not wanted:
        return
    where = "linux.cgroupsPath"
    for controller, mount in facts["mounts"].items():
        b.cgroups[controller] = mount.rstrip("/") + _path(b, controller)
    for directory in dict.fromkeys(b.cgroups.values()):
        b.on_runtime(where, "cgroup_create", directory)
    if facts["mode"] == "v2":
        _v2(b, resources)
    else:
        _v1(b, resources)


def _optional(b: Builder) -> bool:
    """Without privilege and without a wish, a container has no cgroup of its own (as in runc)."""
    rootless = b.facts["uid"] != 0 or not b.facts["initial_userns"]
    return rootless and not (b.spec.get("linux") or {}).get("cgroupsPath")


def _path(b: Builder, controller: str) -> str:
    """Absolute paths start at the mount point; others below the cgroup of this process (config-linux.md)."""
    path = (b.spec.get("linux") or {}).get("cgroupsPath") or ""
    if path.startswith("/"):
        return normal(path)
    own = b.facts["cgroup"]["own"].get(controller, "/")
    return normal(own + "/" + (path or b.request["id"]))


def _write(b: Builder, where: str, controller: str, file: str, value: object) -> None:
    directory = b.cgroups.get(controller)
    if directory is None:
        b.problem(f"linux.resources.{where}", f"this host has no {controller} cgroup controller")
    else:
        b.on_runtime(f"linux.resources.{where}", "cgroup_write", f"{directory}/{file}", str(value))


def _v1(b: Builder, resources: Resources) -> None:
    memory = resources.get("memory") or {}
    cpu = resources.get("cpu") or {}
    pids = resources.get("pids") or {}
    if "cpuset" in b.cgroups:
        # A new v1 cpuset is empty, and nothing can join it until both have a value (cpuset(7)).
        for file in ("cpuset.cpus", "cpuset.mems"):
            b.on_runtime("linux.cgroupsPath", "cgroup_copy", b.cgroups["cpuset"], file)
    for key, file in (("limit", "limit_in_bytes"), ("swap", "memsw.limit_in_bytes"),
                      ("reservation", "soft_limit_in_bytes")):  # fmt: skip
        if memory.get(key):
            _write(b, f"memory.{key}", "memory", "memory." + file, memory[key])  # type: ignore[literal-required]
    for key, controller, file in (
        ("shares", "cpu", "cpu.shares"),
        ("period", "cpu", "cpu.cfs_period_us"),
        ("quota", "cpu", "cpu.cfs_quota_us"),
        ("cpus", "cpuset", "cpuset.cpus"),
        ("mems", "cpuset", "cpuset.mems"),
    ):
        if cpu.get(key):
            _write(b, f"cpu.{key}", controller, file, cpu[key])  # type: ignore[literal-required]
    if pids.get("limit"):
        _write(b, "pids.limit", "pids", "pids.max", _limit(pids["limit"]))
    _devices(b, resources)


def _limit(value: int) -> object:
    return _MAX if value < 0 else value


def _v2(b: Builder, resources: Resources) -> None:
    memory = resources.get("memory") or {}
    cpu = resources.get("cpu") or {}
    pids = resources.get("pids") or {}
    if memory.get("limit"):
        _write(b, "memory.limit", "", "memory.max", _limit(memory["limit"]))
    if memory.get("swap"):
        # The config counts memory and swap together, cgroup2 swap alone.
        swap, limit = memory["swap"], memory.get("limit") or 0
        if swap > 0 and limit <= 0:
            b.problem("linux.resources.memory.swap", "needs memory.limit: it is the sum of both")
        elif 0 < swap < limit:
            b.problem("linux.resources.memory.swap", f"is less than memory.limit ({limit}): it is the sum of both")
        else:
            _write(b, "memory.swap", "", "memory.swap.max", _MAX if swap < 0 else swap - limit)
    if memory.get("reservation"):
        _write(b, "memory.reservation", "", "memory.low", _limit(memory["reservation"]))
    if cpu.get("shares"):
        _write(b, "cpu.shares", "", "cpu.weight", weight(cpu["shares"]))
    if cpu.get("quota") or cpu.get("period"):
        quota = cpu.get("quota") or -1
        value = f"{_limit(quota)} {cpu['period']}" if cpu.get("period") else str(_limit(quota))
        _write(b, "cpu.quota", "", "cpu.max", value)
    for key in ("cpus", "mems"):
        if cpu.get(key):
            _write(b, f"cpu.{key}", "", f"cpuset.{key}", cpu[key])
    if pids.get("limit"):
        _write(b, "pids.limit", "", "pids.max", _limit(pids["limit"]))
    _devices(b, resources)


def weight(shares: int) -> int:
    """cpu.weight for v1 shares: 2…262144 onto 1…10000, linear as runc before 1.4 and the kernel docs have it."""
    return 1 + (min(max(shares, 2), 262144) - 2) * 9999 // 262142


def _devices(b: Builder, resources: Resources) -> None:
    rules = device_rules.rules(resources.get("devices") or ())
    if not b.facts["initial_userns"]:
        # The kernel lets nobody but the host's root change these; mknod is refused here anyway.
        return
    if b.facts["cgroup"]["mode"] == "v2":
        program = device_rules.program(rules)
        b.on_host("linux.resources.devices", "device_filter", b.cgroups[""], program)
        return
    for rule in rules:
        for line in rule.v1_lines():
            file = "devices.allow" if rule.allow else "devices.deny"
            _write(b, rule.where, "devices", file, line)
