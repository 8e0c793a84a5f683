"""A creation that fails in cgroups that were there before leaves them as they were: limits, devices, owner, filters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.test_resources_v1 import MIB, directories, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box
    from tests.support.bundles import Bundle
    from tests.support.command import Result

pytestmark = pytest.mark.needs("root", "busybox", "static")

#: What the config asks for: something of each hierarchy.
WANTED: dict[str, Any] = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 8 * MIB, "swappiness": 3, "disableOOMKiller": True},
    "cpu": {"shares": 512, "quota": 50000, "period": 90000, "burst": 1000, "cpus": "0", "mems": "0", "idle": 1},
    "pids": {"limit": 1},
    "blockIO": {"weight": 500},
    "devices": [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
    ],
}

#: What the cgroups say before, by controller: (file, value) as they are written.
BEFORE: dict[str, list[tuple[str, str, str]]] = {
    "the kernel's own values": [],
    "other limits": [
        ("memory", "memory.limit_in_bytes", str(16 * MIB)), ("memory", "memory.memsw.limit_in_bytes", str(16 * MIB)),
        ("memory", "memory.swappiness", "77"), ("cpu", "cpu.shares", "99"), ("cpu", "cpu.cfs_period_us", "200000"),
        ("cpu", "cpu.cfs_quota_us", "1000"), ("cpuset", "cpuset.cpus", "0"), ("cpuset", "cpuset.mems", "0"),
        ("pids", "pids.max", "7"), ("blkio", "blkio.bfq.weight", "33"), ("devices", "devices.deny", "a"),
        ("devices", "devices.allow", "c 1:3 rw"), ("devices", "devices.allow", "b *:* m"),
    ],
    "an idle one": [("cpu", "cpu.idle", "1")],
}  # fmt: skip


@pytest.fixture
def existing(box: Box) -> Iterator[Callable[..., dict[str, str]]]:
    """Make the box's cgroups, with values in their files; returns what all of these say then."""
    made = directories(box)
    box.bundle.edit(linux__cgroupsPath=f"/{box.id}")

    def make(values: list[tuple[str, str, str]]) -> dict[str, str]:
        for directory in dict.fromkeys(made.values()):
            directory.mkdir()
        for controller, file, value in values:
            (made[controller] / file).write_text(value)
        return settings(box)

    yield make
    for directory in box.cgroups():
        directory.rmdir()


def missing_program(box: Box) -> str:
    box.bundle.args("/no/such/program")
    return "process.args"


def failing_hook(box: Box) -> str:
    """When the first process is there, and with it the limit that comes last."""
    box.bundle.edit(hooks={"createRuntime": [{"path": "/bin/false"}]})
    return "hooks.createRuntime[0]"


def refused_value(box: Box) -> str:
    rates = [{"major": 4095, "minor": 7, "rate": 1}]
    box.bundle.edit(linux__resources__blockIO={"weight": 500, "throttleReadBpsDevice": rates})
    return "linux.resources.blockIO.throttleReadBpsDevice[0]"


FAILURES = (missing_program, failing_hook, refused_value)


@pytest.mark.needs("cgroup1")
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
@pytest.mark.parametrize("title", BEFORE)
def test_all_files_of_v1_say_what_they_said(
    title: str, failure: Callable[[Box], str], box: Box, existing: Callable[..., dict[str, str]]
) -> None:
    before = existing(BEFORE[title])
    made = box.cgroups()
    box.bundle.edit(linux__resources=dict(WANTED))
    if "cpu.idle" in str(BEFORE[title]):  # such a one takes no shares before
        box.bundle.edit(linux__resources__cpu={"shares": 512, "idle": 0})
    where = failure(box)
    said = box.create(status=1).stderr
    assert where in said
    assert "put" not in said
    assert settings(box) == before
    assert set(box.cgroups()) == set(made)
    assert not box.exists()


@pytest.mark.needs("cgroup1")
def test_the_next_creation_there_has_the_limits_of_its_config(
    box: Box, existing: Callable[..., dict[str, str]], new_box: Callable[..., Box]
) -> None:
    existing(BEFORE["other limits"])
    box.bundle.edit(linux__resources=WANTED).args("/no/such/program")
    box.create(status=1)
    box.bundle.args("/bin/sleep", "1000")
    box.create()
    other = new_box("/bin/sleep", "1000")
    other.bundle.edit(linux__resources=WANTED, linux__cgroupsPath=f"/{other.id}")
    other.create()
    assert settings(box) == settings(other)
    box.delete("--force")
    box.nothing_left()


