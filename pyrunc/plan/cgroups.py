"""linux.cgroupsPath and linux.resources: which cgroups the container gets, and what is written to them.

runtime-spec config-linux.md "Control groups"; cgroups(7).  Limits are in place before the container's first
process exists, and that process is born in its cgroups, so that nothing escapes accounting.
"""

from __future__ import annotations

from pyrunc.plan import device_rules
from pyrunc.plan.ops import Op
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.plan.builder import Builder
    from pyrunc.spec.types import Resources

#: Controllers of cgroup2 that a container gets where it can have them, whatever its config says: what is reported of it
#: comes from their files, and limits can be set later.
_COMMON = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")


def create(b: Builder) -> None:
    facts = b.facts["cgroup"]
    linux = b.spec.get("linux") or {}
    resources = linux.get("resources") or {}
    wanted = _wanted(resources)
    if b.request["cgroup_manager"] == "disabled" or facts["mode"] == "none":
        why = "no cgroup file system is mounted" if facts["mode"] == "none" else "cgroups are disabled"
        for name in wanted:
            b.problem(f"linux.resources.{name}", f"cannot be applied: {why}")
        return
    if _optional(b) and not wanted:
        return
    if b.request["cgroup_manager"] == "systemd":
        from pyrunc.plan.systemd import unit

        unit.create(b, resources)
        if b.unit is None:
            return
    else:
        for controller, mount in facts["mounts"].items():
            b.cgroups[controller] = mount.rstrip("/") + _path(b, controller)
        # Where only a limit asks for a cgroup, it is the limit that cannot be had without.
        where = f"linux.resources.{wanted[0]}" if wanted and not linux.get("cgroupsPath") and _is_rootless(b) else ""
        for directory in dict.fromkeys(b.cgroups.values()):
            b.on_runtime(where or "linux.cgroupsPath", "cgroup_create", directory)
    if "cpuset" in b.cgroups:
        _fill_cpusets(b, resources)
    _limits(b, resources if wanted else {})
    _devices(b, resources)
    if facts["mode"] == "v2" and b.new("cgroup"):
        _delegate(b)


def _wanted(resources: Resources) -> list[str]:
    """What of it asks for something, beside devices."""
    if not any(values for name, values in resources.items() if name != "devices"):
        return []
    from pyrunc.plan.resources.wishes import wishes

    return list(wishes(resources))


def _optional(b: Builder) -> bool:
    """Without privilege and without a wish, a container has a cgroup of its own where that can be (as in runc)."""
    asked = b.request["cgroup_manager"] == "systemd" or (b.spec.get("linux") or {}).get("cgroupsPath")
    return _is_rootless(b) and not asked and not b.facts["delegated"]


def _is_rootless(b: Builder) -> bool:
    return b.facts["uid"] != 0 or not b.facts["initial_userns"]


def _path(b: Builder, controller: str) -> str:
    """Absolute paths start at the mount point; others near the cgroup of this process (config-linux.md).

    On v1 that is below it, on cgroup2 beside it: a cgroup with processes in it cannot give controllers to those below.
    """
    path = (b.spec.get("linux") or {}).get("cgroupsPath") or ""
    if path.startswith("/"):
        return normal(path)
    own = b.facts["cgroup"]["own"].get(controller, "/")
    if b.facts["cgroup"]["mode"] == "v2":
        own = own.rpartition("/")[0]
    return normal(own + "/" + (path or b.request["id"]))


def _fill_cpusets(b: Builder, resources: Resources) -> None:
    """A new v1 cpuset is empty, and nothing can join it until both of its files have a value (cpuset(7)).

    What the config gives is written later; then only the cpusets above are filled, as a copy of all CPUs
    could be refused where the config's own are not.
    """
    directory, mount = b.cgroups["cpuset"], b.facts["cgroup"]["mounts"]["cpuset"]
    cpu: Mapping[str, object] = resources.get("cpu") or {}
    for key in ("cpus", "mems"):
        if not cpu.get(key):
            b.on_runtime("linux.cgroupsPath", "cgroup_copy", directory, f"cpuset.{key}")
        elif (above := directory.rpartition("/")[0]).startswith(mount):
            b.on_runtime("linux.cgroupsPath", "cgroup_copy", above, f"cpuset.{key}")


def _limits(b: Builder, resources: Resources) -> None:
    """All resources but devices; on cgroup2 the controllers that they need come first."""
    needs: dict[str, str] = {}
    first = len(b.runtime)
    if resources:
        from pyrunc.plan import resources as module

        # In a unit the files have systemd's values by then.
        writes = module.plan(resources, b.cgroups, b.facts["kernel"], again=b.unit is not None)
        needs = writes.needs
        b.problems += writes.problems
        late = [op for op in writes.ops if b.unit and op.name == "cgroup_write" and _one_task(op)]
        b.runtime += [op for op in writes.ops if op not in late]
        b.parent += [*writes.late, *late]
    # On the hybrid layout cgroup2 has only what no hierarchy of v1 has, and nothing of it without a wish.
    common = _COMMON if b.facts["cgroup"]["mode"] == "v2" else ()
    if needs or common:
        also = tuple(name for name in common if name not in needs)
        mount = b.facts["cgroup"]["mounts"][""].rstrip("/")
        args = (b.cgroups[""], mount, tuple(needs), tuple(needs.values()), also)
        b.runtime.insert(first, Op("cgroup_enable", args, "linux.resources" if needs else "linux.cgroupsPath"))


def _one_task(op: Op) -> bool:
    """A limit that can be set only when the container's first process exists, as whoever clones it counts, too.

    That is so on v1, and in a unit.  The process that is cloned into a cgroup2 comes from outside.
    """
    return str(op.args[0]).endswith("/pids.max") and str(op.args[1]).strip() == "1"


def _devices(b: Builder, resources: Resources) -> None:
    if not device_rules.possible(b.facts):
        return
    rules = device_rules.rules(resources.get("devices") or ())
    directory = b.cgroups.get("devices")
    if directory is not None:
        for rule in rules:
            for line in rule.v1_lines():
                file = "devices.allow" if rule.allow else "devices.deny"
                b.on_runtime(f"linux.resources.{rule.where}", "cgroup_write", f"{directory}/{file}", line)
    elif "" in b.cgroups:
        b.on_host("linux.resources.devices", "device_filter", b.cgroups[""], device_rules.program(rules))
    else:
        b.problem("linux.resources.devices", "this host has no devices cgroup controller")


def _delegate(b: Builder) -> None:
    """config-linux.md "Cgroup ownership": a container that may write to its cgroup2 owns it."""
    for mount in b.spec.get("mounts") or ():
        if (
            mount.get("source") == "cgroup"
            and normal(mount["destination"]) == "/sys/fs/cgroup"
            and "ro" not in mount.get("options", ())
        ):
            from pyrunc.plan import delegation

            delegation.apply(b)
            return
