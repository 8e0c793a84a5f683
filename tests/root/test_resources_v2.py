"""Resources on cgroup2 with all its controllers: the same files hold the same values as after runc's and crun's create.

Each config is created, not started, by each of the three.  What differs stands beside the config, with the reason.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import until
from tests.root.test_resources_v1 import MIB, throttled
from tests.support import programs
from tests.support.requirements import cgroup_mounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "cgroup2", "busybox")

#: Settings, as opposed to counters.  One that the kernel does not have is left out.
SETTINGS = (
    "cgroup.type", "cgroup.freeze", "cgroup.max.depth", "cgroup.max.descendants", "cgroup.subtree_control",
    "memory.max", "memory.high", "memory.low", "memory.min", "memory.swap.max", "memory.swap.high",
    "memory.oom.group", "cpu.weight", "cpu.max", "cpu.max.burst", "cpu.idle", "cpuset.cpus", "cpuset.mems",
    "cpuset.cpus.partition", "pids.max", "io.max", "io.weight", "io.bfq.weight", "hugetlb.2MB.max",
    "hugetlb.2MB.rsvd.max", "rdma.max", "misc.max",
)  # fmt: skip

Known = dict[str, dict[str, tuple[str, str, str]]]


def both(**files: tuple[str, str, str]) -> Known:
    """The same difference from runc and from crun; '.' of a file's name is '_' here."""
    return {runtime: {name.replace("_", "."): row for name, row in files.items()} for runtime in ("runc", "crun")}


CURVE = "the weight lies on the curve of runc 1.4"
#: title -> the resources, and {runtime: {file: (its value, ours, the reason)}}.  Few, of many fields each: where this
#: runs, a processor may be emulated.
CONFIGS: dict[str, tuple[Callable[[], dict[str, Any]], Known]] = {
    "nothing": (lambda: {"memory": {}, "cpu": {}, "blockIO": {}, "hugepageLimits": []}, {}),
    "zeros": (
        lambda: {
            "memory": {"limit": 0, "swap": 0, "reservation": 0},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": ""},
            "blockIO": {"weight": 0},
        },
        {"crun": {"create": ("refused", "done", "crun takes the 0 for a limit of memory")}},
    ),
    "no limits": (
        lambda: {
            "memory": {"limit": -1, "swap": -1, "reservation": -1},
            "cpu": {"quota": -1},
            "pids": {"limit": -1},
        },
        {},
    ),
    "everything": (
        lambda: {
            "memory": {"limit": 64 * MIB, "reservation": 32 * MIB, "swap": 96 * MIB},
            "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
            "pids": {"limit": 20},
            "blockIO": {"weight": 500} | throttled(ReadBps=MIB, WriteBps=2 * MIB, ReadIOPS=100, WriteIOPS=200),
            "hugepageLimits": [{"pageSize": "2MB", "limit": 8 * MIB}],
        },
        both(
            cpu_weight=("20", "59", CURVE),
            hugetlb_2MB_rsvd_max=("max", str(8 * MIB), "runc limits what is reserved, too, from 1.2 on"),
        ),
    ),
    "the defaults, and no swap": (
        lambda: {
            "memory": {"limit": 64 * MIB, "swap": 64 * MIB},
            "cpu": {"shares": 1024, "period": 50000},
            "blockIO": throttled(WriteBps=2 * MIB),
        },
        both(cpu_weight=("39", "100", CURVE)),
    ),
    "the least": (
        lambda: {"memory": {"limit": -1}, "cpu": {"shares": 2, "quota": 20000}, "pids": {"limit": 0}},
        both(pids_max=("max", "1", "0 is a limit since runtime-spec 1.3")),
    ),
    "the most": (
        lambda: {
            "memory": {"limit": 64 * MIB, "swap": -1},
            "cpu": {"shares": 262144, "quota": 50000, "period": 100000, "burst": 10000},
        },
        both(cpu_max_burst=("0", "10000", "they have burst from later versions on")),
    ),
    "idle": (
        lambda: {"cpu": {"idle": 1}},
        {
            "runc": {
                "cpu.idle": ("0", "1", "runc has idle from 1.2 on"),
                "cpu.weight": ("100", "0", "the kernel's number for an idle cgroup"),
            }
        },
    ),
    "unified": (
        lambda: {
            "pids": {"limit": 5},
            "unified": {
                "memory.high": str(48 * MIB), "memory.min": str(MIB), "pids.max": "77", "cpu.weight": "321",
                "cpu.max": "20000 40000", "cgroup.max.descendants": "3",
            },
        },
        {},
    ),
}  # fmt: skip