def test_a_cgroup2_of_the_hybrid_layout(with_hugetlb: Path, box: Box, existing: Callable[..., dict[str, str]]) -> None:
    existing([])
    mine = with_hugetlb / box.id
    mine.mkdir()
    (with_hugetlb / "cgroup.subtree_control").write_text("+hugetlb")
    (mine / "hugetlb.2MB.max").write_text(str(4 * MIB))
    (mine / "hugetlb.2MB.rsvd.max").write_text(str(6 * MIB))
    resources = {
        "hugepageLimits": [{"pageSize": "2MB", "limit": 8 * MIB}],
        "unified": {"cgroup.max.depth": "1", "cgroup.subtree_control": "+hugetlb"},
        "memory": {"limit": 64 * MIB},
    }
    files = ("hugetlb.2MB.max", "hugetlb.2MB.rsvd.max", "cgroup.max.depth", "cgroup.subtree_control")
    before = [(mine / name).read_text() for name in files]
    box.bundle.edit(linux__resources=resources)
    said = box.create(status=1).stderr  # a cgroup that gives controllers to others takes no process
    assert "takes no process" in said
    assert "put" not in said
    assert [(mine / name).read_text() for name in files] == before


#: Attaches a filter to the cgroup2 $1 that refuses block devices: somebody else's.
OTHERS_FILTER = """
import sys
from pyrunc.plan.device_rules import Rule, program
from pyrunc.plan.ops import Op
from pyrunc.runtime.conversation import perform
rules = [Rule(True, "a", None, None, "rwm"), Rule(False, "b", None, None, "rwm")]
perform([Op("device_filter", (sys.argv[1], program(rules)), "")], print)
"""


@pytest.mark.parametrize("failure", [missing_program, failing_hook], ids=lambda failure: failure.__name__)
def test_the_device_filter_goes_and_another_one_stays(
    failure: Callable[[Box], str],
    on_cgroup2: Callable[..., Result],
    box: Box,
) -> None:
    """/dev/kmsg and a block device are opened in the cgroup, by a process that is put there."""
    where = failure(box)
    mine = f"/sys/fs/cgroup/{box.id}"
    box.bundle.edit(linux__cgroupsPath=f"/{box.id}")
    node = box.bundle.path / "block"
    subprocess.run(["mknod", node, "b", "7", "0"], check=True)
    opened = (
        f"sh -c 'echo 0 >{mine}/cgroup.procs; true </dev/kmsg && echo kmsg; true <{node} && echo block' 2>/dev/null; "
    )
    creation = f"$P create --bundle {box.bundle.path} {box.id}; echo $?; "
    attach = f'{sys.executable} -c "$FILTER" {mine}; '
    result = on_cgroup2(
        f"FILTER='{OTHERS_FILTER.replace(chr(39), chr(34))}'; mkdir {mine} || exit 9; "
        f"{opened}echo 1; {creation}{opened}{attach}{opened}{creation}{opened}rmdir {mine}"
    )
    assert where in result.stderr
    assert result.stdout == "kmsg\nblock\n1\n1\nkmsg\nblock\nkmsg\n1\nkmsg\n"


def test_the_owner_stays_who_it_was(on_cgroup2: Callable[..., Result], box: Box) -> None:
    made: Bundle = box.bundle.namespace("cgroup").namespace("user").args("/no/such/program")
    made.edit(
        linux__uidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}],
        linux__gidMappings=[{"containerID": 0, "hostID": 100000, "size": 65536}],
        linux__cgroupsPath=f"/{box.id}",
    )
    made.mount("/sys/fs/cgroup", "cgroup", "cgroup")
    for path in (*made.path.parents, made.path):
        if not path.stat().st_mode & 0o001:
            path.chmod(0o755)
    mine = f"/sys/fs/cgroup/{box.id}"
    result = on_cgroup2(
        f"mkdir {mine} || exit 9; chown 1234 {mine} {mine}/cgroup.threads; $P create --bundle {made.path} {box.id}; "
        f"stat -c %u {mine} {mine}/cgroup.procs {mine}/cgroup.threads {mine}/cgroup.max.depth; rmdir {mine}"
    )
    assert "process.args" in result.stderr
    assert result.stdout.split() == ["1234", "0", "1234", "0"]
