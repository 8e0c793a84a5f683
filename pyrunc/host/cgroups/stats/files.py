"""The few formats that files of cgroups have (cgroup-v2.rst "Format"), and the shapes that both versions report.

A file that is not there, because the kernel or the container lacks what it is about, is as an empty one.
"""

from __future__ import annotations

import posix

from pyrunc.host.cgroups import tree
from pyrunc.spec.lists import numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What "max" stands for in a report: the greatest number of 64 bits.
NO_LIMIT = (1 << 64) - 1


def number(path: str) -> int:
    """The one number of a file, 0 without it."""
    text = tree.read(path).strip()
    return NO_LIMIT if text == "max" else int(text or 0)


def pairs(path: str) -> dict[str, int]:
    """``NAME NUMBER`` lines."""
    found = {}
    for line in tree.read(path).splitlines():
        name, space, value = line.partition(" ")
        if space and value.strip().isdecimal():
            found[name] = int(value)
    return found


def members(path: str) -> list[int]:
    """A list like ``0-3,7``."""
    return numbers(tree.read(path)) or []


def kept(values: dict[str, Any]) -> dict[str, Any]:
    """Without the members that are 0 or empty."""
    return {name: value for name, value in values.items() if value}


def entry(limit: int, usage: int, peak: int, failures: int) -> dict[str, int]:
    """A kind of memory: ``limit`` and ``failcnt`` are always there."""
    return {"limit": limit, **kept({"usage": usage, "max": peak}), "failcnt": failures}


def huge_page_sizes() -> list[str]:
    """``2MB``, ``1GB``: the sizes of the machine, as the files of the controller hugetlb are named, smallest first."""
    try:
        names = posix.listdir("/sys/kernel/mm/hugepages")
    except FileNotFoundError:
        return []
    sizes = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names)
    return [_named(kilobytes) for kilobytes in sizes]


def _named(kilobytes: int) -> str:
    for unit, bits in (("GB", 20), ("MB", 10)):
        if kilobytes >= 1 << bits:
            return f"{kilobytes >> bits}{unit}"
    return f"{kilobytes}KB"
