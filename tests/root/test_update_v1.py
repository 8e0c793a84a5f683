"""update on cgroup v1: the files say what they say after runc's update, all changes are made or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pyrunc
from tests.root.test_resources_v1 import MIB, directories, settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box
    from tests.support.bundles import Bundle

pytestmark = pytest.mark.needs("root", "busybox", "static", "cgroup1")

BEFORE = {
    "memory": {"limit": 64 * MIB, "swap": 128 * MIB, "reservation": 8 * MIB},
    "cpu": {"quota": 50000, "period": 100000, "shares": 512},
    "pids": {"limit": 20},
}


def created(box: Box, resources: dict[str, Any] | None = None, **options: Any) -> Box:
    box.bundle.edit(linux__resources=resources or BEFORE, linux__cgroupsPath=f"/{box.id}").args("/bin/sleep", "1000")
    box.create(**options)
    return box


#: What runc of before 1.2 does otherwise: it forgets what it has set at creation, and so sets nothing beside.
OPTIONS: list[tuple[str, ...]] = [
    ("--memory", "32M"),
    ("--memory", "33554432", "--memory-swap", "48m"),
    ("--memory", "96m", "--memory-swap", "256M"),
    ("--memory", "256m", "--memory-swap", "512m"),
    ("--memory", "-1", "--memory-swap", "-1"),
    ("--memory", "-1"),
    ("--memory-swap", "96M"),
    ("--memory-swap=-1",),
    ("--memory-reservation", "16M"),
    ("--cpu-quota", "20000"),
    ("--cpu-quota", "-1"),
    ("--cpu-period", "50000"),
    ("--cpu-period", "1000000", "--cpu-quota", "500000"),
    ("--cpu-period", "2000", "--cpu-quota", "1000"),
    ("--cpu-share", "100"),
    ("--cpu-rt-period", "500000", "--cpu-rt-runtime", "1000"),
    ("--cpuset-cpus", "0"),
    ("--cpuset-mems", "0"),
    ("--pids-limit", "10"),
    ("--pids-limit", "-1"),
    (),
]


@pytest.mark.needs("runc")
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_the_files_hold_what_they_hold_after_runcs_update(
    options: tuple[str, ...], new_box: Callable[..., Box], runc: Path, runtime: Path
) -> None:
    seen = []
    for which in (runc, runtime):
        box = created(new_box(runtime=which))
        result = box.command("update", *options, "ID")
        assert (result.stdout, result.stderr) == ("", "")
        seen.append(settings(box))
    assert seen[0] == seen[1]


FILES: dict[str, dict[str, Any]] = {
    "some of each": {"memory": {"limit": 32 * MIB, "swap": 48 * MIB}, "cpu": {"shares": 100}, "pids": {"limit": 7}},
    "nothing": {},
    "what asks for nothing": {"memory": {"limit": 0}, "cpu": {"shares": 0, "cpus": ""}, "blockIO": {}},
    "all that the container has": BEFORE,
}


@pytest.mark.needs("runc")
@pytest.mark.parametrize("title", FILES)
@pytest.mark.parametrize("way", ["file", "standard input"])
def test_a_file_of_resources_has_runcs_effect(
    way: str, title: str, new_box: Callable[..., Box], runc: Path, runtime: Path, tmp_path: Path
) -> None:
    text = json.dumps(FILES[title])
    file = tmp_path / "resources.json"
    file.write_text(text)
    seen = []
    for which in (runc, runtime):
        box = created(new_box(runtime=which))
        if way == "file":
            box.command("update", f"--resources={file}", "ID")
        else:
            box.command("update", "-r", "-", "ID", stdin=text)
        seen.append(settings(box))
    assert seen[0] == seen[1]


def changes(box: Box, before: dict[str, str]) -> dict[str, str]:
    after = settings(box)
    return {name: after[name] for name in after if after[name] != before[name]}


def test_what_runc_cannot_do_on_v1(new_box: Callable[..., Box]) -> None:
    box = created(new_box())
    before = settings(box)
    wanted = {"memory": {"swappiness": 7, "disableOOMKiller": True}, "cpu": {"burst": 1000, "idle": 1}}
    box.command("update", "-r", "-", "ID", stdin=json.dumps(wanted))
    found = changes(box, before)
    assert found.pop("memory.oom_control").startswith("oom_kill_disable 1")
    assert found == {"memory.swappiness": "7", "cpu.cfs_burst_us": "1000", "cpu.idle": "1", "cpu.shares": "3"}
    back = {"memory": {"swappiness": 60, "disableOOMKiller": False}, "cpu": {"burst": 0, "idle": 0}}
    box.command("update", "-r", "-", "ID", stdin=json.dumps(back))
    found = changes(box, before)
    assert found.pop("memory.swappiness", "60") == "60"
    assert found == {}  # the shares are those of before, too


def test_limits_that_bound_one_another_change_in_any_direction(new_box: Callable[..., Box]) -> None:
    box = created(new_box(), {"cpu": {"quota": 50000, "period": 100000, "burst": 50000}})
    for quota, period, burst in ((10000, 50000, 5000), (900000, 1000000, 800000), (1000, 1000, 0), (2000, 9000, 2000)):
        wanted = {"cpu": {"quota": quota, "period": period, "burst": burst}}
        box.command("update", "-r", "-", "ID", stdin=json.dumps(wanted))
        found = settings(box)
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us")
        assert [found[name] for name in names] == [str(quota), str(period), str(burst)]


def test_what_was_updated_is_what_the_next_update_builds_on(new_box: Callable[..., Box]) -> None:
    box = created(new_box())
    box.command("update", "--memory-swap", "96m", "ID")
    text = box.command("update", "--memory", "128m", "ID", status=1).stderr
    assert text == "pyrunc: linux.resources.memory.swap: is less than memory.limit (134217728): it is the sum of both\n"
    box.command("update", "--memory", "96m", "ID")
    found = settings(box)
    assert found["memory.limit_in_bytes"] == found["memory.memsw.limit_in_bytes"] == str(96 * MIB)


@pytest.mark.parametrize("status", ["created", "running", "paused"])
def test_a_container_that_is_not_stopped_can_be_updated(status: str, new_box: Callable[..., Box]) -> None:
    box = created(new_box())
    if status != "created":
        box.start()
    if status == "paused":
        box.command("pause", "ID")
    box.command("update", "--pids-limit", "5", "ID")
    assert settings(box)["pids.max"] == "5"
    assert box.status() == status


def test_a_stopped_container_and_one_that_is_not_there_are_refused(new_box: Callable[..., Box]) -> None:
    box = created(new_box())
    box.kill("KILL")
    assert box.command("update", "--pids-limit", "5", "ID", status=1).stderr == "pyrunc: container not running\n"
    box.delete()
    text = f"pyrunc: {box.id}: container does not exist\n"
    assert box.command("update", "--pids-limit", "5", "ID", status=1).stderr == text


#: (resources, how the error begins): each begins with changes that the kernel takes.
FAILING: list[tuple[dict[str, Any], str]] = [
    (
        {"memory": {"limit": 40 * MIB}, "pids": {"limit": 3}, "cpu": {"cpus": "0-9999"}},
        'linux.resources.cpu.cpus: write "0-9999" to ',
    ),
    (
        {"memory": {"limit": 40 * MIB, "swap": 50 * MIB, "reservation": MIB, "swappiness": 3, "disableOOMKiller": True},
         "cpu": {"quota": 1, "period": 100000, "shares": 7, "burst": 0}},
        'linux.resources.cpu.quota: write "1" to ',
    ),
    (
        {"pids": {"limit": 3}, "cpu": {"cpus": "0", "shares": 9},
         "blockIO": {"throttleReadBpsDevice": [{"major": 4095, "minor": 7, "rate": 1}]}},
        'linux.resources.blockIO.throttleReadBpsDevice[0]: write "4095:7 1" to ',
    ),
    ({"cpu": {"idle": 1, "mems": "0-999"}}, 'linux.resources.cpu.mems: write "0-999" to '),
    ({"pids": {"limit": 3}, "memory": {"limit": 4096}}, 'linux.resources.memory.limit: write "4096" to '),
]  # fmt: skip


@pytest.mark.parametrize("row", FAILING, ids=lambda row: row[1][16:40])
def test_when_the_kernel_refuses_one_value_all_files_are_as_before(
    row: tuple[dict[str, Any], str], new_box: Callable[..., Box]
) -> None:
    resources, begins = row
    box = created(new_box())
    before = settings(box)
    state = (box.root / box.id / "state.json").read_bytes()
    result = box.command("update", "-r", "-", "ID", stdin=json.dumps(resources), status=1)
    assert result.stderr.startswith(f"pyrunc: {begins}")
    assert "put" not in result.stderr
    assert settings(box) == before
    assert (box.root / box.id / "state.json").read_bytes() == state


BAD: list[tuple[str, list[str]]] = [
    ("", ["standard input: is empty"]),
    ("[]", ["expected a JSON object"]),
    ('{"memory": {"limit": "5", "swap": 5}, "cpu": 7}',
     ['linux.resources.memory.limit: expected integer, got "5"', "linux.resources.cpu: expected object, got 7"]),
    ('{"memory": {"limit": 100, "swap": 50}, "cpu": {"idle": 3}, "unified": {"../x": "1"}}',
     ["linux.resources.memory.swap: is less than memory.limit (100): it is the sum of both",
      "linux.resources.cpu.idle: 3 is neither 0 nor 1",
      'linux.resources.unified["../x"]: "../x" is not a name like memory.max']),
    ('{"memory": {"limit": 9223372036854775808}}',
     ["linux.resources.memory.limit: 9223372036854775808 is not in the range"]),
    ('{"pids": {"limit": 3}, "network": {"classID": 1}, "memory": {"kernel": 5}}',
     ["linux.resources.memory.kernel: Linux 5.16 and later cannot limit kernel memory alone",
      "linux.resources.network.classID: needs the net_cls controller"]),
    ('{"cpu": {"cpus": "a\\u0000b"}}', ["linux.resources.cpu.cpus: contains a NUL character"]),
]  # fmt: skip


@pytest.mark.parametrize("row", BAD, ids=lambda row: row[0][:30])
def test_every_violation_is_listed_by_its_path_and_nothing_changes(
    row: tuple[str, list[str]], new_box: Callable[..., Box]
) -> None:
    text, expected = row
    box = created(new_box())
    before = settings(box)
    lines = box.command("update", "-r", "-", "ID", stdin=text, status=1).stderr.splitlines()
    assert len(lines) == len(expected)
    for line, words in zip(lines, expected, strict=True):
        assert words in line
    assert settings(box) == before


def test_a_plan_says_what_would_be_written_and_nothing_is(new_box: Callable[..., Box]) -> None:
    box = created(new_box())
    before = settings(box)
    file = directories(box)["pids"] / "pids.max"
    text = box.command("update", "--plan", "--pids-limit", "5", "ID").stdout
    assert text == f'   1 runtime   cgroup_write path="{file}" value="5"  # linux.resources.pids.limit\n'
    assert settings(box) == before


def test_devices_stay_as_they_are_with_a_warning(new_box: Callable[..., Box]) -> None:
    box = created(new_box())
    before = settings(box)
    wanted = {"devices": [{"allow": True, "access": "rwm"}], "pids": {"limit": 4}}
    text = box.command("update", "-r", "-", "ID", stdin=json.dumps(wanted)).stderr
    assert text == "pyrunc: warning: linux.resources.devices: not changed by an update: they stay as they are\n"
    assert changes(box, before) == {"pids.max": "4"}


def test_a_container_without_cgroups_has_none_to_update(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.create(flags=("--cgroup-manager", "disabled"))
    text = box.command("update", "--memory", "5m", "ID", status=1).stderr
    assert text.startswith(f"pyrunc: {box.id}: it has no cgroup of its own whose limits could be changed (")
    assert box.command("pause", "ID", status=1).stderr.startswith(f"pyrunc: {box.id}: it has no cgroup of its own to")
    box.command("update", "ID")


def test_from_python(root: Path, bundle: Callable[..., Bundle], container_id: str) -> None:
    made = bundle().args("/bin/sleep", "1000").edit(linux__resources={"pids": {"limit": 9}})
    made.edit(linux__cgroupsPath=f"/{container_id}")
    container = pyrunc.Container.create(container_id, made.path, root=str(root))
    try:
        container.update({"pids": {"limit": 4}})
        file = Path(json.loads((root / container_id / "state.json").read_text())["cgroups"]["pids"], "pids.max")
        assert file.read_text() == "4\n"
        with pytest.raises(pyrunc.SpecError, match=r"^linux.resources.pids.limit: expected integer, got \"x\"$"):
            container.update({"pids": {"limit": "x"}})
        with pytest.raises(pyrunc.UsageError, match=r"^resources: object has no JSON form$"):
            container.update({"pids": object()})
        assert file.read_text() == "4\n"
    finally:
        container.delete(force=True)
