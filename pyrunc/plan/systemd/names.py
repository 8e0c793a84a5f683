"""Names of units: from ``slice:prefix:name`` to a scope and its cgroup (systemd.slice(5), systemd.unit(5))."""

from __future__ import annotations

from pyrunc.spec.jsontext import dumps

FORM = "slice:prefix:name"
_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")
#: UNIT_NAME_MAX, without the NUL.
_LIMIT = 255


def parse(path: str, id: str, slice: str) -> tuple[str, str]:
    """(slice, unit) for ``linux.cgroupsPath``, or for an empty one from the container's ``id``.

    ``slice`` is where the unit is unless the path says so.  Raises ValueError with the reason.
    """
    if not path:
        return slice, _unit("pyrunc", id)
    parts = path.split(":")
    if len(parts) != 3:
        raise ValueError(f"{dumps(path)} is not of the form {FORM}, which the cgroup manager systemd needs")
    place, prefix, name = parts
    if place:
        expand(place)
    if not name:
        raise ValueError(f"{dumps(path)} has no name; expected {FORM}")
    if name.endswith(".slice"):
        raise ValueError(f"{dumps(name)} would be a slice, and a slice takes no processes; name a scope: {FORM}")
    return place or slice, _unit(prefix, name)


def _unit(prefix: str, name: str) -> str:
    unit = f"{prefix}-{name}.scope"
    if not _CHARACTERS.issuperset(unit):
        wrong = " ".join(sorted(set(unit) - _CHARACTERS))
        raise ValueError(f"{dumps(unit)} cannot be the name of a unit: {dumps(wrong)} is not allowed in one")
    if len(unit) > _LIMIT:
        raise ValueError(f"{dumps(unit)} cannot be the name of a unit: it has {len(unit)} characters, {_LIMIT} at most")
    return unit


def expand(slice: str) -> str:
    """The cgroup of a slice below that of its systemd: ``a-b.slice`` is /a.slice/a-b.slice, ``-.slice`` the top.

    Raises ValueError for what is no name of a slice.
    """
    name = slice.removesuffix(".slice")
    if name == "-":
        return ""
    words = name.split("-")
    if name == slice or not all(words) or not _CHARACTERS.issuperset(slice) or len(slice) > _LIMIT:
        raise ValueError(f"{dumps(slice)} is not the name of a slice, such as system.slice or machine-a.slice")
    return "".join(f"/{'-'.join(words[:count])}.slice" for count in range(1, len(words) + 1))
