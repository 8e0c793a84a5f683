"""systemd as the cgroup manager: what becomes a property, what is left to files, what is refused with which text."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.plan.ops import Op
from pyrunc.plan.systemd.gvariant import parse
from pyrunc.plan.systemd.properties import INFINITY, properties
from tests.unit.plan import hosts
from tests.unit.plan.test_create import spec
from tests.unit.plan.units import V1, V2, given_to, host, planned, wrong

# --- resources


def shown(resources: Any, cgroups: dict[str, str], version: int = 252, *, bfq: bool = False) -> dict[str, str]:
    systemd = hosts.with_systemd(hosts.root_v2(), version=version, bfq=bfq)["systemd"]
    assert systemd is not None
    ops: list[Op] = properties(resources, cgroups, systemd)
    assert all(parse(str(op.args[1])) for op in ops)
    return {str(op.args[0]): str(op.args[1]).removeprefix("uint64 ") for op in ops}


NONE = str(INFINITY)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"memory": {"limit": 4096}}, {"MemoryMax": "4096"}),
        ({"memory": {"limit": -1}}, {"MemoryMax": NONE, "MemorySwapMax": NONE}),
        ({"memory": {"limit": 4096, "swap": 8192}}, {"MemoryMax": "4096", "MemorySwapMax": "4096"}),
        ({"memory": {"limit": 4096, "swap": 4096}}, {"MemoryMax": "4096", "MemorySwapMax": "0"}),
        ({"memory": {"swap": -1}}, {"MemorySwapMax": NONE}),
        ({"memory": {"reservation": 4096}}, {"MemoryLow": "4096"}),
        ({"memory": {"limit": 0, "swap": 0}}, {}),
        ({"cpu": {"shares": 1024}}, {"CPUWeight": "100"}),
        ({"cpu": {"shares": 1024, "idle": 1}}, {"CPUWeight": "0"}),
        ({"cpu": {"shares": 1024, "idle": 0}}, {"CPUWeight": "100"}),
        ({"cpu": {"idle": 0}}, {"CPUWeight": NONE}),
        ({"cpu": {"quota": 50000}}, {"CPUQuotaPerSecUSec": "500000"}),
        ({"cpu": {"quota": 1}}, {"CPUQuotaPerSecUSec": "10000"}),
        ({"cpu": {"quota": 10001, "period": 20000}}, {"CPUQuotaPeriodUSec": "20000", "CPUQuotaPerSecUSec": "510000"}),
        ({"cpu": {"quota": -1}}, {"CPUQuotaPerSecUSec": NONE}),
        ({"cpu": {"period": 20000}}, {"CPUQuotaPeriodUSec": "20000", "CPUQuotaPerSecUSec": NONE}),
        (
            {"cpu": {"cpus": "0-1,9", "mems": "0"}},
            {"AllowedCPUs": "@ay [0x03, 0x02]", "AllowedMemoryNodes": "@ay [0x01]"},
        ),
        ({"cpu": {"cpus": "x"}}, {}),
        ({"pids": {"limit": 5}}, {"TasksMax": "5"}),
        ({"pids": {"limit": 0}}, {"TasksMax": "1"}),
        ({"pids": {"limit": -1}}, {"TasksMax": NONE}),
        ({"blockIO": {"weight": 1000}}, {"IOWeight": "10000"}),
        ({"unified": {"memory.high": "1M"}}, {"MemoryHigh": "1048576"}),
        ({"unified": {"memory.max": "max"}}, {"MemoryMax": NONE}),
        ({"unified": {"memory.max": "0"}}, {}),
        ({"unified": {"memory.min": "0"}}, {"MemoryMin": "0"}),
        ({"unified": {"memory.max": "many"}}, {}),
        ({"unified": {"cpu.max": "max 20000"}}, {"CPUQuotaPeriodUSec": "20000", "CPUQuotaPerSecUSec": NONE}),
        ({"unified": {"cpu.max": "5000"}}, {"CPUQuotaPerSecUSec": "50000"}),
        ({"unified": {"cpu.max": "5000 0 0"}}, {}),
        ({"unified": {"cpu.idle": "1"}}, {"CPUWeight": "0"}),
        ({"unified": {"cpuset.cpus": "1\n"}}, {"AllowedCPUs": "@ay [0x02]"}),
        ({"unified": {"io.weight": "50"}}, {"IOWeight": "50"}),
        ({"unified": {"io.weight": "8:0 50"}}, {}),
        ({"unified": {"io.weight": "default 70\n8:0 50"}}, {"IOWeight": "70"}),
        ({"unified": {"io.bfq.weight": "70"}}, {}),
        ({"unified": {"misc.max": "a 1", "cgroup.max.depth": "2"}}, {}),
        ({"memory": {"limit": 4096}, "unified": {"memory.max": "8192"}}, {"MemoryMax": "8192"}),
    ],
)
def test_a_resource_is_a_property_on_cgroup2(resources: Any, expected: dict[str, str]) -> None:
    assert shown(resources, V2) == expected


@pytest.mark.parametrize("weight", [1, 10, 99, 100, 101, 200, 500, 999, 1000])
@pytest.mark.parametrize("version", [243, 248, 250, 252, 257])
def test_with_bfq_systemd_is_told_the_weight_of_which_it_makes_the_one_that_is_wanted(
    weight: int, version: int
) -> None:
    for resources in (
        {"blockIO": {"weight": weight}},
        {"unified": {"io.bfq.weight": f"default {weight}\n8:0 5"}},
    ):
        told = int(shown(resources, V2, version, bfq=True)["IOWeight"])
        assert 1 <= told <= 10000
        assert (told if version < 250 else _bfq(told)) == weight


def _bfq(weight: int) -> int:
    """systemd's own conversion from 250 on: 1…100 stay, 100…10000 become 100…1000."""
    return weight if weight <= 100 else 100 + (weight - 100) * 900 // 9900


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({"memory": {"limit": 4096, "swap": 8192, "reservation": 1}}, {"MemoryLimit": "4096"}),
        ({"memory": {"limit": -1}}, {"MemoryLimit": NONE}),
        ({"cpu": {"shares": 512, "cpus": "0", "idle": 1}}, {"CPUShares": "512"}),
        ({"cpu": {"quota": 50000}}, {"CPUQuotaPerSecUSec": "500000"}),
        ({"pids": {"limit": 5}}, {"TasksMax": "5"}),
        ({"blockIO": {"weight": 100}}, {"BlockIOWeight": "100"}),
        ({"unified": {"hugetlb.2MB.max": "0"}}, {}),
    ],
)
def test_on_v1_those_that_systemd_manages_there_are(resources: Any, expected: dict[str, str]) -> None:
    assert shown(resources, V1) == expected


