"""A container's unit: what is asked of systemd, in which order, while pyrunc-init waits to be put into it.

A scope begins with a process.  The one that is to clone the container's first process is there already: it waits in a
sync, is moved by systemd into all cgroups of the unit, and what it clones then is born there.
"""

from __future__ import annotations

from pyrunc.plan import device_rules
from pyrunc.plan.ops import Op
from pyrunc.plan.systemd import asked, names
from pyrunc.plan.systemd.gvariant import quoted
from pyrunc.plan.systemd.properties import properties

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder
    from pyrunc.plan.facts import SystemdFacts
    from pyrunc.spec.types import Resources

_WHERE = "linux.cgroupsPath"
#: The hierarchy of v1 that systemd has for itself, and cgroup2: there only it makes cgroups.
_ITS_OWN = ("name=systemd", "")


def create(b: Builder, resources: Resources) -> None:
    """Fill ``b.cgroups`` and ``b.unit``, and let it start; or ``b`` gets the reasons why that cannot be."""
    facts, layout = b.facts["systemd"], b.facts["cgroup"]
    assert facts is not None  # whoever asks for this manager looks for it first
    if facts["user"] and layout["mode"] != "v2":
        b.problem(_WHERE, "the systemd of a user manages cgroups only where there is cgroup2 and none of v1")
        return
    default = "user.slice" if facts["user"] else "system.slice"
    try:
        slice, name = names.parse((b.spec.get("linux") or {}).get("cgroupsPath") or "", b.request["id"], default)
    except ValueError as error:
        b.problem(_WHERE, str(error))
        return
    below = facts["control_group"].rstrip("/") + names.expand(slice) + "/" + name
    for controller, mount in layout["mounts"].items():
        b.cgroups[controller] = mount.rstrip("/") + below
    wanted = _properties(b, slice, resources, facts)
    b.unit = {"name": name, "socket": facts["socket"], "description": str(wanted["Description"].args[1])}
    late = wanted.pop("TasksMax") if _one_task(wanted) else None
    b.runtime += wanted.values()
    b.on_runtime(_WHERE, "systemd_start", name, facts["socket"], tuple(dict.fromkeys(b.cgroups.values())))
    for directory in dict.fromkeys(path for controller, path in b.cgroups.items() if controller not in _ITS_OWN):
        # Some hierarchies of v1 systemd uses and others it does not; which ones depends on its version.
        b.on_runtime(_WHERE, "cgroup_create", directory)
    if late:
        # The process that clones the container's first one is in the unit, too.
        b.parent.append(late)
        b.on_parent(late.where, "systemd_set", name, facts["socket"])


def _properties(b: Builder, slice: str, resources: Resources, systemd: SystemdFacts) -> dict[str, Op]:
    """By name: what makes it a container's unit, what annotations say, and what linux.resources says, which counts
    most."""
    unified = b.facts["cgroup"]["mode"] == "v2"
    usual = {
        "Description": quoted(_description(b)),
        "Slice": quoted(slice),
        "Delegate": "true",
        # It is the engine that stops containers at shutdown, in its own order.
        "DefaultDependencies": "false",
        "CPUAccounting": "true",
        "IOAccounting" if unified else "BlockIOAccounting": "true",
        "MemoryAccounting": "true",
        "TasksAccounting": "true",
    }
    ops = [Op("systemd_property", pair, _WHERE) for pair in usual.items()]
    annotated, problems = asked.properties(b.spec.get("annotations") or {})
    b.problems += problems
    ops += [*annotated, *properties(resources, b.cgroups, systemd)]
    if not unified and device_rules.possible(b.facts):
        from pyrunc.plan.systemd import devices

        listed, problems = devices.properties(device_rules.rules(resources.get("devices") or ()))
        ops += listed
        b.problems += problems
    return {str(op.args[0]): op for op in ops}


def _description(b: Builder) -> str:
    """Tells whose unit it is: no two containers have the same, not even those of two roots."""
    place = b.request["state_dir"].encode("utf-8", "backslashreplace").decode()
    return f"pyrunc container {b.request['id']} ({place})"


def _one_task(wanted: dict[str, Op]) -> bool:
    return "TasksMax" in wanted and wanted["TasksMax"].args[1] == "uint64 1"
