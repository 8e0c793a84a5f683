"""Each field of linux.resources as writes to files of cgroup v1 and of cgroup2, and what is refused with which text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.plan import resources
from pyrunc.plan.resources import blockio, cpu

if TYPE_CHECKING:
    from pyrunc.plan.ops import Op

V1 = {
    name: f"/{name}" for name in ("cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "net_cls", "net_prio", "rdma")
}
V2 = {"": "/two"}
NEW = (6, 18)


def planned(wanted: dict[str, Any], cgroups: dict[str, str], kernel: tuple[int, int] = NEW) -> resources.Writes:
    return resources.plan(wanted, cgroups, kernel)  # type: ignore[arg-type]


def shown(op: Op) -> str:
    """``FILE=VALUE``, with ``?`` for one that may be absent, ``|`` between two names, ``+`` between a pair."""
    words = [str(arg) for arg in op.args]
    first = f"{words[0]}={words[1]}"
    if op.name == "cgroup_write_if_there":
        return first + "?"
    if len(words) == 2:
        return first
    return f"{first}{'|' if op.name == 'cgroup_write_either' else '+'}{words[2]}={words[3]}"


def lines(wanted: dict[str, Any], cgroups: dict[str, str], kernel: tuple[int, int] = NEW) -> list[str]:
    found = planned(wanted, cgroups, kernel)
    assert found.problems == []
    return [shown(op) for op in found.ops]


CASES: list[tuple[str, Any, list[str], list[str]]] = [
    ("memory", {"limit": 5}, ["/memory/memory.limit_in_bytes=5"], ["/two/memory.max=5"]),
    (
        "memory",
        {"limit": -1},
        ["/memory/memory.memsw.limit_in_bytes=-1?", "/memory/memory.limit_in_bytes=-1"],
        ["/two/memory.max=max", "/two/memory.swap.max=max?"],
    ),
    (
        "memory",
        {"limit": 5, "swap": 7},
        ["/memory/memory.limit_in_bytes=5+/memory/memory.memsw.limit_in_bytes=7"],
        ["/two/memory.max=5", "/two/memory.swap.max=2"],
    ),
    (
        "memory",
        {"limit": 5, "swap": 5},
        ["/memory/memory.limit_in_bytes=5+/memory/memory.memsw.limit_in_bytes=5"],
        ["/two/memory.max=5", "/two/memory.swap.max=0?"],
    ),
    (
        "memory",
        {"limit": 5, "swap": -1},
        ["/memory/memory.limit_in_bytes=5+/memory/memory.memsw.limit_in_bytes=-1"],
        ["/two/memory.max=5", "/two/memory.swap.max=max?"],
    ),
    ("memory", {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0, "kernelTCP": -1}, [], []),
    ("memory", {"reservation": -1}, ["/memory/memory.soft_limit_in_bytes=-1"], ["/two/memory.low=max"]),
    ("memory", {"disableOOMKiller": False, "useHierarchy": True, "checkBeforeUpdate": True}, [], []),
    ("cpu", {"shares": 1024}, ["/cpu/cpu.shares=1024"], ["/two/cpu.weight=100"]),
    ("cpu", {"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "cpus": ""}, [], []),
    ("cpu", {"quota": 5}, ["/cpu/cpu.cfs_quota_us=5"], ["/two/cpu.max=5"]),
    ("cpu", {"period": 9}, ["/cpu/cpu.cfs_period_us=9"], ["/two/cpu.max=max 9"]),
    (
        "cpu",
        {"quota": 5, "period": 9},
        ["/cpu/cpu.cfs_period_us=9+/cpu/cpu.cfs_quota_us=5"],
        ["/two/cpu.max=5 9"],
    ),
    ("cpu", {"quota": -1}, ["/cpu/cpu.cfs_quota_us=-1"], ["/two/cpu.max=max"]),
    ("cpu", {"burst": 0}, ["/cpu/cpu.cfs_burst_us=0"], ["/two/cpu.max.burst=0"]),
    (
        "cpu",
        {"idle": 1, "shares": 2},
        ["/cpu/cpu.shares=2", "/cpu/cpu.idle=1"],
        ["/two/cpu.weight=1", "/two/cpu.idle=1"],
    ),
    (
        "cpu",
        {"idle": 0, "shares": 2},
        ["/cpu/cpu.idle=0", "/cpu/cpu.shares=2"],
        ["/two/cpu.idle=0", "/two/cpu.weight=1"],
    ),
    (
        "cpu",
        {"cpus": "0-1", "mems": "0"},
        ["/cpuset/cpuset.cpus=0-1", "/cpuset/cpuset.mems=0"],
        ["/two/cpuset.cpus=0-1", "/two/cpuset.mems=0"],
    ),
    ("pids", {"limit": 5}, ["/pids/pids.max=5"], ["/two/pids.max=5"]),
    ("pids", {"limit": -1}, ["/pids/pids.max=max"], ["/two/pids.max=max"]),
    ("pids", {"limit": None}, [], []),
    (
        "blockIO",
        {"weight": 10, "weightDevice": [{"major": 8, "minor": 1, "weight": 1000}]},
        [
            "/blkio/blkio.weight=10|/blkio/blkio.bfq.weight=10",
            "/blkio/blkio.weight_device=8:1 1000|/blkio/blkio.bfq.weight_device=8:1 1000",
        ],
        [
            "/two/io.bfq.weight=10|/two/io.weight=1",
            "/two/io.bfq.weight=8:1 1000|/two/io.weight=8:1 10000",
        ],
    ),
    (
        "blockIO",
        {"throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 9}, {"major": 8, "minor": 2, "rate": 0}]},
        ["/blkio/blkio.throttle.read_bps_device=8:1 9", "/blkio/blkio.throttle.read_bps_device=8:2 0"],
        ["/two/io.max=8:1 rbps=9", "/two/io.max=8:2 rbps=max"],
    ),
    (
        "hugepageLimits",
        [{"pageSize": "2MB", "limit": 0}],
        ["/hugetlb/hugetlb.2MB.limit_in_bytes=0", "/hugetlb/hugetlb.2MB.rsvd.limit_in_bytes=0?"],
        ["/two/hugetlb.2MB.max=0", "/two/hugetlb.2MB.rsvd.max=0?"],
    ),
    ("rdma", {"a": {"hcaHandles": 0}}, ["/rdma/rdma.max=a hca_handle=0"], ["/two/rdma.max=a hca_handle=0"]),
]


@pytest.mark.parametrize(("name", "values", "v1", "v2"), CASES, ids=[f"{row[0]}-{row[1]}"[:70] for row in CASES])
def test_a_value_goes_to_the_files_of_the_hosts_version(name: str, values: Any, v1: list[str], v2: list[str]) -> None:
    given = {key: value for key, value in values.items() if value is not None} if isinstance(values, dict) else values
    assert lines({name: given}, V1) == v1
    assert lines({name: given}, V2) == v2


def test_fields_that_only_v1_has_are_written_there() -> None:
    memory = {"kernelTCP": 9, "swappiness": 0, "disableOOMKiller": True}
    assert lines({"memory": memory}, V1) == [
        "/memory/memory.kmem.tcp.limit_in_bytes=9",
        "/memory/memory.swappiness=0",
        "/memory/memory.oom_control=1",
    ]
    assert lines({"cpu": {"realtimeRuntime": 5, "realtimePeriod": 9}}, V1) == [
        "/cpu/cpu.rt_period_us=9+/cpu/cpu.rt_runtime_us=5"
    ]
    assert lines({"cpu": {"realtimePeriod": 9}}, V1) == ["/cpu/cpu.rt_period_us=9"]
    assert lines({"cpu": {"realtimeRuntime": 5}}, V1) == ["/cpu/cpu.rt_runtime_us=5"]
    leaf = {"leafWeight": 20, "weightDevice": [{"major": 8, "minor": 1, "leafWeight": 30}]}
    assert lines({"blockIO": leaf}, V1) == ["/blkio/blkio.leaf_weight=20", "/blkio/blkio.leaf_weight_device=8:1 30"]
    network = {"classID": 7, "priorities": [{"name": "eth0", "priority": 2}]}
    assert lines({"network": network}, V1) == ["/net_cls/net_cls.classid=7", "/net_prio/net_prio.ifpriomap=eth0 2"]


def test_what_older_kernels_have_is_written_there() -> None:
    assert lines({"memory": {"kernel": 9, "useHierarchy": False}}, V1, (5, 10)) == [
        "/memory/memory.use_hierarchy=0",
        "/memory/memory.kmem.limit_in_bytes=9",
    ]


NO_V1 = {"pids": "/pids"}
LEAF = [{"major": 8, "minor": 0, "leafWeight": 10}]

REFUSED: list[tuple[dict[str, str], dict[str, Any], str, str]] = [
    (
        V1,
        {"memory": {"kernel": 1}},
        "memory.kernel",
        "Linux 5.16 and later cannot limit kernel memory alone; it counts towards memory.limit",
    ),
    (
        V1,
        {"memory": {"useHierarchy": False}},
        "memory.useHierarchy",
        "cannot be false: since Linux 5.11 every cgroup is hierarchical",
    ),
    (
        V2,
        {"memory": {"swap": 7}},
        "memory.swap",
        "needs memory.limit: it is the sum of both, and cgroup2 wants the difference",
    ),
    (
        V2,
        {"memory": {"kernel": 1}},
        "memory.kernel",
        "cgroup2 cannot limit it alone; it counts towards memory.limit",
    ),
    (
        V2,
        {"memory": {"kernelTCP": 1}},
        "memory.kernelTCP",
        "cgroup2 cannot limit it alone; it counts towards memory.limit",
    ),
    (V2, {"memory": {"swappiness": 0}}, "memory.swappiness", "cgroup2 has no swappiness of a cgroup"),
    (
        V2,
        {"memory": {"disableOOMKiller": True}},
        "memory.disableOOMKiller",
        "cgroup2 cannot do without the OOM killer",
    ),
    (
        V2,
        {"memory": {"useHierarchy": False}},
        "memory.useHierarchy",
        "cannot be false: cgroup2 is hierarchical",
    ),
    (V2, {"cpu": {"realtimeRuntime": 1}}, "cpu.realtimeRuntime", "cgroup2 has no limits for realtime processes"),
    (V2, {"cpu": {"realtimePeriod": 1}}, "cpu.realtimePeriod", "cgroup2 has no limits for realtime processes"),
    (V2, {"blockIO": {"leafWeight": 10}}, "blockIO.leafWeight", "cgroup2 has no weight of leaves"),
    (
        V2,
        {"blockIO": {"weightDevice": LEAF}},
        "blockIO.weightDevice[0].leafWeight",
        "cgroup2 has no weight of leaves",
    ),
    (
        V2,
        {"network": {"classID": 1}},
        "network.classID",
        "needs the net_cls controller of cgroup v1, which this host has not mounted",
    ),
    (V1, {"unified": {"memory.max": "1"}}, "unified", "needs cgroup2, which is not mounted on this host"),
    (
        {**V1, **V2},
        {"unified": {"memory.max": "1"}},
        'unified["memory.max"]',
        "memory is a controller of cgroup v1 on this host",
    ),
    (
        NO_V1,
        {"memory": {"limit": 1, "reservation": 1}},
        "memory.limit",
        "this host has no memory cgroup controller",
    ),
    (NO_V1, {"network": {"classID": 1}}, "network.classID", "this host has no net_cls cgroup controller"),
]


@pytest.mark.parametrize(("cgroups", "wanted", "field", "reason"), REFUSED, ids=[row[2] for row in REFUSED])
def test_what_cannot_be_had_is_refused_with_its_reason(
    cgroups: dict[str, str], wanted: dict[str, Any], field: str, reason: str
) -> None:
    found = planned(wanted, cgroups)
    assert [str(violation) for violation in found.problems] == [f"linux.resources.{field}: {reason}"]
    assert found.ops == []


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_of_one_task_on_v1_waits_until_that_one_is_there(limit: int) -> None:
    """The process that clones it is in the cgroup as well."""
    found = planned({"pids": {"limit": limit}}, V1)
    assert found.ops == []
    assert [shown(op) for op in found.late] == ["/pids/pids.max=1"]
    assert lines({"pids": {"limit": limit}}, V2) == ["/two/pids.max=1"]


def test_on_the_hybrid_layout_a_controller_that_v1_lacks_is_one_of_cgroup2() -> None:
    hybrid = {"memory": "/memory", "": "/two"}
    found = planned({"memory": {"limit": 5}, "hugepageLimits": [{"pageSize": "2MB", "limit": 9}]}, hybrid)
    assert [shown(op) for op in found.ops][:2] == ["/memory/memory.limit_in_bytes=5", "/two/hugetlb.2MB.max=9"]
    assert found.needs == {"hugetlb": "linux.resources.hugepageLimits[0]"}


def test_each_controller_of_cgroup2_is_needed_by_the_first_field_that_has_it() -> None:
    wanted = {
        "memory": {"limit": 5, "reservation": 3},
        "cpu": {"shares": 5, "mems": "0"},
        "unified": {"memory.high": "4", "misc.max": "a 1", "cgroup.max.depth": "1", "io.pressure": "some 1 1"},
    }
    assert planned(wanted, V2).needs == {
        "memory": "linux.resources.memory.limit",
        "cpu": "linux.resources.cpu.shares",
        "cpuset": "linux.resources.cpu.mems",
        "misc": 'linux.resources.unified["misc.max"]',
    }
    assert planned(wanted | {"unified": {}}, V1).needs == {}


def test_files_of_cgroup2_are_written_last_and_line_by_line() -> None:
    wanted = {"unified": {"io.max": "8:0 rbps=1\n\n8:16 wbps=2\n", "cpuset.cpus": ""}, "memory": {"limit": 5}}
    assert lines(wanted, V2) == [
        "/two/memory.max=5",
        "/two/io.max=8:0 rbps=1",
        "/two/io.max=8:16 wbps=2",
        "/two/cpuset.cpus=\n",
    ]


@pytest.mark.parametrize(
    ("shares", "weight"),
    [
        (1, 1),
        (2, 1),
        (3, 2),
        (102, 17),
        (512, 59),
        (1000, 99),
        (1024, 100),
        (2048, 174),
        (262144, 10000),
        (2**64 - 1, 10000),
    ],
)
def test_shares_become_weights_so_that_least_default_and_most_stay_what_they_are(shares: int, weight: int) -> None:
    assert cpu.weight(shares) == weight


def test_more_shares_are_never_less_weight() -> None:
    weights = [cpu.weight(shares) for shares in range(2, 1 << 18, 37)]
    assert weights == sorted(weights)
    assert (weights[0], blockio.weight(10), blockio.weight(1000)) == (1, 1, 10000)
