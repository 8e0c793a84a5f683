"""The plan of update: what is written, with what beside it, and what is in force afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.errors import SpecError
from pyrunc.plan import update
from pyrunc.plan.resources.before import before, devices, is_kept
from tests.unit.plan import hosts
from tests.unit.plan.test_resources import V1, V2, shown

FACTS = {"": hosts.root_v2(), "memory": hosts.root_v1()}


def planned(given: Any, in_force: Any, cgroups: dict[str, str]) -> update.Change:
    facts = FACTS["" if "" in cgroups else "memory"]
    return update.plan(given, in_force, update.merge(in_force, given), cgroups, facts)


def writes(given: Any, in_force: Any, cgroups: dict[str, str]) -> list[str]:
    return [shown(op) for op in planned(given, in_force, cgroups).ops if op.name.startswith("cgroup_write")]


#: (in force, given, written on v1, written on cgroup2, in force afterwards)
CASES: list[tuple[Any, Any, list[str], list[str], Any]] = [
    ({}, {}, [], [], {}),
    (
        {"memory": {"limit": 64, "swap": 128}, "pids": {"limit": 9}},
        {"memory": {"limit": 32}},
        ["/memory/memory.limit_in_bytes=32+/memory/memory.memsw.limit_in_bytes=128"],
        ["/two/memory.max=32", "/two/memory.swap.max=96"],
        {"memory": {"limit": 32, "swap": 128}, "pids": {"limit": 9}},
    ),
    (
        {"memory": {"limit": 64, "swap": 128}},
        {"memory": {"swap": 256}},
        ["/memory/memory.limit_in_bytes=64+/memory/memory.memsw.limit_in_bytes=256"],
        ["/two/memory.max=64", "/two/memory.swap.max=192"],
        {"memory": {"limit": 64, "swap": 256}},
    ),
    (
        {"memory": {"limit": 64, "swap": 128}},
        {"memory": {"limit": -1}},
        ["/memory/memory.memsw.limit_in_bytes=-1?", "/memory/memory.limit_in_bytes=-1"],
        ["/two/memory.max=max", "/two/memory.swap.max=max?"],
        {"memory": {"limit": -1}},
    ),
    (
        {"memory": {"limit": 64, "reservation": 1}},
        {"memory": {"reservation": 2, "limit": 0, "swap": 0}},
        ["/memory/memory.soft_limit_in_bytes=2"],
        ["/two/memory.low=2"],
        {"memory": {"limit": 64, "reservation": 2}},
    ),
    (
        {"cpu": {"quota": 5, "period": 9, "shares": 1024}},
        {"cpu": {"quota": 7, "shares": 0, "cpus": ""}},
        ["/cpu/cpu.cfs_period_us=9+/cpu/cpu.cfs_quota_us=7"],
        ["/two/cpu.max=7 9"],
        {"cpu": {"quota": 7, "period": 9, "shares": 1024}},
    ),
    (
        {"cpu": {"quota": 5, "period": 9}},
        {"cpu": {"period": 10}},
        ["/cpu/cpu.cfs_period_us=10+/cpu/cpu.cfs_quota_us=5"],
        ["/two/cpu.max=5 10"],
        {"cpu": {"quota": 5, "period": 10}},
    ),
    (
        {"cpu": {"shares": 1024, "idle": 1}},
        {"cpu": {"idle": 0}},
        ["/cpu/cpu.idle=0", "/cpu/cpu.shares=1024"],
        ["/two/cpu.idle=0", "/two/cpu.weight=100"],
        {"cpu": {"shares": 1024, "idle": 0}},
    ),
    (
        {"cpu": {"shares": 1024}},
        {"cpu": {"idle": 1}},
        ["/cpu/cpu.idle=1"],
        ["/two/cpu.idle=1"],
        {"cpu": {"shares": 1024, "idle": 1}},
    ),
    (
        {"cpu": {"burst": 5}},
        {"cpu": {"burst": 0}},
        ["/cpu/cpu.cfs_burst_us=0"],
        ["/two/cpu.max.burst=0"],
        {"cpu": {"burst": 0}},
    ),
    ({}, {"cpu": {"cpus": "0"}}, ["/cpuset/cpuset.cpus=0"], ["/two/cpuset.cpus=0"], {"cpu": {"cpus": "0"}}),
    (
        {"pids": {"limit": 9}},
        {"pids": {"limit": 0}},
        ["/pids/pids.max=1"],
        ["/two/pids.max=1"],
        {"pids": {"limit": 0}},
    ),
    ({"pids": {"limit": 9}}, {"pids": {"limit": -1}}, ["/pids/pids.max=max"], ["/two/pids.max=max"],
     {"pids": {"limit": -1}}),
    (
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 1}, {"pageSize": "1GB", "limit": 1}]},
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]},
        ["/hugetlb/hugetlb.2MB.limit_in_bytes=0", "/hugetlb/hugetlb.2MB.rsvd.limit_in_bytes=0?"],
        ["/two/hugetlb.2MB.max=0", "/two/hugetlb.2MB.rsvd.max=0?"],
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}, {"pageSize": "1GB", "limit": 1}]},
    ),
    (
        {"blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}},
        {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 0}]}},
        ["/blkio/blkio.throttle.read_bps_device=8:1 0"],
        ["/two/io.max=8:1 rbps=max"],
        {"blockIO": {"weight": 10, "throttleReadBpsDevice": [
            {"major": 8, "minor": 0, "rate": 1}, {"major": 8, "minor": 1, "rate": 0}]}},
    ),
    ({"rdma": {"a": {"hcaHandles": 1}}}, {"rdma": {"b": {"hcaObjects": 0}}}, ["/rdma/rdma.max=b hca_object=0"],
     ["/two/rdma.max=b hca_object=0"], {"rdma": {"a": {"hcaHandles": 1}, "b": {"hcaObjects": 0}}}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case[1])[:60])
def test_what_is_written_and_what_is_in_force_afterwards(case: tuple[Any, Any, list[str], list[str], Any]) -> None:
    in_force, given, on_v1, on_v2, afterwards = case
    assert writes(given, in_force, V1) == on_v1
    assert writes(given, in_force, V2) == on_v2
    assert planned(given, in_force, V2).resources == afterwards


def test_what_only_an_update_can_ask_for() -> None:
    given = {"memory": {"disableOOMKiller": False, "kernelTCP": -1}}
    assert writes(given, {}, V1) == ["/memory/memory.kmem.tcp.limit_in_bytes=-1", "/memory/memory.oom_control=0"]


def test_unified_goes_to_its_files_and_stays_for_later() -> None:
    change = planned({"unified": {"memory.high": "5"}}, {"unified": {"memory.low": "1"}}, V2)
    assert [shown(op) for op in change.ops if op.name == "cgroup_write"] == ["/two/memory.high=5"]
    assert change.resources == {"unified": {"memory.low": "1", "memory.high": "5"}}


def test_devices_are_not_changed_and_others_are_warned_about() -> None:
    rule = {"allow": True, "type": "c", "major": 1, "minor": 1, "access": "r"}
    change = planned({"devices": [rule]}, {"devices": [rule]}, V1)
    assert (change.ops, change.warnings) == ([], [])
    change = planned({"devices": []}, {"devices": [rule]}, V1)
    assert change.ops == []
    assert [str(warning) for warning in change.warnings] == [
        "linux.resources.devices: not changed by an update: they stay as they are"
    ]
    assert change.resources == {"devices": [rule]}


def test_controllers_of_cgroup2_are_enabled_before_the_writes() -> None:
    ops = planned({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, {}, V2).ops
    assert (ops[0].name, ops[0].args[:3]) == ("cgroup_enable", ("/two", "/sys/fs/cgroup", ("hugetlb",)))


@pytest.mark.parametrize(
    ("given", "in_force", "checks"),
    [
        ({"limit": 5}, {}, []),
        ({"limit": 5, "checkBeforeUpdate": True}, {}, [5]),
        ({"limit": 5, "swap": 7}, {"checkBeforeUpdate": True}, [7, 5]),
        ({"limit": -1}, {"checkBeforeUpdate": True}, []),
        ({"limit": 5, "checkBeforeUpdate": False}, {"checkBeforeUpdate": True}, []),
        ({"reservation": 5}, {"limit": 9, "checkBeforeUpdate": True}, []),
    ],
)
def test_the_usage_is_looked_at_first_where_that_is_asked_for(given: Any, in_force: Any, checks: list[int]) -> None:
    ops = planned({"memory": given}, {"memory": in_force}, V2).ops
    first = ["cgroup_enable"] + ["cgroup_usage"] * len(checks) if ops else []
    assert [op.name for op in ops[: len(first)]] == first
    assert [op.args[1] for op in ops if op.name == "cgroup_usage"] == checks
    assert "cgroup_usage" not in [op.name for op in planned({"memory": given}, {"memory": in_force}, V1).ops]


def test_what_this_host_cannot_do_is_refused_all_at_once() -> None:
    with pytest.raises(SpecError) as error:
        planned({"memory": {"swappiness": 0, "disableOOMKiller": True}, "network": {"classID": 1}}, {}, V2)
    assert [violation.path for violation in error.value.violations] == [
        "linux.resources.memory.swappiness",
        "linux.resources.memory.disableOOMKiller",
        "linux.resources.network.classID",
    ]


@pytest.mark.parametrize(
    ("name", "value", "content", "expected"),
    [
        ("memory.max", "5", "max\n", "max"),
        ("cpu.max", "5", "max 100000\n", "max 100000"),
        ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n", "0"),
        ("cpuset.cpus", "0", "\n", "\n"),
        ("blkio.throttle.read_bps_device", "8:0 5", "", "8:0 0"),
        ("blkio.throttle.read_bps_device", "8:0 5", "8:16 1\n8:0 7\n", "8:0 7"),
        ("io.max", "8:0 rbps=5", "8:0 rbps=7 wbps=max riops=max wiops=max\n",
         "8:0 rbps=7 wbps=max riops=max wiops=max"),
        ("io.max", "8:0 rbps=5", "", "8:0 rbps=max wbps=max riops=max wiops=max"),
        ("io.weight", "50", "default 100\n8:0 7\n", "default 100"),
        ("io.weight", "8:0 50", "default 100\n8:0 7\n", "8:0 7"),
        ("io.weight", "8:16 50", "default 100\n8:0 7\n", "8:16 default"),
        ("rdma.max", "mlx hca_object=1", "mlx hca_handle=2 hca_object=max\n", "mlx hca_handle=2 hca_object=max"),
        ("net_prio.ifpriomap", "lo 5", "eth0 0\nlo 2\n", "lo 2"),
        ("cgroup.subtree_control", "+cpu -io +pids", "cpu io\n", "+cpu +io -pids"),
    ],
)  # fmt: skip
def test_what_puts_a_file_back(name: str, value: str, content: str, expected: str) -> None:
    assert before(name, value, content) == expected


@pytest.mark.parametrize(
    ("content", "writes"),
    [
        ("a *:* rwm\n", [("devices.allow", "a")]),
        ("", [("devices.deny", "a")]),
        ("c 1:3 rw\nb *:* m\n",
         [("devices.deny", "a"), ("devices.allow", "c 1:3 rw"), ("devices.allow", "b *:* m")]),
    ],
)  # fmt: skip
def test_what_puts_a_list_of_devices_back(content: str, writes: list[tuple[str, str]]) -> None:
    assert devices(content) == writes


def test_what_is_over_with_the_write_is_not_put_back() -> None:
    assert not is_kept("memory.pressure")
    assert is_kept("cgroup.pressure")
    assert is_kept("memory.max")


def test_systemd_is_told_what_the_kernel_has_taken_and_the_files_are_written_again() -> None:
    facts = hosts.with_systemd(hosts.root_v2())
    unit: Any = {"name": "box.scope", "socket": "/run/systemd/private", "description": "box"}
    in_force: Any = {"memory": {"limit": 1 << 26, "swap": 1 << 27}}
    given: Any = {"memory": {"limit": 1 << 25}, "pids": {"limit": 9}}
    change = update.plan(given, in_force, update.merge(in_force, given), V2, facts, unit)
    ops = change.ops + change.told
    files = ["memory.max", "memory.swap.max", "pids.max"]
    said = [str(op.args[0]).rpartition("/")[2] for op in ops if op.name != "cgroup_enable"]
    assert said[:3] == said[-3:] == files
    assert sorted(said[3:-4]) == ["MemoryMax", "MemorySwapMax", "TasksMax"]
    assert ops[-4].name == "systemd_set"
    assert change.told == ops[-7:]
    assert ops[-4].args == ("box.scope", "/run/systemd/private")
    nothing: Any = {"memory": {"limit": 0}}
    change = update.plan(nothing, in_force, update.merge(in_force, nothing), V2, facts, unit)
    assert (change.ops, change.told) == ([], [])