def test_what_a_systemd_is_too_old_for_is_left_to_the_files() -> None:
    resources = {"cpu": {"period": 20000, "quota": 5000, "cpus": "0", "idle": 1}, "unified": {"memory.oom.group": "1"}}
    assert shown(resources, V2, 239) == {"CPUQuotaPerSecUSec": "250000"}
    assert shown(resources, V2, 253)["OOMPolicy"] == "'kill'"


# --- devices


def devices(rules: list[dict[str, Any]]) -> dict[str, str]:
    return given_to(planned(spec(linux__resources={"devices": rules}), host(hosts.root_v1())))


def test_on_v1_systemd_has_the_list_of_what_is_allowed() -> None:
    found = devices([{"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}])
    assert found["DevicePolicy"] == "'strict'"
    entries = parse(found["DeviceAllow"])[1]
    assert ("/dev/char/10:229", "rw") in entries
    assert ("char-*", "m") in entries
    assert ("char-136", "rwm") in entries


def test_on_v1_everything_is_everything() -> None:
    found = devices([{"allow": True, "access": "rwm"}])
    assert found["DevicePolicy"] == "'auto'"
    assert found["DeviceAllow"] == "@a(ss) []"


@pytest.mark.parametrize(
    "rule",
    [
        {"allow": True, "type": "c", "minor": 5, "access": "rw"},
        {"allow": False, "type": "c", "major": 10, "access": "w"},
    ],
)
def test_on_v1_a_rule_that_systemd_has_no_words_for_is_refused(rule: dict[str, Any]) -> None:
    first = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}
    (line,) = wrong(spec(linux__resources={"devices": [first, rule]}), host(hosts.root_v1()))
    assert line.startswith("linux.resources.devices[1]: systemd on cgroup v1 takes only a list")


def test_on_cgroup2_the_program_is_pyruncs_alone() -> None:
    found = planned(spec(linux__resources={"devices": [{"allow": False, "access": "rwm"}]}))
    assert not {"DevicePolicy", "DeviceAllow"} & given_to(found).keys()
    assert [op.name for op in found.ops].count("device_filter") == 1
