"""The options of update: from their values to linux.resources.

Sizes are written as docker's library for units takes them, which runc uses: digits, perhaps a fraction, a unit.
"""

from __future__ import annotations

from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pyrunc.cli.commands import Value

#: Longer than any number of 64 bits; int() of a very long one takes its time, or fails.
_DIGITS = 20

_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}


def whole(text: str) -> int:
    """ValueError unless ``text`` is a number, perhaps a negative one."""
    if not _is_number(text.removeprefix("-")):
        raise ValueError("is not a whole number")
    return int(text)


def size(text: str) -> int:
    """``64m``, ``1.5GiB``, ``4096``: bytes; -1 stands for no limit."""
    if text == "-1":
        return -1
    number = text.rstrip("kKmMgGtTpPiIbB ")
    unit = text[len(number) :].removeprefix(" ").lower()
    count, dot, fraction = number.partition(".")
    bits = _UNITS.get(unit.removesuffix("b").removesuffix("i"))
    if bits is None or unit == "i" or not _is_number(count) or (dot and not _is_number(fraction)):
        raise ValueError("is not a size like 64m, 1.5g or 4096, nor -1 for no limit")
    scaled = int(count + fraction) << bits
    return scaled // int("1" + "0" * len(fraction))


def _is_number(text: str) -> bool:
    # Not isdecimal() alone: that takes digits of any script.
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def text(value: str) -> str:
    return value


#: Option -> (member of linux.resources, its field, what reads the value)
FIELDS: dict[str, tuple[str, str, Callable[[str], int | str]]] = {
    "blkio-weight": ("blockIO", "weight", whole),
    "cpu-period": ("cpu", "period", whole),
    "cpu-quota": ("cpu", "quota", whole),
    "cpu-burst": ("cpu", "burst", whole),
    "cpu-share": ("cpu", "shares", whole),
    "cpu-rt-period": ("cpu", "realtimePeriod", whole),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime", whole),
    "cpu-idle": ("cpu", "idle", whole),
    "cpuset-cpus": ("cpu", "cpus", text),
    "cpuset-mems": ("cpu", "mems", text),
    "memory": ("memory", "limit", size),
    "memory-reservation": ("memory", "reservation", size),
    "memory-swap": ("memory", "swap", size),
    "kernel-memory": ("memory", "kernel", size),
    "kernel-memory-tcp": ("memory", "kernelTCP", size),
    "pids-limit": ("pids", "limit", whole),
}

REFUSED = ("l3-cache-schema", "mem-bw-schema")


def resources(given: Mapping[str, Value]) -> dict[str, Any]:
    """What the options ask for, still to be validated.  UsageError that names the option."""
    for option in REFUSED:
        if given[option] is not None:
            raise UsageError(f"--{option}: Intel RDT is not implemented by pyrunc")
    found: dict[str, Any] = {}
    for option, (member, field, read) in FIELDS.items():
        value = given[option]
        if value is None:
            continue
        try:
            found.setdefault(member, {})[field] = read(str(value))
        except ValueError as error:
            raise UsageError(f"invalid value for --{option}: {value!r} {error}") from None
    return found


def refuse_beside(given: Mapping[str, Value]) -> None:
    """With --resources every value comes from the file; runc ignores the others."""
    for option in (*FIELDS, *REFUSED):
        if given[option] is not None:
            raise UsageError(f"--{option}: not together with --resources", hint="put it into the file")