def directory(box: Box) -> Path:
    return Path(cgroup_mounts()[""], box.id)


def settings(box: Box) -> dict[str, str]:
    files = (directory(box) / name for name in SETTINGS)
    return {file.name: file.read_text().strip() for file in files if file.exists()}


def created(box: Box, resources: dict[str, Any], **options: Any) -> Box:
    box.bundle.edit(linux__resources=resources, linux__cgroupsPath=f"/{box.id}").args("/bin/sleep", "1000")
    box.create(**options)
    return box


@pytest.mark.needs("runc", "crun")
@pytest.mark.parametrize("title", CONFIGS)
def test_the_files_hold_what_they_hold_under_runc_and_crun(
    title: str, new_box: Callable[..., Box], runtime: Path
) -> None:
    make, known = CONFIGS[title]
    ours = seen(new_box(), make())
    differing: dict[str, dict[str, tuple[str | None, str]]] = {}
    for name in ("runc", "crun"):
        theirs = seen(new_box(runtime=Path(shutil.which(name, path=programs.PATH) or name)), make())
        names = {"create"} if theirs["create"] == "refused" else ours.keys()
        found = {file: (theirs.get(file), ours[file]) for file in names if theirs.get(file) != ours[file]}
        if found:
            differing[name] = found
    assert differing == {
        name: {file: (old, new) for file, (old, new, _) in files.items()} for name, files in known.items()
    }


def seen(box: Box, resources: dict[str, Any]) -> dict[str, str]:
    """What create comes to, and the settings after it; nothing but that where it fails.

    runc 1.1 and crun leave the cgroup where its processes take their time to end; of pyrunc nothing may be left.
    """
    created(box, resources, status=None)
    found = {"create": "done", **settings(box)} if box.exists() else {"create": "refused"}
    if box.exists():
        box.delete("--force")
    if box.runtime.name in ("runc", "crun") and directory(box).exists():
        until(lambda: box.processes() == [], lambda: f"no process in {directory(box)}")
        directory(box).rmdir()
    assert not directory(box).exists()
    return found


#: (file, before, wanted)
CHANGED = (
    ("memory.max", "16777216", "max"),
    ("memory.high", "9437184", "8388608"),
    ("memory.swap.max", "0", "max"),
    ("cpu.max", "1000 200000", "max 50000"),
    ("cpu.weight", "33", "44"),
    ("cpu.idle", "0", "1"),
    ("cpuset.cpus", "0", ""),
    ("pids.max", "7", "8"),
    ("io.weight", "default 33", "default 44"),
    ("cgroup.max.depth", "3", "max"),
    ("cgroup.subtree_control", "", "+memory"),
)


@pytest.mark.parametrize("idle", ["0", "1"])
def test_all_files_of_cgroup2_say_what_they_said_after_a_creation_that_fails(idle: str, box: Box) -> None:
    """The cgroup was there before; the last file makes it one that takes no process."""
    mine = directory(box)
    mine.mkdir()
    try:
        rows = [row for row in CHANGED if (mine / row[0]).exists()]
        for name, value, _ in rows:
            if value and (idle == "0" or name != "cpu.weight"):
                (mine / name).write_text(idle if name == "cpu.idle" else value)
        before = {name: (mine / name).read_text() for name, *_ in rows}
        wanted = {name: value for name, _, value in rows if idle == "0" or name != "cpu.weight"}
        box.bundle.edit(linux__cgroupsPath=f"/{box.id}", linux__resources={"unified": wanted})
        if idle == "1":
            box.bundle.edit(linux__resources__cpu={"shares": 512, "idle": 0})
        said = box.create(status=1).stderr
        assert "takes no process" in said
        assert "put" not in said
        assert {name: (mine / name).read_text() for name in before} == before
    finally:
        mine.rmdir()
