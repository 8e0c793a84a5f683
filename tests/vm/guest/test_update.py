"""update on cgroup2: the files are as after runc's and crun's, all changes are made or none, systemd knows."""

from __future__ import annotations

import json
import os
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.test_resources_v1 import throttled
from tests.support import programs
from tests.support.command import run
from tests.vm.guest.units import FLAGS, TOP, cgroup_of, gone, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("guest", "root")

MIB = 1 << 20
BEFORE: dict[str, Any] = {
    "memory": {"limit": 64 * MIB, "swap": 128 * MIB, "reservation": 8 * MIB},
    "cpu": {"quota": 50000, "period": 100000},
    "pids": {"limit": 20},
}
NAMES = (
    "memory.max", "memory.swap.max", "memory.low", "memory.high", "cpu.max", "cpu.max.burst", "cpu.weight", "cpu.idle",
    "cpuset.cpus", "cpuset.mems", "pids.max", "io.weight", "io.bfq.weight", "io.max", "hugetlb.2MB.max",
)  # fmt: skip

FILE = {"memory": {"limit": 48 * MIB, "swap": 48 * MIB}, "pids": {"limit": 7}, "unified": {"memory.high": "40000000"}}

#: One after the other, for one container; few, as each takes seconds under emulation.
STEPS: tuple[tuple[str, ...], ...] = (
    ("--memory", "100663296", "--memory-swap", "268435456", "--cpu-quota", "20000", "--pids-limit", "10"),
    ("--memory-swap", "-1", "--memory-reservation", "16777216", "--cpu-period", "1000000", "--cpu-quota", "500000"),
    ("--cpuset-cpus", "0", "--pids-limit", "-1"),
    ("--cpu-share", "512", "--blkio-weight", "300", "--cpuset-cpus", "0", "--cpuset-mems", "0"),
    ("--resources", "-"),
)


def known(other: str, index: int, *, systemd: bool) -> dict[str, tuple[str, str]]:
    """What differs after a step, as file -> (theirs, ours)."""
    if index < 4:
        return {}
    found = {"cpu.weight": ("20", "59")}  # ours lies on the curve of runc 1.4
    if systemd:
        found["io.weight"] = ("default 100", "default 2300")  # of that systemd makes 300 for BFQ
    if systemd and (other, index) == ("runc", 5):
        found["io.bfq.weight"] = ("default 100", "default 300")  # runc does not tell systemd, which writes its default
    return found


@cache
def weight_of_idle() -> str:
    """What this kernel says is the cpu.weight of an idle cgroup: 0 up to some version, then 1."""
    folder = TOP / f"pyrunc-test-idle-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / "cpu.idle").write_text("1")
        return (folder / "cpu.weight").read_text().strip()
    finally:
        folder.rmdir()


def settings(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text().strip() for name in NAMES if (folder / name).exists()}


def folder_of(box: Box) -> Path:
    """Of the first process: crun with systemd makes a cgroup below the unit's."""
    return TOP / Path(f"/proc/{box.state()['pid']}/cgroup").read_text().strip().removeprefix("0::/")


def created(box: Box, flags: tuple[str, ...] = ()) -> Box:
    path = f"system.slice:box:{box.id}" if flags else f"/{box.id}"
    box.bundle.edit(linux__resources=BEFORE, linux__cgroupsPath=path).args("/bin/sleep", "1000")
    box.create(flags=flags)
    return box


def after_each(box: Box, flags: tuple[str, ...]) -> list[dict[str, str]]:
    created(box, flags)
    folder = folder_of(box)
    found = [settings(folder)]
    for step in STEPS:
        box.command("update", *step, "ID", flags=flags, stdin=json.dumps(FILE) if "-" in step else None)
        found.append(settings(folder))
    box.delete("--force", flags=flags)
    return found


@pytest.mark.parametrize("flags", [(), FLAGS], ids=["cgroupfs", "systemd"])
def test_the_files_hold_what_they_hold_after_the_others_updates(
    flags: tuple[str, ...], new_box: Callable[..., Box], runtime: Path
) -> None:
    ours = after_each(new_box(runtime=runtime), flags)
    for other in ("runc", "crun"):
        found = shutil.which(other, path=programs.PATH)
        assert found
        theirs = after_each(new_box(runtime=Path(found)), flags)
        for index, (their, our) in enumerate(zip(theirs, ours, strict=True)):
            differing = {name: (their.get(name), our[name]) for name in our if their.get(name) != our[name]}
            assert differing == known(other, index, systemd=flags == FLAGS), (other, ("create", *STEPS)[index])


def test_what_runc_has_from_1_2_on(new_box: Callable[..., Box]) -> None:
    box = created(new_box())
    folder = folder_of(box)
    before = settings(folder)
    box.command("update", "--cpu-burst", "1000", "--cpu-idle", "1", "ID")
    assert settings(folder) == {**before, "cpu.max.burst": "1000", "cpu.idle": "1", "cpu.weight": weight_of_idle()}
    box.command("update", "--cpu-burst", "0", "--cpu-idle", "0", "ID")
    assert settings(folder) == before


PROPERTIES = ("MemoryMax", "MemorySwapMax", "MemoryHigh", "CPUWeight", "CPUQuotaPerSecUSec", "AllowedCPUs", "TasksMax")


def update(box: Box, resources: dict[str, Any], **options: Any) -> str:
    return box.command("update", "-r", "-", "ID", stdin=json.dumps(resources), **options).stderr


