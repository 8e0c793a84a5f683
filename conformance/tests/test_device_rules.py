"""config-linux#allowed-device-list.

What is opened are devices that the kernel's list keeps for experiments, so that there is no driver and no runtime lets
a container have them by itself: one that may be opened is ENXIO, one that may not EPERM.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from conformance.marks import decides, needs
from conformance.support import refusal
from conformance.support.limits import together
from conformance.verdict import Failed

if TYPE_CHECKING:
    from conformance.seen import Seen
    from conformance.shared import Shared
    from conformance.workshop import Workshop

pytestmark = [needs("root", "cap_mknod")]

OPEN, DENIED = errno.ENXIO, errno.EPERM

Rule = dict[str, Any]


def rule(
    allow: bool, type: str | None = "c", major: int | None = None, minor: int | None = None, access: str = "rwm"
) -> Rule:
    """An entry; None is a property that is left out."""
    wanted = {"allow": allow, "type": type, "major": major, "minor": minor, "access": access}
    return {name: value for name, value in wanted.items() if value is not None}


EVERYTHING, NOTHING = rule(True, "a"), rule(False, "a")


@dataclass(frozen=True)
class Case:
    """Rules behind the first one of the container, and what comes of opening "c120:1"."""

    rules: tuple[Rule, ...]
    reads: dict[str, int]
    writes: dict[str, int]


def case(rules: list[Rule], reads: dict[str, int], writes: dict[str, int] | None = None) -> Case:
    return Case(tuple(rules), reads, reads if writes is None else writes)


#: Of a container that has nothing but what these allow; each has numbers of its own.
ALLOWED = {
    "allow": case([rule(True, "c", 120, 1)], {"c120:1": OPEN}),
    "type-a": case([], {"c127:1": DENIED, "b127:1": DENIED}),
    "type-c": case([rule(True, "c", 121)], {"c121:1": OPEN, "b121:1": DENIED}),
    "type-b": case([rule(True, "b", 122)], {"c122:1": DENIED, "b122:1": OPEN}),
    "major": case([rule(True, "c", 123, 1)], {"c123:1": OPEN, "c124:1": DENIED}),
    "major-unset": case([rule(True, "c", None, 55)], {"c120:55": OPEN, "c127:55": OPEN, "c127:56": DENIED}),
    "minor": case([rule(True, "c", 120, 11)], {"c120:11": OPEN, "c120:12": DENIED}),
    "minor-unset": case([rule(True, "c", 125)], {"c125:1": OPEN, "c125:2": OPEN}),
    "access-read": case([rule(True, "c", 120, 21, "r")], {"c120:21": OPEN}, {"c120:21": DENIED}),
    "access-write": case([rule(True, "c", 120, 22, "w")], {"c120:22": DENIED}, {"c120:22": OPEN}),
    "access-mknod": case([rule(True, "c", 120, 7, "m")], {"c120:7": DENIED}),
    "access-composed": case([rule(True, "c", 120, 23, "rw")], {"c120:23": OPEN}),
    "order": case([rule(True, "c", 126, 1), rule(False, "c", 126, 1)], {"c126:1": DENIED}),
}

#: Of a container that has everything but what these deny.
DENYING = {
    "deny": case([rule(False, "c", 120, 1)], {"c120:1": DENIED, "c120:3": OPEN}),
    "type-c": case([rule(False, "c", 120, 2)], {"c120:2": DENIED, "b120:2": OPEN}),
    "type-b": case([rule(False, "b", 122)], {"b122:1": DENIED, "c122:1": OPEN}),
    "major": case([rule(False, "c", 123)], {"c123:1": DENIED, "c124:1": OPEN}),
    "minor": case([rule(False, "c", 120, 11)], {"c120:11": DENIED, "c120:12": OPEN}),
    "minor-unset": case([rule(False, "c", 125)], {"c125:1": DENIED, "c125:2": DENIED, "c126:1": OPEN}),
    "access-read": case([rule(False, "c", 120, 21, "r")], {"c120:21": DENIED}, {"c120:21": OPEN}),
    "access-write": case([rule(False, "c", 120, 22, "w")], {"c120:22": OPEN}, {"c120:22": DENIED}),
}

#: The whole list of a container.
WHOLE = {
    "type-unset": case([EVERYTHING, rule(False, None)], {"c120:1": DENIED, "b120:1": DENIED}),
    "type-unset-allow": case([NOTHING, rule(True, None)], {"c120:1": OPEN, "b120:1": OPEN}),
    "order": case([rule(True, "c", 120, 1), NOTHING], {"c120:1": DENIED}),
    "type-a": case([NOTHING, EVERYTHING], {"c120:1": OPEN, "b120:1": OPEN}),
}


def run(workshop: Workshop, first: list[Rule], cases: dict[str, Case]) -> Seen:
    box = workshop.container()
    names = sorted({name for each in cases.values() for name in (*each.reads, *each.writes)})
    for name in names:
        major, minor = map(int, name[1:].split(":"))
        kind = stat.S_IFCHR if name[0] == "c" else stat.S_IFBLK
        os.mknod(box.rootfs / "tmp" / name, kind | 0o600, os.makedev(major, minor))
    for capabilities in box.config["process"]["capabilities"].values():
        capabilities.append("CAP_MKNOD")
    rules = [*first, *(rule for each in cases.values() for rule in each.rules)]
    box.config["linux"]["resources"] = {"devices": rules}
    opens = [f"open-{way}=/tmp/{name}" for name in names for way in ("read", "write")]
    return box.report(*opens, "mknod-120=/tmp/made")


def results(workshop: Workshop) -> dict[str, dict[str, Seen | Failed]]:
    found = {
        "allowed": together(ALLOWED, lambda some: run(workshop, [NOTHING], some)),
        "denied": together(DENYING, lambda some: run(workshop, [EVERYTHING], some)),
        "whole": {},
    }
    for name, each in WHOLE.items():
        found["whole"] |= together({name: each}, lambda some: run(workshop, [], some))
    # The device that the probe makes: the rules above allow that.
    usable = {"usable": case([rule(True, "c", 120, 7, "rw")], {})}
    found["made"] = together(usable, lambda some: run(workshop, [NOTHING], some))
    return found


def seen(shared: Shared, kind: str, name: str) -> Seen:
    found = shared(results)[kind][name]
    if isinstance(found, Failed):
        raise found
    return found


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(
            kind, name, marks=decides(f"config-linux.allowed-device-list.{name.removesuffix('-allow')}")
        )
        for kind, cases in (("allowed", ALLOWED), ("denied", DENYING), ("whole", WHOLE))
        for name in cases
    ],
)  # fmt: skip
def test_a_device_can_be_opened_or_not(shared: Shared, kind: str, name: str) -> None:
    wanted = {"allowed": ALLOWED, "denied": DENYING, "whole": WHOLE}[kind][name]
    report = seen(shared, kind, name)
    assert {each: report.errno("open-read", f"/tmp/{each}") for each in wanted.reads} == wanted.reads
    assert {each: report.errno("open-write", f"/tmp/{each}") for each in wanted.writes} == wanted.writes


@decides("config-linux.allowed-device-list.access-mknod")
def test_a_device_of_access_m_can_be_made(shared: Shared) -> None:
    assert seen(shared, "allowed", "access-mknod").errno("mknod-120", "/tmp/made") == 0


@decides("config-linux.allowed-device-list.access-composed", "config-linux.allowed-device-list.access-mknod")
def test_a_device_of_access_rw_cannot_be_made(shared: Shared) -> None:
    assert seen(shared, "made", "usable").errno("mknod-120", "/tmp/made") == DENIED


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"type": "c", "access": "rwm"}, id="no-allow",
                     marks=decides("config-linux.allowed-device-list.allow-required")),
        pytest.param({"allow": False, "type": "x"}, id="type",
                     marks=decides("config-linux.allowed-device-list.type-unknown")),
        pytest.param({"allow": False, "type": "c", "access": "rx"}, id="access",
                     marks=decides("config-linux.allowed-device-list.access-unknown")),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_is_refused(workshop: Workshop, entry: Rule) -> None:
    assert refusal.accepted(workshop, {"linux.resources.devices": [entry]}, at="create") == []
