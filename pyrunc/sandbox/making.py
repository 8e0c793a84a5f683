"""The creation of sandboxes: many of one program have the same config, and what does not depend on the id is worked
out once for all of them."""

from __future__ import annotations

import posix

from pyrunc.host import files, probe
from pyrunc.plan.builder import Plan
from pyrunc.plan.capabilities import CAPS
from pyrunc.plan.create import create as plan_create
from pyrunc.plan.ops import Op
from pyrunc.plan.resources import CONTROLLERS
from pyrunc.runtime import bundle as bundles
from pyrunc.runtime.creation import Creation
from pyrunc.spec.checks import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.plan.facts import HostFacts
    from pyrunc.spec.isolation import Isolation
    from pyrunc.spec.types import Spec

    Key = tuple[bytes, str, str, tuple[object, ...]]

#: Stands for the id in a plan that is made once; no config has it.
_ID = posix.urandom(16).hex()
_LIMIT = 64

#: The last facts about the host, with what they depend on.
_facts: tuple[tuple[object, ...], HostFacts] | None = None


class Making(Creation):
    """The creation of one sandbox."""

    __slots__ = ()

    def _prepare(self, bundle: str, config: tuple[Spec, bytes]) -> tuple[bytes, str]:
        self.spec, data = config
        rootfs = bundles.check_rootfs(self.spec, bundle)
        root = files.parent(self.record.directory)
        who, facts = host()
        key = data, root, self.options.cgroup_manager, who
        template = _known.get(key)
        if template is None or template.cow != bundles.cow_directories(self.spec, template.isolation, bundle):
            template = Template(self.spec, facts, root, self.options.cgroup_manager)
            if len(_known) >= _LIMIT:
                _known.clear()
            _known[key] = template
        # Whatever may be mounted there since.
        bundles.check_lower(template.isolation, rootfs)
        for warning in template.warnings:
            self.warn(warning)
        self.facts = template.facts
        self.plan = template.plan(self.record.id)
        self.record.durable = False  # the processes of a sandbox do not outlive this program
        return data, rootfs


class Template:
    """The plan for one config, with a gap where the id belongs.  Nobody changes what it is made of."""

    __slots__ = ("_gaps", "_plan", "cow", "facts", "isolation", "warnings")

    def __init__(self, spec: Spec, facts: HostFacts, root: str, cgroup_manager: str) -> None:
        directory = f"{root}/{_ID}"
        self.facts = _only_needed(spec, facts)
        self.isolation: Isolation = bundles.isolation(spec, {})
        self.cow = bundles.cow_directories(spec, self.isolation, directory)
        bundles.check_joined(spec)
        request = bundles.request(
            _ID,
            directory,
            directory,
            cgroup_manager=cgroup_manager,
            isolation=self.isolation,
            cow_directories=self.cow,
            pass_layers=True,
            hold=True,
        )
        self._plan = plan_create(spec, self.facts, request)
        self._plan.set_filter(bundles.filter_of(spec, root + "/.seccomp", facts["machine"]))
        self.warnings = [str(violation) for violation in (*warnings(spec, CAPS), *self._plan.warnings)]

        self._gaps = [index for index, op in enumerate(self._plan.ops) if _ID in repr(op.args)]

    def plan(self, id: str) -> Plan:
        made = self._plan
        ops = list(made.ops)
        for index in self._gaps:
            op = ops[index]
            ops[index] = Op(op.name, _filled(op.args, id), op.where)
        return Plan(
            ops,
            {controller: path.replace(_ID, id) for controller, path in made.cgroups.items()},
            [],
            [_filled(layer, id) for layer in made.layers],
        )


_known: dict[Key, Template] = {}


def _filled(value: Any, id: str) -> Any:
    """The same with the id in its place, however deep."""
    if isinstance(value, str):
        return value.replace(_ID, id)
    if isinstance(value, tuple):
        return tuple(_filled(item, id) for item in value)
    if isinstance(value, dict):
        return {key: _filled(item, id) for key, item in value.items()}
    return value


def host() -> tuple[tuple[object, ...], HostFacts]:
    """Who this program is, and the facts about the host.  What of these may change while it runs is looked at again:
    its ids and its cgroups."""
    global _facts
    who = posix.geteuid(), posix.getegid(), probe.read("/proc/self/cgroup")
    known = _facts
    if known is None or known[0] != who:
        _facts = known = who, bundles.facts(None)
    return known


def _only_needed(spec: Spec, facts: HostFacts) -> HostFacts:
    """Of cgroup v1 only the hierarchies that something is written to: to make a cgroup in each of a dozen takes longer
    than all else.  No process of a sandbox has to be found by its cgroup: they end with their pid namespace."""
    layout = facts["cgroup"]
    if layout["mode"] == "v2" or (spec.get("linux") or {}).get("cgroupsPath"):
        return facts
    resources = (spec.get("linux") or {}).get("resources") or {}
    needed = {"devices"}  # for which there are rules without a wish, too
    for name, values in resources.items():
        if values:
            needed.update(CONTROLLERS.get(name, ()))
    cpu = resources.get("cpu") or {}
    if not cpu.get("cpus") and not cpu.get("mems"):
        needed.discard("cpuset")
    if not needed <= layout["mounts"].keys():
        needed.add("")  # on the hybrid layout cgroup2 may have the others
    mounts = {name: path for name, path in layout["mounts"].items() if name in needed}
    return {**facts, "cgroup": {**layout, "mounts": mounts}}
