"""config-linux#offset-for-time-namespace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.marks import decides, needs, optional

if TYPE_CHECKING:
    from conformance.seen import Seen
    from conformance.workshop import Maker

pytestmark = [needs("timens"), optional("linux.namespaces", "time")]

#: Of the config -> its number for clock_gettime(2).
CLOCKS = {"monotonic": time.CLOCK_MONOTONIC, "boottime": time.CLOCK_BOOTTIME}
SECTION = "config-linux.offset-for-time-namespace"


def offsets(container: Maker, **wanted: dict[str, int]) -> Seen:
    box = container()
    config.add_namespace(box.config, "time")
    box.config["linux"]["timeOffsets"] = wanted
    return box.report(*(f"clock={number}" for number in CLOCKS.values()))


def table(seen: Seen) -> dict[str, tuple[int, ...]]:
    lines = [line.split() for line in seen.file("/proc/self/timens_offsets").splitlines()]
    return {name: (int(seconds), int(nanoseconds)) for name, seconds, nanoseconds in lines}


@pytest.mark.parametrize(
    "clock",
    [
        pytest.param(clock, marks=decides(f"{SECTION}.{clock}-secs", "config-linux.namespaces.time-isolation"))
        for clock in CLOCKS
    ],
)
def test_secs_moves_one_clock(container: Maker, clock: str) -> None:
    day = 86400
    before = {name: time.clock_gettime(number) for name, number in CLOCKS.items()}
    seen = offsets(container, **{clock: {"secs": day}})
    after = {name: time.clock_gettime(number) for name, number in CLOCKS.items()}
    for name, number in CLOCKS.items():
        moved = day if name == clock else 0
        now = seen.answer("clock", str(number)) / 1e9
        # The kernel may run this test on another processor, whose clock is some nanoseconds off.
        assert before[name] + moved - 0.001 <= now <= after[name] + moved + 0.001, name


@pytest.mark.parametrize(
    "clock", [pytest.param(clock, marks=decides(f"{SECTION}.{clock}-nanosecs")) for clock in CLOCKS]
)
def test_nanosecs_moves_one_clock(container: Maker, clock: str) -> None:
    seen = offsets(container, **{clock: {"secs": 7, "nanosecs": 500000001}})
    assert table(seen) == {name: (7, 500000001) if name == clock else (0, 0) for name in CLOCKS}


@decides(f"{SECTION}.secs-negative")
def test_secs_may_be_negative(container: Maker) -> None:
    seen = offsets(container, monotonic={"secs": -1}, boottime={"secs": -2, "nanosecs": 5})
    assert table(seen) == {"monotonic": (-1, 0), "boottime": (-2, 5)}


@decides(f"{SECTION}.boottime-secs", "config-linux.namespaces.user")
def test_offsets_hold_beside_a_user_namespace(container: Maker) -> None:
    """Root of the user namespace may not write them everywhere; who writes them is the runtime's matter."""
    box = container()
    if not config.rootless():
        config.user_namespace(box.config, 0, 65536)
    config.add_namespace(box.config, "time")
    box.config["linux"]["timeOffsets"] = {"boottime": {"secs": 86400}}
    seen = box.report(f"clock={CLOCKS['boottime']}")
    assert table(seen) == {"monotonic": (0, 0), "boottime": (86400, 0)}


@decides(f"{SECTION}.clock-unknown")
@pytest.mark.parametrize("clock", ["realtime", "nosuch", ""])
def test_a_clock_without_offset_is_refused(container: Maker, clock: str) -> None:
    box = container()
    config.add_namespace(box.config, "time")
    box.config["linux"]["timeOffsets"] = {clock: {"secs": 1}}
    box.create(expect="error")
    box.gone()
