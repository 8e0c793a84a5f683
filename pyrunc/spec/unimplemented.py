"""What runtime-spec 1.3.0 has and pyrunc has not: refused by name, never ignored.

An implementation of a feature begins with taking its row out.
"""

from __future__ import annotations

from pyrunc.errors import Violation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Paths whose presence alone asks for something.
NOT_IMPLEMENTED = ("linux.intelRdt",)

#: Objects of config.json for other kernels and for virtual machines.
OTHER_PLATFORMS = ("freebsd", "solaris", "vm", "windows", "zos")


def check_platforms(spec: object) -> Iterator[Violation]:
    assert isinstance(spec, dict)
    for name in OTHER_PLATFORMS:
        if name in spec:
            yield Violation(name, "for another platform; pyrunc makes Linux containers")


def check_implemented(spec: object) -> Iterator[Violation]:
    for path in NOT_IMPLEMENTED:
        value = spec
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            yield Violation(path, "not implemented by pyrunc yet")
