"""What ``state`` prints: read, and refused where nobody could read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance.call import shown
from conformance.verdict import Broken, Failed

if TYPE_CHECKING:
    from conformance.call import Outcome

#: Those of the specification; a runtime may have more.
STATUSES = frozenset({"creating", "created", "running", "stopped"})


class State(dict[str, Any]):
    """A state, or what a hook is told of it: a property that is looked for and is not there fails the test."""

    def __missing__(self, name: str) -> Any:
        raise Failed(f"the state has no {name}: {shown(json.dumps(self))}")


def parse(outcome: Outcome) -> State:
    """The state that a successful ``state`` printed.

    Only what every test relies on is looked at, an object with a status: each other field has a test of its own.
    Raises Broken.
    """
    try:
        state = json.loads(outcome.stdout)
    except ValueError:
        raise Broken(f"`{outcome.line}` prints no JSON: {shown(outcome.stdout) or 'nothing'}") from None
    if not isinstance(state, dict):
        raise Broken(f"`{outcome.line}` prints no object: {shown(outcome.stdout)}")
    if not isinstance(state.get("status"), str):
        raise Broken(f"`{outcome.line}` prints an object without a status: {shown(outcome.stdout)}")
    return State(state)
