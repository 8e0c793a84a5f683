"""config-linux#cpu."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conformance import cgroup
from conformance.marks import decides, needs
from conformance.support import limits
from conformance.support.limits import Limits, limited

if TYPE_CHECKING:
    from conformance.shared import Shared
    from conformance.workshop import Maker, Workshop

pytestmark = [needs("root", "controller-cpu")]

#: CPUs that we may use, as the kernel writes them.
CPUS = sorted(os.sched_getaffinity(0))


def numbers(workshop: Workshop) -> Limits:
    wishes: dict[str, limits.Wish] = {
        "shares": {"cpu.shares": 512},
        "bandwidth": {"cpu.quota": 50000, "cpu.period": 80000},
        "burst": {"cpu.quota": 50000, "cpu.period": 80000, "cpu.burst": 20000},
    }
    return Limits(workshop, wishes)


def bandwidth(files: limits.Files) -> tuple[str, str]:
    """Quota and period, in microseconds."""
    if cgroup.version() == 1:
        return files.read("cpu", "cpu.cfs_quota_us"), files.read("cpu", "cpu.cfs_period_us")
    quota, period = files.read("cpu", "cpu.max").split()
    return "-1" if quota == "max" else quota, period


@decides("config-linux.cpu.shares")
@needs("cgroup1")
def test_shares_are_the_share(shared: Shared) -> None:
    assert shared(numbers)["shares"].read("cpu", "cpu.shares") == "512"


@decides("config-linux.cpu.shares")
@needs("cgroup2")
def test_more_shares_are_more_weight(workshop: Workshop) -> None:
    """The specification leaves the formula open; the ends of both ranges are each other's."""
    shares = (2, 512, 1024, 4096, 262144)
    weights = [int(limited(workshop, {"cpu.shares": each}).read("cpu", "cpu.weight")) for each in shares]
    assert (weights[0], weights[-1]) == (1, 10000)
    assert weights == sorted(set(weights))


@decides("config-linux.cpu.quota")
def test_quota_is_the_time_per_period(shared: Shared) -> None:
    assert bandwidth(shared(numbers)["bandwidth"])[0] == "50000"


@decides("config-linux.cpu.period")
def test_period_is_its_length(shared: Shared) -> None:
    assert bandwidth(shared(numbers)["bandwidth"])[1] == "80000"


@decides("config-linux.cpu.quota-unlimited")
def test_a_quota_of_minus_1_is_none(workshop: Workshop) -> None:
    path = limits.existing(workshop, "cpu", {"cpu.cfs_quota_us": "50000"}, {"cpu.max": "50000 100000"})
    assert bandwidth(limited(workshop, {"cpu.quota": -1}, path))[0] == "-1"


@decides("config-linux.cpu.burst")
@needs("linux-5.14")
def test_burst_is_the_time_beyond_quota(shared: Shared) -> None:
    assert shared(numbers)["burst"].either("cpu", "cpu.cfs_burst_us", "cpu.max.burst") == "20000"


@decides("config-linux.cpu.burst-above-quota")
@needs("linux-5.14")
def test_a_burst_above_the_quota_is_not_in_force(workshop: Workshop) -> None:
    box = workshop.container()
    limits.ask(box, {"cpu.quota": 50000, "cpu.burst": 60000})
    if box.create(expect="any").status == 0:
        assert limits.Files(box.pid).either("cpu", "cpu.cfs_burst_us", "cpu.max.burst") != "60000"


@pytest.mark.parametrize(
    ("wish", "file", "value"),
    [
        pytest.param({"cpu.realtimeRuntime": 5000}, "cpu.rt_runtime_us", "5000", id="runtime",
                     marks=decides("config-linux.cpu.realtime-runtime")),
        pytest.param({"cpu.realtimeRuntime": 5000, "cpu.realtimePeriod": 900000}, "cpu.rt_period_us", "900000",
                     id="period", marks=decides("config-linux.cpu.realtime-period")),
    ],
)  # fmt: skip
def test_realtime_is_applied_or_refused(workshop: Workshop, wish: limits.Wish, file: str, value: str) -> None:
    """The path is absolute: a cgroup has no more realtime than the one above."""
    if cgroup.version() == 1 and (cgroup.hierarchies()["cpu"][0] / file).exists():
        assert limited(workshop, wish, f"/{workshop.token}-realtime").read("cpu", file) == value
    else:
        assert limits.accepted(workshop, wish) == []


# --- idle ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "idle",
    [
        pytest.param(1, marks=decides("config-linux.cpu.idle")),
        pytest.param(0, marks=decides("config-linux.cpu.idle-default")),
    ],
)
@needs("linux-5.15")
def test_idle_is_that_of_the_cgroup(workshop: Workshop, idle: int) -> None:
    assert limited(workshop, {"cpu.idle": idle}).read("cpu", "cpu.idle") == str(idle)


@decides("config-linux.cpu.idle-range")
@pytest.mark.parametrize("idle", [2, -1])
def test_another_idle_is_refused(workshop: Workshop, idle: int) -> None:
    assert limits.accepted(workshop, {"cpu.idle": idle}) == []


# --- cpusets ---------------------------------------------------------------------------------------------------------


@decides("config-linux.cpu.cpus")
@needs("controller-cpuset")
def test_cpus_are_those_of_the_container(container: Maker) -> None:
    box = container("report", "+", "wait")
    limits.ask(box, {"cpu.cpus": str(CPUS[-1])})
    box.running()
    assert limits.Files(box.pid).read("cpuset", "cpuset.cpus") == str(CPUS[-1])
    assert box.seen()["affinity"] == [CPUS[-1]]


@pytest.mark.parametrize("form", ["{0}", "{0},{1}", "{0}-{1}"])
@decides("config-linux.cpu.cpus-list")
@needs("controller-cpuset", "two-cpus")
def test_cpus_are_a_list_of_numbers_and_ranges(workshop: Workshop, form: str) -> None:
    """Of the first two that follow each other, so that a range has both, and no other."""
    pairs = [each for each in CPUS if each + 1 in CPUS]
    if not pairs:
        pytest.skip("needs two-cpus: no two CPUs follow each other")
    text = form.format(pairs[0], pairs[0] + 1)
    wanted = str(pairs[0]) if form == "{0}" else f"{pairs[0]}-{pairs[0] + 1}"
    assert limited(workshop, {"cpu.cpus": text}).read("cpuset", "cpuset.cpus") == wanted


@decides("config-linux.cpu.mems")
@needs("controller-cpuset")
def test_mems_are_the_memory_nodes(workshop: Workshop) -> None:
    assert limited(workshop, {"cpu.mems": "0"}).read("cpuset", "cpuset.mems") == "0"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            pytest.param("cpus", text, marks=decides("config-linux.cpu.cpus-invalid"))
            for text in ("a", "1-0", "100000")
        ),
        *(pytest.param("mems", text, marks=decides("config-linux.cpu.mems-invalid")) for text in ("a", "100000")),
    ],
)
@needs("controller-cpuset")
def test_a_list_that_cannot_be_is_refused(workshop: Workshop, name: str, value: str) -> None:
    assert limits.accepted(workshop, {f"cpu.{name}": value}) == []
