"""config-linux#unified: files of cgroup2 by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import cgroup, disks
from conformance.marks import decides, needs
from conformance.support import limits
from conformance.support.limits import limited

if TYPE_CHECKING:
    from conformance.shared import Shared
    from conformance.workshop import Workshop

pytestmark = [needs("root")]


LIMITS = {"pids.max": "77", "memory.high": str(64 << 20)}


def written(workshop: Workshop) -> limits.Files:
    return limited(workshop, {"unified": LIMITS})


@decides("config-linux.unified.written")
@needs("cgroup2", "controller-pids", "controller-memory")
@pytest.mark.parametrize("name", LIMITS)
def test_a_key_is_a_file_of_the_cgroup(shared: Shared, name: str) -> None:
    assert shared(written).read("", name) == LIMITS[name]


@decides("config-linux.unified.unknown")
@needs("cgroup2")
def test_a_key_that_no_other_property_stands_for_is_written(workshop: Workshop) -> None:
    """Keys without a controller are files that every cgroup has."""
    files = limited(workshop, {"unified": {"cgroup.max.descendants": "13", "cgroup.max.depth": "3"}})
    assert (files.read("", "cgroup.max.descendants"), files.read("", "cgroup.max.depth")) == ("13", "3")


@decides("config-linux.unified.several-lines")
@needs("cgroup2", "controller-io", "two-disks")
def test_each_line_of_a_value_is_written(workshop: Workshop) -> None:
    lines = [f"{number} rbps={(1 << 20) + 4096 * at}" for at, number in enumerate(disks.numbers()[:2])]
    text = limited(workshop, {"unified": {"io.max": "\n".join(lines)}}).read("", "io.max")
    assert sorted(" ".join(line.split()[:2]) for line in text.splitlines()) == sorted(lines)


@decides("config-linux.unified.controllers")
@needs("cgroup2", "controller-pids", "controller-memory")
def test_controllers_are_enabled_on_the_way(workshop: Workshop) -> None:
    path = f"/{workshop.token}-new/deep/deeper"
    workshop.held.callback(cgroup.remove, cgroup.hierarchies()[""][0] / f"{workshop.token}-new")
    files = limited(workshop, {"unified": LIMITS}, path)
    assert {"pids", "memory"} <= set(files.read("", "cgroup.controllers").split())
    assert {name: files.read("", name) for name in LIMITS} == LIMITS


@decides("config-linux.unified.controller-missing")
def test_a_controller_that_does_not_exist_is_refused(workshop: Workshop) -> None:
    assert limits.accepted(workshop, {"unified": {"nosuch.max": "1"}}) == []


@decides("config-linux.unified.controller-on-v1")
@needs("cgroup1", "controller-memory")
def test_a_controller_that_is_not_in_the_unified_hierarchy_is_refused(workshop: Workshop) -> None:
    assert limits.accepted(workshop, {"unified": {"memory.max": "67108864"}}) == []


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param({"memory.swappiness": 60}, id="swappiness"),
        pytest.param({"network.classID": 1048577}, id="class"),
        pytest.param({"cpu.realtimeRuntime": 5000}, id="realtime"),
    ],
)
@decides("config-linux.unified.conversion")
@needs("cgroup2")
def test_what_cannot_be_converted_is_refused(workshop: Workshop, wish: dict[str, Any]) -> None:
    assert limits.accepted(workshop, wish) == []
