"""``org.systemd.property.NAME`` annotations: properties of the unit that the config's author asks for, as in runc.

A value is in the text form of pyrunc.plan.systemd.gvariant.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.plan.ops import Op
from pyrunc.plan.systemd import gvariant
from pyrunc.spec import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "org.systemd.property."
#: What the unit's cgroup and its processes depend on -> where it is decided.
_DECIDED = {
    "Slice": "linux.cgroupsPath names the slice",
    "PIDs": "only the container's processes are in its unit",
    "PIDFDs": "only the container's processes are in its unit",
}
_LEAST = 3
_SECOND = 1_000_000


def properties(annotations: Mapping[str, str]) -> tuple[list[Op], list[Violation]]:
    """Ops ``systemd_property``, and what is wrong with the rest."""
    ops, problems = [], []
    for key, text in annotations.items():
        if key.startswith(PREFIX):
            where = paths.join("annotations", key)
            try:
                ops.append(Op("systemd_property", _property(key.removeprefix(PREFIX), text), where))
            except ValueError as error:
                problems.append(Violation(where, str(error)))
    return ops, problems


def _property(name: str, text: str) -> tuple[str, str]:
    if not (name.isascii() and name.isalpha()) or len(name) < _LEAST:
        raise ValueError(f"{name!r} is not the name of a property: those have {_LEAST} letters or more, and no others")
    if name in _DECIDED:
        raise ValueError(f"cannot be set here: {_DECIDED[name]}")
    try:
        signature, value = gvariant.parse(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no value in the text form of GVariant: {error}") from None
    stem = name.removesuffix("Sec")
    if stem != name and stem[-1:].islower():
        # On the bus there are microseconds alone; TimeoutStopSec is what people know from unit files.
        if signature not in (*gvariant.RANGES, "d"):
            raise ValueError(f"{text!r} is not a number of seconds")
        span = value * _SECOND
        if not 0 <= span < 1 << 64:  # nan, too
            raise ValueError(f"{text!r} is out of range")
        return stem + "USec", f"uint64 {int(span)}"
    return name, text
