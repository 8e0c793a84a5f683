"""Transient units: start, change, end.

Properties are (name, value in GVariant text, path in the config that it is for).  What is waited for is the end of
systemd's job, not of the call.
"""

from __future__ import annotations

import _signal
import re

from pyrunc.errors import HostError, OpFailed
from pyrunc.host.systemd.bus import SECONDS, Bus, Refused
from pyrunc.plan.systemd.gvariant import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyrunc.plan.facts import Unit

    Property = tuple[str, str, str]

_PREFIX = "org.freedesktop.systemd1."
_EXISTS = _PREFIX + "UnitExists"
#: Of a unit that systemd has forgotten, or has nobody left in.
_GONE = (_PREFIX + "NoSuchUnit", _PREFIX + "NoSuchProcess", "org.freedesktop.DBus.Error.UnknownObject")


def start(socket: str, unit: str, properties: Sequence[Property], pid: int, where: str) -> None:
    """Start a scope with the process ``pid`` in it; OpFailed names the property or the unit.

    A failed unit of that name, a leftover, is forgotten first; any other is somebody's.
    """
    with Bus(socket) as bus:
        bus.watch_jobs()
        given = [*_variants(properties), ("PIDs", ("au", [pid]))]
        try:
            job = _start(bus, unit, given)
        except Refused as error:
            raise _refused(error, bus, unit, properties, where) from None
        result = bus.wait(job, SECONDS)
        if result != "done":
            reason = _detail(bus, unit)
            _quietly(bus, "ResetFailedUnit", unit)
            raise OpFailed(
                f"systemd has not started {unit}: {result}{reason}",
                op="systemd_start",
                where=where,
                hint=f"its log may say why: journalctl -u {unit}",
            )


def _start(bus: Bus, unit: str, given: list[Any]) -> str:
    arguments: Any = ("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "replace", given, [])
    try:
        return str(bus.manager(*arguments)[0])
    except Refused as error:
        if error.name != _EXISTS or _value(bus, unit, "ActiveState") not in ("failed", None):
            raise
        _quietly(bus, "ResetFailedUnit", unit)
        return str(bus.manager(*arguments)[0])


def set_properties(socket: str, unit: str, properties: Sequence[Property], where: str = "") -> None:
    """Change properties of a unit, until it ends; OpFailed names the property."""
    if not properties:
        return
    with Bus(socket) as bus:
        try:
            bus.manager("SetUnitProperties", "sba(sv)", unit, True, _variants(properties))
        except Refused as error:
            raise _refused(error, bus, unit, properties, where, op="systemd_set") from None


def attach(socket: str, unit: str, below: str, pid: int, where: str) -> None:
    """Move a process of this user into the unit, to the cgroup ``below`` its own ("" is that itself).

    The systemd of a user has that of the host do it, which may move between any two cgroups.
    """
    with Bus(socket) as bus:
        try:
            bus.manager("AttachProcessesToUnit", "ssau", unit, below, [pid])
        except Refused as error:
            raise _refused(error, bus, unit, (), where, op="systemd_attach") from None


def end(unit: Unit, kill: Callable[[], None] | None = None) -> bool:
    """Kill whoever is in the unit, stop it, and let systemd forget it; one that is gone is fine.

    ``kill`` is called before, where there is something to kill.  False: there is a unit of that name, but it is
    somebody else's, and stays.
    """
    name = unit["name"]
    with Bus(unit["socket"]) as bus:
        description = _value(bus, name, "Description")
        if description is None:
            return True
        if description != parse(unit["description"])[1]:
            return False
        if kill:
            kill()
        bus.watch_jobs()
        _quietly(bus, "KillUnit", name, ("ssi", "all", int(_signal.SIGKILL)))
        job = _quietly(bus, "StopUnit", name, ("ss", "replace"))
        if job is not None and (result := bus.wait(job[0], SECONDS)) != "done":
            raise HostError(f"systemd has not stopped it: {result}", where=name)
        _quietly(bus, "ResetFailedUnit", name)
    return True


def _variants(properties: Sequence[Property]) -> list[tuple[str, tuple[str, Any]]]:
    return [(name, parse(text)) for name, text, _ in properties]


def _quietly(bus: Bus, method: str, unit: str, more: tuple[Any, ...] = ("s",)) -> tuple[Any, ...] | None:
    """Call a method for a unit that may be gone by now: then None."""
    try:
        return bus.manager(method, more[0], unit, *more[1:])
    except Refused as error:
        if error.name in _GONE:
            return None
        raise HostError(error.message, where=unit) from None


def _value(bus: Bus, unit: str, name: str) -> Any:
    """A property of any unit; None where systemd has no such unit in memory."""
    try:
        (path,) = bus.manager("GetUnit", "s", unit)
        return bus.property(path, "Unit", name)
    except Refused as error:
        if error.name in _GONE:
            return None
        raise HostError(error.message, where=unit) from None


def _detail(bus: Bus, unit: str) -> str:
    try:
        (path,) = bus.manager("GetUnit", "s", unit)
        return f" ({bus.property(path, 'Scope', 'Result')})"
    except Refused:
        return ""  # forgotten already


def _refused(
    error: Refused, bus: Bus, unit: str, properties: Sequence[Property], where: str, op: str = "systemd_start"
) -> OpFailed:
    """systemd's words, and the place in the config that they are about."""
    if error.name == _EXISTS:
        owner = _value(bus, unit, "Description")
        return OpFailed(
            f"the unit {unit} exists already" + (f": {owner}" if owner else ""),
            op=op,
            where=where,
            hint="another container may use the same linux.cgroupsPath; systemctl status says what it is",
        )
    words = set(re.findall(r"\w+", error.message))
    places = [path for name, _, path in properties if name in words]
    # A value of the wrong type it does not name, and only annotations have types that are not ours.
    places = places or [path for _, _, path in properties if path.startswith("annotations")] or [where]
    return OpFailed(f"systemd refuses it for {unit}: {error.message}", op=op, where=", ".join(places))
