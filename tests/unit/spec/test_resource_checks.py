"""Rules for linux.resources that need no host: a config that breaks one, and the text."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.spec.support import config, said

R = "linux.resources"

REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    *(
        (
            {f"{R}.memory": {key: -2}},
            [f"{R}.memory.{key}: -2 is neither a number of bytes nor -1, for no limit"],
        )
        for key in ("limit", "reservation", "swap", "kernel", "kernelTCP")
    ),
    (
        {f"{R}.memory": {"limit": 100, "swap": 50}},
        [f"{R}.memory.swap: is less than memory.limit (100): it is the sum of both"],
    ),
    (
        {f"{R}.memory": {"limit": -1, "swap": 50}},
        [f"{R}.memory.swap: is less than memory.limit (none): it is the sum of both"],
    ),
    ({f"{R}.memory": {"swappiness": 101}}, [f"{R}.memory.swappiness: 101 is not in the range 0 to 100"]),
    ({f"{R}.cpu": {"quota": 10, "burst": 11}}, [f"{R}.cpu.burst: 11 is more than the quota 10"]),
    ({f"{R}.cpu": {"idle": 2}}, [f"{R}.cpu.idle: 2 is neither 0 nor 1"]),
    ({f"{R}.blockIO": {"weight": 9}}, [f"{R}.blockIO.weight: 9 is not in the range 10 to 1000"]),
    ({f"{R}.blockIO": {"leafWeight": 1001}}, [f"{R}.blockIO.leafWeight: 1001 is not in the range 10 to 1000"]),
    (
        {f"{R}.blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}},
        [f"{R}.blockIO.weightDevice[0]: needs a weight or a leafWeight"],
    ),
    (
        {f"{R}.blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 5}]}},
        [f"{R}.blockIO.weightDevice[0].weight: 5 is not in the range 10 to 1000"],
    ),
    *(
        (
            {f"{R}.hugepageLimits": [{"pageSize": size, "limit": 0}]},
            [f'{R}.hugepageLimits[0].pageSize: "{size}" is not a size like 64KB, 2MB or 1GB'],
        )
        for size in ("", "MB", "2", "2M", "2mb", "02MB", "../2MB", "2/MB", "²MB", "2 MB")
    ),
    (
        {f"{R}.network": {"priorities": [{"name": "eth 0", "priority": 1}]}},
        [f'{R}.network.priorities[0].name: "eth 0" is not a name of a network device'],
    ),
    ({f"{R}.rdma": {"mlx5_1": {}}}, [f"{R}.rdma.mlx5_1: needs hcaHandles or hcaObjects"]),
    (
        {f"{R}.rdma": {"a b": {"hcaHandles": 0}}},
        [f'{R}.rdma["a b"]: "a b" is not a name of a device'],
    ),
    *(
        (
            {f"{R}.unified": {name: "1"}},
            [f'{R}.unified["{name}"]: "{name}" is not a name like memory.max'],
        )
        for name in ("", ".", "..", "memory.", ".max", "a/b.c", "../memory.max", "memory.max ", "a b.c")
    ),
    ({f"{R}.unified": {"memory": "1"}}, [f'{R}.unified.memory: "memory" is not a name like memory.max']),
    (
        {f"{R}.unified": {"cgroup.type": "threaded"}},
        [f'{R}.unified["cgroup.type"]: is no resource: it is about which processes are there and run'],
    ),
    (
        {f"{R}.unified": {"cgroup.procs": "1"}},
        [f'{R}.unified["cgroup.procs"]: is no resource: it is about which processes are there and run'],
    ),
]

TAKEN: list[dict[str, Any]] = [
    {f"{R}.memory": {"limit": -1, "reservation": -1, "swap": -1, "kernel": -1, "kernelTCP": -1}},
    {f"{R}.memory": {"limit": 10, "swap": 10, "swappiness": 0, "disableOOMKiller": True, "checkBeforeUpdate": True}},
    {f"{R}.cpu": {"quota": 10, "burst": 10, "idle": 1}},
    {f"{R}.cpu": {"quota": -1, "burst": 10, "idle": 0}},
    {f"{R}.blockIO": {"weight": 0, "weightDevice": []}},
    {f"{R}.blockIO": {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 10}]}},
    {f"{R}.hugepageLimits": [{"pageSize": size, "limit": 2**64 - 1} for size in ("64KB", "2MB", "1GB", "1024KB")]},
    {f"{R}.network": {"classID": 2**32 - 1, "priorities": [{"name": "eth0.1", "priority": 0}]}},
    {f"{R}.rdma": {"mlx5_1": {"hcaHandles": 0}, "mlx4-0": {"hcaObjects": 2**32 - 1}}},
    {f"{R}.unified": {"hugetlb.1GB.max": "0", "cgroup.max.depth": "3", "io.max": "8:0 rbps=1\n8:16 wbps=1", "x.y": ""}},
    {f"{R}.pids": {"limit": 0}},
]


@pytest.mark.parametrize(("changes", "lines"), REFUSED, ids=[lines[0][16:60] for _, lines in REFUSED])
def test_each_rule_has_its_text(changes: dict[str, Any], lines: list[str]) -> None:
    assert said(config(changes)) == lines


@pytest.mark.parametrize("changes", TAKEN, ids=[str(changes)[:60] for changes in TAKEN])
def test_what_a_rule_must_not_refuse_is_taken(changes: dict[str, Any]) -> None:
    assert said(config(changes)) == []


def test_a_resource_of_the_wrong_type_is_told_without_the_rules_that_read_it() -> None:
    assert said(config({f"{R}.cpu": {"quota": "1", "burst": 5}})) == [
        f'{R}.cpu.quota: expected integer, got "1"',
    ]
