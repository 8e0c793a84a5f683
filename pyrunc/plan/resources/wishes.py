"""What a linux.resources asks for.  Engines send many zeros, which are no wish.

0 means "not set" for all fields but those in VALUES, huge page limits and those of rdma, where it is a value.
"""

from __future__ import annotations

from pyrunc.plan.resources import CONTROLLERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.types import Resources

#: Where 0 is a value; elsewhere it is no wish, and neither is an empty string.
VALUES = frozenset({"pids.limit", "cpu.idle", "cpu.burst", "memory.swappiness"})


def wishes(given: Resources, *, again: bool = False) -> Resources:
    """``given`` without what asks for nothing, devices, and members that nobody knows.  ``again``: there are values
    already, and false takes one back."""
    found: Any = {}
    for name, values in given.items():
        kept = _wished(name, values, again=again) if name in CONTROLLERS else None
        if kept:
            found[name] = kept
    return found  # type: ignore[no-any-return]


def _wished(name: str, values: Any, *, again: bool) -> Any:
    if name in ("rdma", "unified") or not isinstance(values, dict):
        return values
    return {key: value for key, value in values.items() if value or _is_value(f"{name}.{key}", value, again=again)}


def _is_value(field: str, value: Any, *, again: bool) -> bool:
    """Of what is false: whether it says something all the same."""
    return again if isinstance(value, bool) else value == 0 and field in VALUES
