"""The creation of sandboxes, and what of the host a box needs."""

from __future__ import annotations

from pyrunc.plan.resources import CONTROLLERS
from pyrunc.runtime.repeated import Repeated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.facts import HostFacts
    from pyrunc.spec.types import Spec


class Making(Repeated):
    """The creation of one sandbox."""

    __slots__ = ()

    def _prepare(self, bundle: str, config: tuple[Spec, bytes]) -> tuple[bytes, str]:
        self.record.durable = False  # the processes of a sandbox do not outlive this program
        return super()._prepare(bundle, config)

    def _facts(self) -> HostFacts:
        return _only_needed(self.spec, super()._facts())


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
