"""``update``: other limits for a container that exists, all of them or none."""

from __future__ import annotations

from pyrunc.errors import HostError
from pyrunc.host import probe
from pyrunc.host.cgroups import changing
from pyrunc.plan import update as plan
from pyrunc.plan.resources.wishes import wishes
from pyrunc.runtime import bundle as bundles
from pyrunc.runtime import state as states
from pyrunc.spec.jsontext import dumps, loads
from pyrunc.spec.load import load_resources
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.spec.types import Resources
    from pyrunc.state.store import State


def read(data: bytes, name: str) -> Resources:
    """linux.resources from JSON; SpecError with every violation."""
    return bundles.loaded(load_resources, data, name)


def update(root: str, id: str, given: Resources, *, warn: Callable[[str], None]) -> None:
    """Write what is in ``given``, which ``read`` has seen; the rest of the container's resources stays as it is.

    Raises SpecError where both together make no sense or this host cannot do it, OpFailed where the kernel refuses a
    value: then nothing has changed.
    """
    with Record(root, id) as record:
        state = states.hold(record, "update")
        change = _planned(record, state, given)
        for warning in change.warnings:
            warn(str(warning))
        changed: State = {**state, "resources": change.resources}
        changing.change(change.ops, change.told, lambda: record.save(changed), lambda: record.save(state))


def preview(root: str, id: str, given: Resources) -> plan.Change:
    """What ``update`` would do."""
    with Record(root, id) as record:
        return _planned(record, states.hold(record, "update"), given)


def _planned(record: Record, state: State, given: Resources) -> plan.Change:
    in_force = _in_force(record, state)
    merged = read(dumps(plan.merge(in_force, given)).encode(), "linux.resources")
    if not state["cgroups"] and wishes(given, again=True):
        hint = "without privilege it has one where linux.cgroupsPath names a cgroup that this user may write to"
        raise HostError("it has no cgroup of its own whose limits could be changed", where=state["id"], hint=hint)
    facts, unit = probe.facts(), state.get("unit")
    if unit:
        facts = bundles.with_systemd(facts)
    return plan.plan(given, in_force, merged, state["cgroups"], facts, unit)


def _in_force(record: Record, state: State) -> Resources:
    """Those of the last update, or of the config."""
    if "resources" in state:
        return state["resources"]
    config: Any = loads(record.config(), "config.json")
    linux = config.get("linux") or {}
    found: Any = linux.get("resources") or {}
    return found  # type: ignore[no-any-return]
