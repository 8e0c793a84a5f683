"""Resources on this machine's hierarchies of cgroup v1: the same files hold the same values as after runc's create.

Each config is created, not started, by runc and by the runtime under test.  What differs stands beside the config, with
the reason.  What only cgroup2 has is in test_cgroup2.py, and the plan for it in tests/unit/plan.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import until
from tests.support.requirements import cgroup_mounts, demand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "cgroup1", "busybox")

#: Settings, as opposed to counters, by controller.  One that the kernel does not have is left out.
SETTINGS = {
    "memory": (
        "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness",
        "memory.oom_control", "memory.kmem.limit_in_bytes", "memory.kmem.tcp.limit_in_bytes", "memory.use_hierarchy",
    ),
    "cpu": (
        "cpu.shares", "cpu.idle", "cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.cfs_burst_us", "cpu.rt_period_us",
        "cpu.rt_runtime_us",
    ),
    "cpuset": ("cpuset.cpus", "cpuset.mems"),
    "pids": ("pids.max",),
    "blkio": (
        "blkio.weight", "blkio.weight_device", "blkio.bfq.weight", "blkio.bfq.weight_device",
        "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device", "blkio.throttle.read_iops_device",
        "blkio.throttle.write_iops_device",
    ),
    "devices": ("devices.list",),
}  # fmt: skip

MIB = 1 << 20


def block_device() -> tuple[int, int]:
    """(major, minor) of some block device; none of its data is touched."""
    demand("block-device")
    first = min(Path("/sys/block").iterdir())
    major, minor = (first / "dev").read_text().split(":")
    return int(major), int(minor)


def throttled(**rates: int) -> dict[str, Any]:
    """blockIO with one rate each for some block device."""
    major, minor = block_device()
    return {f"throttle{key}Device": [{"major": major, "minor": minor, "rate": rate}] for key, rate in rates.items()}


#: title -> the resources, and {file: (runc's value, ours, the reason)}
CONFIGS: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, tuple[str, str, str]]]] = {
    "nothing": (dict, {}),
    "empty objects": (lambda: {"memory": {}, "cpu": {}, "blockIO": {}, "network": {}, "hugepageLimits": []}, {}),
    "zeros": (
        lambda: {
            "memory": {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0, "kernelTCP": 0},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": ""},
            "blockIO": {"weight": 0},
            "network": {"classID": 0},
        },
        {},
    ),
    "no limits": (
        lambda: {
            "memory": {"limit": -1, "swap": -1, "reservation": -1, "kernel": -1, "kernelTCP": -1},
            "cpu": {"quota": -1},
            "pids": {"limit": -1},
        },
        {},
    ),
    "memory": (lambda: {"memory": {"limit": 64 * MIB, "reservation": 32 * MIB}}, {}),
    "memory without a limit": (lambda: {"memory": {"limit": -1}}, {}),
    "memory and swap": (lambda: {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}}, {}),
    "memory without swap": (lambda: {"memory": {"limit": 64 * MIB, "swap": 64 * MIB}}, {}),
    "memory and any swap": (lambda: {"memory": {"limit": 64 * MIB, "swap": -1}}, {}),
    "swappiness": (lambda: {"memory": {"swappiness": 0}}, {}),
    "no OOM killer": (lambda: {"memory": {"limit": 64 * MIB, "disableOOMKiller": True}}, {}),
    "what changes nothing": (
        lambda: {"memory": {"limit": 64 * MIB, "useHierarchy": True, "checkBeforeUpdate": True, "kernel": 0}},
        {},
    ),
    "buffers of TCP": (
        lambda: {"memory": {"kernelTCP": 32 * MIB}},
        {
            "memory.kmem.tcp.limit_in_bytes": (
                "9223372036854771712",
                str(32 * MIB),
                "runc ignores limits of kernel memory; the kernel still has this one",
            )
        },
    ),
    "cpu": (lambda: {"cpu": {"shares": 512, "quota": 50000, "period": 100000}}, {}),
    "a period alone": (lambda: {"cpu": {"period": 50000}}, {}),
    "a quota alone": (lambda: {"cpu": {"quota": 20000}}, {}),
    "realtime": (lambda: {"cpu": {"realtimePeriod": 500000, "realtimeRuntime": 1000}}, {}),
    "burst": (
        lambda: {"cpu": {"quota": 50000, "period": 100000, "burst": 10000}},
        {"cpu.cfs_burst_us": ("0", "10000", "runc has burst from 1.2 on")},
    ),
    "idle": (
        lambda: {"cpu": {"shares": 512, "idle": 1}},
        {
            "cpu.idle": ("0", "1", "runc has idle from 1.2 on"),
            "cpu.shares": ("512", "3", "the kernel's number for an idle cgroup"),
        },
    ),
    "a CPU": (lambda: {"cpu": {"cpus": "0", "mems": "0"}}, {}),
    "pids": (lambda: {"pids": {"limit": 20}}, {}),
    "one process": (lambda: {"pids": {"limit": 1}}, {}),
    "no process": (
        lambda: {"pids": {"limit": 0}},
        {"pids.max": ("max", "1", "0 is a limit since runtime-spec 1.3, and so in runc from 1.4 on")},
    ),
    "a weight": (lambda: {"blockIO": {"weight": 500}}, {}),
    "rates": (lambda: {"blockIO": throttled(ReadBps=MIB, WriteBps=2 * MIB, ReadIOPS=100, WriteIOPS=200)}, {}),
    "a device": (
        lambda: {
            "devices": [
                {"allow": False, "access": "rwm"},
                {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
            ]
        },
        {},
    ),
}


def directories(box: Box) -> dict[str, Path]:
    mounts = cgroup_mounts()
    return {name: Path(mounts[name], box.id) for name in SETTINGS if name in mounts}


def settings(box: Box) -> dict[str, str]:
    found = {}
    for controller, directory in directories(box).items():
        for name in SETTINGS[controller]:
            if (directory / name).exists():
                found[name] = (directory / name).read_text().strip()
    if "devices.list" in found:
        found["devices.list"] = "\n".join(sorted(found["devices.list"].splitlines()))
    return found


def created(box: Box, resources: dict[str, Any], **options: Any) -> Box:
    box.bundle.edit(linux__resources=resources, linux__cgroupsPath=f"/{box.id}").args("/bin/sleep", "1000")
    box.create(**options)
    return box


@pytest.mark.needs("runc")
@pytest.mark.parametrize("title", CONFIGS)
def test_the_files_hold_what_they_hold_under_runc(
    title: str, new_box: Callable[..., Box], runc: Path, runtime: Path
) -> None:
    make, known = CONFIGS[title]
    theirs, ours = (settings(created(new_box(runtime=which), make())) for which in (runc, runtime))
    differing = {name: (theirs.get(name), ours.get(name)) for name in ours if theirs.get(name) != ours.get(name)}
    assert differing == {name: (old, new) for name, (old, new, _) in known.items() if name in ours}


def test_a_limit_of_one_process_lets_that_one_run_and_none_besides(new_box: Callable[..., Box]) -> None:
    for limit in (0, 1):
        box = created(new_box(), {"pids": {"limit": limit}})
        box.bundle.args("sh", "-c", "echo alone; ls || true; echo not reached")
        box.delete("--force")
        result = box.run(status=None)
        assert result.stdout == "alone\n"
        assert "fork" in result.stderr


def test_an_empty_cgroup_that_is_there_already_is_raised_and_lowered(new_box: Callable[..., Box]) -> None:
    """Limits that bound one another are written in the order that the kernel takes, whatever they were before."""
    limits = {
        "little": ({"limit": 16 * MIB, "swap": 16 * MIB}, {"quota": 1000, "period": 1000000}),
        "much": ({"limit": 64 * MIB, "swap": 128 * MIB}, {"quota": 90000, "period": 100000}),
        "any": ({"limit": 64 * MIB, "swap": -1}, {"quota": -1, "period": 100000}),
        "everything": ({"limit": -1}, {"quota": 5000, "period": 5000}),
    }
    box = new_box()
    kept = [directory for name, directory in directories(box).items() if name in ("memory", "cpu")]
    for directory in kept:
        directory.mkdir()
    try:
        for before, after in itertools.permutations(limits, 2):
            for name in (before, after):
                memory, cpu = limits[name]
                created(box, {"memory": memory, "cpu": cpu})
                found = settings(box)
                assert found["cpu.cfs_quota_us"] == str(cpu["quota"])
                limit = memory["limit"]
                assert found["memory.limit_in_bytes"] == str(limit if limit > 0 else 9223372036854771712)
                box.delete("--force")
                for directory in kept:  # delete removes what the container was in
                    directory.mkdir(exist_ok=True)
    finally:
        for directory in kept:
            if directory.exists():
                directory.rmdir()


def test_cpusets_above_are_filled_and_that_of_the_container_is_its_own(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    top = Path(cgroup_mounts()["cpuset"], f"{box.id}-above")
    box.bundle.edit(linux__resources={"cpu": {"cpus": "0"}}, linux__cgroupsPath=f"/{top.name}/one/{box.id}")
    try:
        box.create()
        everything = Path(cgroup_mounts()["cpuset"], "cpuset.cpus").read_text()
        assert (top / "cpuset.cpus").read_text() == (top / "one/cpuset.cpus").read_text() == everything
        assert (top / f"one/{box.id}/cpuset.cpus").read_text() == "0\n"
        assert (top / f"one/{box.id}/cpuset.mems").read_text() == (top / "cpuset.mems").read_text()
    finally:
        box.delete("--force")
        for folder in above(top.name):
            folder.rmdir()


def above(name: str) -> Iterator[Path]:
    """What stays of a path of several parts when a container is deleted: cgroups above its own belong to nobody."""
    for mount in sorted(set(cgroup_mounts().values())):
        for path in (Path(mount, name, "one"), Path(mount, name)):
            if path.exists():
                yield path


HERE = "the kernel does not take this value here; an ancestor may allow less"
NOT_THERE = "there is no such device, or it is nothing that this can be set for"

#: (the resources, the field that is named, controller, file and value of the write, the kernel's answer, the hint)
REFUSED: list[tuple[dict[str, Any], str, str, str, str, str, str]] = [
    ({"cpu": {"quota": 1}}, "cpu.quota", "cpu", "cpu.cfs_quota_us", "1", "invalid argument", HERE),
    (
        {"cpu": {"quota": 1, "period": 100000}},
        "cpu.quota", "cpu", "cpu.cfs_quota_us", "1", "invalid argument", HERE,
    ),
    (
        {"cpu": {"quota": 50000, "period": 1}},
        "cpu.period", "cpu", "cpu.cfs_period_us", "1", "invalid argument", HERE,
    ),
    (
        {"cpu": {"realtimeRuntime": 2000000}},
        "cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", "2000000", "invalid argument", HERE,
    ),
    (
        {"cpu": {"cpus": "0-9999"}},
        "cpu.cpus", "cpuset", "cpuset.cpus", "0-9999", "numerical result out of range",
        "the value is out of the kernel's range",
    ),
    (
        {"blockIO": {"throttleReadBpsDevice": [{"major": 4095, "minor": 7, "rate": 1}]}},
        "blockIO.throttleReadBpsDevice[0]", "blkio", "blkio.throttle.read_bps_device", "4095:7 1", "no such device",
        NOT_THERE,
    ),
    (
        {"blockIO": {"leafWeight": 10}},
        "blockIO.leafWeight", "blkio", "blkio.leaf_weight", "10", "no such file or directory",
        "this kernel or hierarchy has no such file",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: str(row[0])[:50])
def test_what_the_kernel_refuses_is_named_with_field_file_and_value(
    row: tuple[dict[str, Any], str, str, str, str, str, str], box: Box
) -> None:
    resources, field, controller, file, value, answer, hint = row
    created(box, resources, status=1)
    path = directories(box)[controller] / file
    assert box.err.read_text() == f'pyrunc: linux.resources.{field}: write "{value}" to {path}: {answer} ({hint})\n'
    box.nothing_left()


@pytest.mark.needs("cgroup2-bare")
def test_what_this_host_cannot_limit_is_refused_before_anything_is_made(box: Box) -> None:
    wanted = {"memory": {"kernel": 1}, "network": {"classID": 1}, "unified": {"memory.high": "1"}}
    created(box, wanted, status=1)
    assert [line.split(": ")[1] for line in box.err.read_text().splitlines()] == [
        "linux.resources.memory.kernel",
        "linux.resources.network.classID",
        'linux.resources.unified["memory.high"]',
    ]
    box.nothing_left()


def test_on_the_hybrid_layout_cgroup2_limits_what_v1_cannot(with_hugetlb: Path, new_box: Callable[..., Box]) -> None:
    resources = {
        "hugepageLimits": [{"pageSize": "2MB", "limit": 8 * MIB}],
        "unified": {"hugetlb.1GB.max": "0", "cgroup.max.depth": "1"},
        "memory": {"limit": 64 * MIB},
    }
    box = created(new_box(), resources)
    mine = with_hugetlb / box.id
    assert (mine / "hugetlb.2MB.max").read_text() == (mine / "hugetlb.2MB.rsvd.max").read_text() == f"{8 * MIB}\n"
    assert (mine / "hugetlb.1GB.max").read_text() == "0\n"
    assert (mine / "cgroup.max.depth").read_text() == "1\n"
    assert settings(box)["memory.limit_in_bytes"] == str(64 * MIB)
    box.start()
    until(lambda: box.status() == "running", lambda: "it runs")
    box.delete("--force")
    box.nothing_left()


def test_a_size_of_pages_that_the_machine_does_not_have_is_named(with_hugetlb: Path, box: Box) -> None:
    created(box, {"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}, status=1)
    file = with_hugetlb / box.id / "hugetlb.3MB.max"
    assert f'linux.resources.hugepageLimits[0]: write "0" to {file}: no such file or directory' in box.err.read_text()
    box.nothing_left()