def test_systemd_has_the_same_limits_and_keeps_them(new_box: Callable[..., Box]) -> None:
    box = created(new_box(), FLAGS)
    unit = f"box-{box.id}.scope"
    update(
        box,
        {
            **FILE,
            "cpu": {"shares": 1024, "cpus": "0", "mems": "0", "quota": 12345, "period": 50000, "burst": 1000},
            "blockIO": {"weight": 700, **throttled(ReadIOPS=100)},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 2 * MIB}],
        },
    )
    assert show(unit, *PROPERTIES) == {
        "MemoryMax": str(48 * MIB),
        "MemorySwapMax": "0",
        "MemoryHigh": "40000000",
        "CPUWeight": "100",
        "CPUQuotaPerSecUSec": "250ms",
        "AllowedCPUs": "0",
        "TasksMax": "7",
    }
    before = settings(cgroup_of(unit))
    assert (before["cpu.max"], before["io.bfq.weight"]) == ("12345 50000", "default 700")
    assert before["io.max"].endswith(" rbps=max wbps=max riops=100 wiops=max")
    run("systemctl", "daemon-reload")
    run("systemctl", "set-property", "--runtime", unit, "CPUAccounting=yes")
    # systemd has whole percentages of a CPU.
    assert settings(cgroup_of(unit)) == {**before, "cpu.max": "12500 50000"}
    box.delete("--force")
    gone(box, unit)


#: (resources, how the error begins): each begins with changes that the kernel takes.
FAILING: list[tuple[dict[str, Any], str]] = [
    (
        {"memory": {"limit": 40 * MIB}, "cpu": {"shares": 7, "idle": 1, "cpus": "0-999"}, "pids": {"limit": 3}},
        'linux.resources.cpu.cpus: write "0-999" to ',
    ),
    (
        {"memory": {"limit": 40 * MIB}, "pids": {"limit": 3}, "unified": {"cgroup.max.depth": "3", "memory.high": "x"}},
        'linux.resources.unified["memory.high"]: write "x" to ',
    ),
    (
        {"pids": {"limit": 3}, "blockIO": {"throttleReadBpsDevice": [{"major": 4095, "minor": 7, "rate": 1}]}},
        "linux.resources.blockIO.throttleReadBpsDevice[0]: write ",
    ),
    (
        {"pids": {"limit": 3}, "memory": {"limit": 4096, "swap": 4096, "checkBeforeUpdate": True}},
        "linux.resources.memory.swap: rejecting memory+swap limit 4096 <= usage ",
    ),
    ({"pids": {"limit": 3}, "memory": {"swappiness": 5}}, "linux.resources.memory.swappiness: "),
]


@pytest.mark.parametrize("flags", [(), FLAGS], ids=["cgroupfs", "systemd"])
def test_when_one_value_is_refused_all_files_and_properties_are_as_before(
    flags: tuple[str, ...], new_box: Callable[..., Box]
) -> None:
    box = created(new_box(), flags)
    unit = f"box-{box.id}.scope"
    folder = folder_of(box)
    before = settings(folder), show(unit, *PROPERTIES) if flags else {}
    state = (box.root / box.id / "state.json").read_bytes()
    for resources, begins in FAILING:
        said = update(box, resources, status=1)
        assert said.startswith(f"pyrunc: {begins}")
        assert "back" not in said
        assert (settings(folder), show(unit, *PROPERTIES) if flags else {}) == before, begins
        assert (box.root / box.id / "state.json").read_bytes() == state


def test_when_systemd_cannot_be_told_the_files_and_the_state_are_as_before(new_box: Callable[..., Box]) -> None:
    box = created(new_box(), FLAGS)
    file = box.root / box.id / "state.json"
    state = json.loads(file.read_text())
    socket, state["unit"]["socket"] = state["unit"]["socket"], "/no/such/socket"
    file.write_text(json.dumps(state))
    folder = folder_of(box)
    before = settings(folder)
    assert "/no/such/socket" in update(box, FILE, status=1)
    assert settings(folder) == before
    assert json.loads(file.read_text()) == state
    state["unit"]["socket"] = socket
    file.write_text(json.dumps(state))
    update(box, FILE)
    assert settings(folder) != before


def test_an_idle_cgroup_gets_its_shares_back(new_box: Callable[..., Box]) -> None:
    box = created(new_box())
    folder = folder_of(box)
    update(box, {"cpu": {"shares": 512}})
    update(box, {"cpu": {"idle": 1}})
    assert ((folder / "cpu.idle").read_text(), (folder / "cpu.weight").read_text()) == ("1\n", f"{weight_of_idle()}\n")
    update(box, {"cpu": {"idle": 0}})
    assert ((folder / "cpu.idle").read_text(), (folder / "cpu.weight").read_text()) == ("0\n", "59\n")


@pytest.mark.parametrize(("had", "refused"), [(1, {"idle": 0, "shares": 100}), (0, {"idle": 1})], ids=["idle", "not"])
def test_an_update_that_fails_leaves_an_idle_cgroup_idle_and_another_its_weight(
    had: int, refused: dict[str, int], new_box: Callable[..., Box]
) -> None:
    box = created(new_box())
    folder = folder_of(box)
    update(box, {"cpu": {"shares": 512, "idle": had}})
    before = settings(folder)
    said = update(box, {"cpu": refused, "unified": {"memory.high": "x"}}, status=1)
    assert said.startswith('pyrunc: linux.resources.unified["memory.high"]: write "x" to ')
    assert "back" not in said
    assert settings(folder) == before
    assert (before["cpu.idle"], before["cpu.weight"]) == (str(had), weight_of_idle() if had else "59")
