"""config-linux#memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import cgroup
from conformance import needs as machine
from conformance.marks import decides, needs
from conformance.support import limits
from conformance.support.limits import Limits, limited

if TYPE_CHECKING:
    from conformance.shared import Shared
    from conformance.workshop import Maker, Workshop

pytestmark = [needs("root", "controller-memory")]

MIB = 1 << 20

#: More than any machine has: what v1 says without a limit is the greatest number of whole pages.
ENDLESS = 1 << 60

SWAP = needs("swap-accounting")


def amounts(workshop: Workshop) -> Limits:
    wishes = {"limit": {"memory.limit": 64 * MIB}, "reservation": {"memory.reservation": 32 * MIB}}
    if not machine.unmet("swap-accounting"):
        wishes["swap"] = {"memory.limit": 64 * MIB, "memory.swap": 96 * MIB}
    return Limits(workshop, wishes)


def number(text: str) -> int:
    return ENDLESS if text == "max" else int(text)


def both(files: limits.Files) -> int:
    """The limit of memory and swap together."""
    if cgroup.version() == 1:
        return number(files.read("memory", "memory.memsw.limit_in_bytes"))
    return number(files.read("memory", "memory.max")) + number(files.read("memory", "memory.swap.max"))


@decides("config-linux.memory.limit")
def test_limit_is_the_limit(shared: Shared) -> None:
    assert shared(amounts)["limit"].either("memory", "memory.limit_in_bytes", "memory.max") == str(64 * MIB)


@decides("config-linux.memory.reservation")
def test_reservation_is_the_soft_limit(shared: Shared) -> None:
    files = shared(amounts)["reservation"]
    assert files.either("memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 * MIB)


@decides("config-linux.memory.swap")
@SWAP
def test_swap_is_the_limit_of_memory_and_swap_together(shared: Shared) -> None:
    assert both(shared(amounts)["swap"]) == 96 * MIB


@decides("config-linux.memory.limit")
@SWAP
def test_a_program_that_takes_more_is_killed(container: Maker) -> None:
    box = container()
    limits.ask(box, {"memory.limit": 32 * MIB, "memory.swap": 32 * MIB})
    status = box.run("echo", "it starts", "+", "report", f"hold={256 * MIB}", "+", "echo", "it lives")
    assert "it starts" in box.output().splitlines()
    assert "it lives" not in box.output().splitlines()
    assert status in (-9, None)


OLD_V1 = {"memory.limit_in_bytes": str(64 * MIB), "memory.soft_limit_in_bytes": str(32 * MIB)}
OLD_V2 = {"memory.max": str(64 * MIB), "memory.low": str(32 * MIB)}


def unlimited(workshop: Workshop) -> limits.Files:
    path = limits.existing(workshop, "memory", OLD_V1, OLD_V2)
    return limited(workshop, {"memory.limit": -1, "memory.reservation": -1}, path)


@decides("config-linux.memory.limit-unlimited")
def test_a_limit_of_minus_1_is_none(shared: Shared) -> None:
    assert number(shared(unlimited).either("memory", "memory.limit_in_bytes", "memory.max")) >= ENDLESS


@decides("config-linux.memory.reservation-unlimited")
def test_a_reservation_of_minus_1_is_none(shared: Shared) -> None:
    assert number(shared(unlimited).either("memory", "memory.soft_limit_in_bytes", "memory.low")) >= ENDLESS


@decides("config-linux.memory.swap-unlimited")
@SWAP
def test_a_swap_of_minus_1_is_none(workshop: Workshop) -> None:
    old = {"memory.limit_in_bytes": str(64 * MIB), "memory.memsw.limit_in_bytes": str(96 * MIB)}
    path = limits.existing(workshop, "memory", old, {"memory.max": str(64 * MIB), "memory.swap.max": str(32 * MIB)})
    files = limited(workshop, {"memory.limit": 64 * MIB, "memory.swap": -1}, path)
    assert both(files) >= ENDLESS


@decides("config-linux.memory.kernel")
def test_a_limit_of_kernel_memory_is_in_force_or_refused(workshop: Workshop) -> None:
    wish = {"memory.kernel": 16 * MIB}
    if cgroup.version() == 1 and machine.unmet("linux-5.16"):
        assert limited(workshop, wish).read("memory", "memory.kmem.limit_in_bytes") == str(16 * MIB)
    else:
        refused(workshop, wish)


#: Property -> a value, the file of v1, and a line of it.
ONLY_V1: dict[str, tuple[Any, str, str]] = {
    "kernelTCP": (8 * MIB, "memory.kmem.tcp.limit_in_bytes", str(8 * MIB)),
    "swappiness": (100, "memory.swappiness", "100"),
    "disableOOMKiller": (True, "memory.oom_control", "oom_kill_disable 1"),
}
CLAIMS = {"kernelTCP": "kernel-tcp", "swappiness": "swappiness", "disableOOMKiller": "disable-oom-killer"}


def on_v1(workshop: Workshop) -> Limits:
    return Limits(workshop, {name: {f"memory.{name}": value} for name, (value, _, _) in ONLY_V1.items()})


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=decides(f"config-linux.memory.{CLAIMS[name]}")) for name in ONLY_V1]
)
@needs("cgroup1")
def test_what_v1_has_is_applied(shared: Shared, name: str) -> None:
    _, file, line = ONLY_V1[name]
    assert line in shared(on_v1)[name].read("memory", file).splitlines()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=decides(f"config-linux.memory.{CLAIMS[name]}", "config-linux.unified.conversion"))
        for name in ONLY_V1
    ],
)
@needs("cgroup2")
def test_what_cgroup2_has_not_is_refused(workshop: Workshop, name: str) -> None:
    refused(workshop, {f"memory.{name}": ONLY_V1[name][0]})


def defaults(workshop: Workshop) -> Limits:
    wishes = {"killer": {"memory.disableOOMKiller": False}, "hierarchy": {"memory.useHierarchy": True}}
    return Limits(workshop, wishes | ({"swappiness": {"memory.swappiness": 0}} if cgroup.version() == 1 else {}))


@decides("config-linux.memory.disable-oom-killer-false")
def test_the_oom_killer_stays_on(shared: Shared) -> None:
    text = shared(defaults)["killer"].find("memory", "memory.oom_control")
    assert cgroup.version() == 2 or "oom_kill_disable 0" in (text or "").splitlines()


@decides("config-linux.memory.use-hierarchy")
def test_children_share_the_limits(shared: Shared) -> None:
    assert shared(defaults)["hierarchy"].find("memory", "memory.use_hierarchy") in ("1", None)


@decides("config-linux.memory.swappiness")
@needs("cgroup1")
def test_a_swappiness_of_0_is_a_value(shared: Shared) -> None:
    assert shared(defaults)["swappiness"].read("memory", "memory.swappiness") == "0"


@decides("config-linux.memory.swappiness-range")
def test_a_swappiness_above_100_is_refused(workshop: Workshop) -> None:
    refused(workshop, {"memory.swappiness": 101})


def refused(workshop: Workshop, *wishes: limits.Wish) -> None:
    assert limits.accepted(workshop, *wishes) == []
