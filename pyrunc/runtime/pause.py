"""``pause`` and ``resume``: the freezer of the container's cgroups stops all of its processes, and lets them go on."""

from __future__ import annotations

from pyrunc.errors import HostError
from pyrunc.host.cgroups import freezing
from pyrunc.runtime import state as states
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.state.store import State


def pause(root: str, id: str) -> None:
    """Returns when every process is frozen.  HostError when that does not come about: then none is."""
    with Record(root, id) as record:
        found = states.hold(record, "pause")
        _require_cgroup(found)
        freezing.freeze(found["cgroups"])


def resume(root: str, id: str) -> None:
    with Record(root, id) as record:
        found = states.hold(record, "resume")
        freezing.thaw(found["cgroups"])


def _require_cgroup(state: State) -> None:
    if not state["cgroups"]:
        hint = "without privilege it has one where linux.cgroupsPath names a cgroup that this user may write to"
        raise HostError("it has no cgroup of its own to be frozen in", where=state["id"], hint=hint)
