"""Creations of a running program: it makes many containers of one config, and what they have in common is worked out
once: the facts about the host and the plan.

A plan depends on the config, the host's facts and the request; on the id only in that its text is in paths and names.
"""

from __future__ import annotations

import posix

from pyrunc.host import probe
from pyrunc.plan.builder import Plan
from pyrunc.plan.ops import Op
from pyrunc.runtime import bundle as bundles
from pyrunc.runtime.creation import Creation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.plan.facts import HostFacts, Request

#: Stands for the id in a plan that is kept; no config has it.
_ID = posix.urandom(16).hex()
_LIMIT = 64


class Repeated(Creation):
    """A creation that takes the plan of the one before, with its own id in it, where nothing else is different."""

    __slots__ = ()

    def _facts(self) -> HostFacts:
        return facts()

    def _planned(self, data: bytes, request: Request) -> Plan:
        if request["cgroup_manager"] == "systemd":  # not every id can be in the name of a unit as it is
            return super()._planned(data, request)
        root = self.record.directory.rpartition("/")[0]
        wanted: Request = _replaced(request, self.record.directory, f"{root}/{_ID}")
        wanted["id"] = _ID
        template = _known.get(data)
        if template is None or template.request != wanted or template.facts != self.facts:
            template = Template(super()._planned(data, wanted), self.facts, wanted)
            if len(_known) >= _LIMIT:
                _known.clear()
            _known[data] = template
        return template.plan(self.record.id)


class Template:
    """A plan with a gap where the id belongs.  Nobody changes what it is made of."""

    __slots__ = ("_gaps", "_plan", "facts", "request")

    def __init__(self, plan: Plan, facts: HostFacts, request: Request) -> None:
        self.facts = facts
        self.request = request
        self._plan = plan
        self._gaps = [index for index, op in enumerate(plan.ops) if _ID in repr(op.args)]

    def plan(self, id: str) -> Plan:
        made = self._plan
        ops = list(made.ops)
        for index in self._gaps:
            op = ops[index]
            ops[index] = Op(op.name, _replaced(op.args, _ID, id), op.where)
        return Plan(
            ops,
            {controller: path.replace(_ID, id) for controller, path in made.cgroups.items()},
            made.warnings,
            [_replaced(layer, _ID, id) for layer in made.layers],
        )


#: By the text of the config.
_known: dict[bytes, Template] = {}
#: The last facts, with what they depend on.
_facts: tuple[tuple[object, ...], HostFacts] | None = None


def facts() -> HostFacts:
    """The facts about the host, looked at again when this program's ids, capabilities or cgroups have changed."""
    global _facts
    who = (*probe.rights(), probe.read("/proc/self/cgroup"))
    known = _facts
    if known is None or known[0] != who:
        _facts = known = who, bundles.facts(None)
    return known[1]


def _replaced(value: Any, old: str, new: str) -> Any:
    """The same with one text in place of another, however deep."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(item, old, new) for item in value)
    if isinstance(value, dict):
        return {key: _replaced(item, old, new) for key, item in value.items()}
    return value
