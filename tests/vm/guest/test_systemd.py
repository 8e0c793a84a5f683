"""systemd as the cgroup manager: a container's life in a transient scope, on the system's own D-Bus."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import until
from tests.root.test_resources_v1 import throttled
from tests.support.command import run
from tests.vm.guest.units import FLAGS, cgroup_of, gone, known, show, unit_of, until_forgotten

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("guest", "root")

FOREVER = ("/bin/sleep", "100000")


def limits() -> dict[str, Any]:
    return {
        "memory": {"limit": 67108864, "reservation": 33554432, "swap": 134217728},
        "cpu": {"shares": 512, "quota": 12345, "period": 50000, "cpus": "0", "mems": "0", "burst": 1000},
        "pids": {"limit": 20},
        "blockIO": {"weight": 500, **throttled(WriteBps=1048576)},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
        "unified": {"memory.high": "48M"},
    }


def files(folder: Path) -> dict[str, str]:
    names = ("memory.max", "memory.low", "memory.high", "memory.swap.max", "cpu.max", "cpu.max.burst", "cpu.weight",
             "cpuset.cpus", "cpuset.mems", "pids.max", "io.bfq.weight", "io.weight", "io.max",
             "hugetlb.2MB.max")  # fmt: skip
    return {name: (folder / name).read_text().strip() for name in names if (folder / name).exists()}


LIMITED = {
    "memory.max": "67108864",
    "memory.low": "33554432",
    "memory.high": "50331648",
    "memory.swap.max": "67108864",
    "cpu.max": "12345 50000",
    "cpu.max.burst": "1000",
    "cpu.weight": "59",
    "cpuset.cpus": "0",
    "cpuset.mems": "0",
    "pids.max": "20",
    "io.bfq.weight": "default 500",
    "io.weight": "default 4500",  # of that systemd makes 500 for BFQ
    "hugetlb.2MB.max": "4194304",
}


def test_the_unit_and_its_cgroup_have_what_the_config_says(new_box: Callable[..., Box]) -> None:
    box = new_box(*FOREVER)
    name = f"box-{box.id}.scope"
    box.bundle.edit(
        linux__cgroupsPath=f"machine-tests.slice:box:{box.id}",
        linux__resources=limits(),
        annotations={"org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.CollectMode": "'inactive'"},
    )
    box.create(flags=FLAGS)
    expected = {
        "Description": f"pyrunc container {box.id} ({box.root / box.id})",
        "Slice": "machine-tests.slice",
        "ControlGroup": f"/machine.slice/machine-tests.slice/{name}",
        "Delegate": "yes",
        "DefaultDependencies": "no",
        "TimeoutStopUSec": "7s",
        "MemoryMax": "67108864",
        "MemoryLow": "33554432",
        "MemoryHigh": "50331648",
        "MemorySwapMax": "67108864",
        "CPUWeight": "59",
        "CPUQuotaPerSecUSec": "250ms",
        "CPUQuotaPeriodUSec": "50ms",
        "AllowedCPUs": "0",
        "AllowedMemoryNodes": "0",
        "TasksMax": "20",
        "DevicePolicy": "auto",
        "MemoryAccounting": "yes",
        "TasksAccounting": "yes",
        "IOAccounting": "yes",
        "CPUAccounting": "yes",
    }
    assert show(name, *expected) == expected
    found = files(cgroup_of(name))
    assert found.pop("io.max").endswith(" rbps=max wbps=1048576 riops=max wiops=max")
    assert found == LIMITED
    assert (cgroup_of(name) / "cgroup.procs").read_text().split() == [str(box.state()["pid"])]
    box.start()
    assert box.exec("ID", "/bin/cat", "/proc/self/cgroup").stdout == f"0::/machine.slice/machine-tests.slice/{name}\n"
    box.kill("KILL")
    box.delete()
    gone(box, name)


def test_systemd_keeps_the_limits_and_the_device_filter_when_it_looks_again(new_box: Callable[..., Box]) -> None:
    box = new_box(*FOREVER)
    null = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}
    kmsg = {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}
    box.bundle.edit(
        linux__devices=[kmsg], linux__resources={**limits(), "devices": [{"allow": False, "access": "rwm"}, null]}
    )
    box.create(flags=FLAGS)
    box.start()
    unit = unit_of(box)
    before = files(cgroup_of(unit))
    run("systemctl", "daemon-reload")
    run("systemctl", "set-property", "--runtime", unit, "CPUAccounting=yes")
    assert before["cpu.max"] == "12345 50000"
    assert files(cgroup_of(unit)) == {**before, "cpu.max": "12500 50000"}  # systemd has whole percentages of a CPU
    assert "not permitted" in box.exec("ID", "/bin/cat", "/dev/kmsg", status=1).stderr
    box.exec("ID", "/bin/cat", "/dev/null")
    box.delete("--force")
    gone(box)


@pytest.mark.parametrize("flags", [FLAGS, ()], ids=["systemd", "cgroupfs"])
@pytest.mark.parametrize("swap", [{}, {"swap": 1 << 20}], ids=["swap", "no swap"])
def test_a_mebibyte_of_memory_is_enough_to_start(
    new_box: Callable[..., Box], flags: tuple[str, ...], swap: dict[str, int]
) -> None:
    box = new_box("/bin/cat", "/proc/self/cgroup")
    path = f"system.slice:box:{box.id}" if flags else f"/{box.id}"
    box.bundle.edit(linux__resources={"memory": {"limit": 1 << 20, **swap}}, linux__cgroupsPath=path)
    place = f"/system.slice/box-{box.id}.scope" if flags else f"/{box.id}"
    assert box.run(flags=flags).stdout == f"0::{place}\n"
    gone(box, f"box-{box.id}.scope")


def test_one_task_little_memory_and_no_time_are_enough_to_start(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/probe")
    idle = {"shares": 512, "idle": 1}  # by then systemd has made it idle, and the kernel takes no weight
    box.bundle.edit(linux__resources={"pids": {"limit": 1}, "memory": {"limit": 1 << 20}, "cpu": idle})
    box.bundle.args("/bin/cat", "/proc/self/cgroup")
    assert box.run(flags=FLAGS).stdout == f"0::/system.slice/{unit_of(box)}\n"
    gone(box)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            {"annotations": {"org.systemd.property.NoSuchThing": "5"}},
            'annotations["org.systemd.property.NoSuchThing"]: systemd refuses it for',
        ),
        (
            {"annotations": {"org.systemd.property.MemoryHigh": "'much'"}},
            'annotations["org.systemd.property.MemoryHigh"]: systemd refuses it for',
        ),
        ({"linux__resources": {"cpu": {"cpus": "77"}}}, "linux.resources.cpu.cpus: "),
        ({"linux__resources": {"unified": {"memory.max": "x"}}}, 'linux.resources.unified["memory.max"]: write "x"'),
        ({"mounts": [{"destination": "/x", "source": "/no/such", "options": ["bind"]}]}, "mounts[0].source: /no/such"),
        ({"process__args": ["/no/such"]}, 'exec: "/no/such": stat /no/such: no such file or directory'),
        ({"linux__cgroupsPath": "/a"}, 'linux.cgroupsPath: "/a" is not of the form slice:prefix:name'),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_container_that_cannot_be_leaves_no_unit(box: Box, edit: dict[str, Any], message: str) -> None:
    box.bundle.edit(**edit)
    assert message in box.create_refused(flags=FLAGS)
    until_forgotten(unit_of(box))


def test_a_unit_of_somebody_else_is_not_touched(new_box: Callable[..., Box]) -> None:
    first, second = new_box(*FOREVER), new_box(*FOREVER)
    for box in (first, second):
        box.bundle.edit(linux__cgroupsPath=f"system.slice:shared:{first.id}")
    unit = f"shared-{first.id}.scope"
    first.create(flags=FLAGS)
    said = second.create_refused(flags=FLAGS)
    assert "linux.cgroupsPath: container's cgroup is not empty: 1 process(es) found in" in said
    assert first.status() == "created"
    first.kill("KILL")
    first.until_stopped()
    until_forgotten(unit)
    # By now the name is another's, and the container has no right to it any more.
    with subprocess.Popen(["systemd-run", "--scope", f"--unit={unit}", "/bin/sleep", "1000"]) as other:
        until(lambda: show(unit, "ActiveState")["ActiveState"] == "active", lambda: f"{unit} is active")
        try:
            first.delete()
            assert other.poll() is None
            assert known(unit)
        finally:
            other.kill()
    until_forgotten(unit)
    assert not first.exists()


def test_a_failed_leftover_of_that_name_is_no_obstacle(box: Box) -> None:
    unit = unit_of(box)
    run("systemd-run", "--scope", f"--unit={unit}", "-p", "RuntimeMaxSec=1s", "/bin/sleep", "1000", status=None)
    until(lambda: show(unit, "ActiveState")["ActiveState"] == "failed", lambda: f"{unit} has failed")
    box.bundle.args("/bin/true")
    box.run(flags=FLAGS)
    gone(box)


def test_a_container_whose_scope_was_stopped_by_hand_can_be_deleted(new_box: Callable[..., Box]) -> None:
    box = new_box(*FOREVER)
    # The first process of a pid namespace does not see SIGTERM.
    box.bundle.edit(annotations={"org.systemd.property.TimeoutStopSec": "1"})
    box.create(flags=FLAGS)
    box.start()
    run("systemctl", "stop", unit_of(box))
    box.until_stopped()
    box.delete()
    gone(box)


@pytest.mark.parametrize("when", ["before the clone", "after the clone"])
def test_what_a_killed_runtime_leaves_delete_removes(box: Box, tmp_path: Path, when: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    if when == "before the clone":
        box.bundle.namespace("network", str(fifo))  # which pyrunc-init opens, and waits
    else:
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"read x <{fifo}"]}
        box.bundle.edit(hooks={"createRuntime": [hook]})
    command = [str(box.runtime), "--root", str(box.root), *FLAGS, "create", "--bundle", str(box.bundle.path), box.id]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as runtime:
        until(lambda: show(unit_of(box), "ActiveState")["ActiveState"] == "active", lambda: "the unit is active")
        state = json.loads((box.root / box.id / "state.json").read_text())
        assert state["unit"]["name"] == unit_of(box)
        runtime.send_signal(signal.SIGKILL)
    box.delete("--force")
    gone(box)


def test_without_a_bus_root_speaks_to_systemd_itself(new_box: Callable[..., Box]) -> None:
    box = new_box(*FOREVER)
    env = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/no/such/socket"}
    box.create(flags=FLAGS, env=env)
    assert json.loads((box.root / box.id / "state.json").read_text())["unit"]["socket"] == "/run/systemd/private"
    assert known(unit_of(box))
    box.delete("--force", env={})
    gone(box)


def test_without_any_systemd_the_sockets_are_named(box: Box) -> None:
    flags = ("--cgroup-manager=systemd", "--rootless=true")
    said = box.create_refused(flags=flags, env={"XDG_RUNTIME_DIR": "/no/such"})
    assert "/no/such/bus: cannot connect: no such file or directory" in said
    assert "/no/such/systemd/private: cannot connect" in said
    assert "--cgroup-manager cgroupfs" in said


def test_pause_update_and_kill_need_no_flag(new_box: Callable[..., Box]) -> None:
    box = new_box(*FOREVER)
    box.create(flags=FLAGS)
    box.start()
    unit = unit_of(box)
    box.command("pause", "ID")
    assert box.status() == "paused"
    box.command("update", "--memory", "33554432", "--pids-limit", "33", "ID")
    assert show(unit, "MemoryMax", "TasksMax") == {"MemoryMax": "33554432", "TasksMax": "33"}
    assert (cgroup_of(unit) / "memory.max").read_text() == "33554432\n"
    box.command("resume", "ID")
    box.kill("--all", "KILL")
    box.delete()
    gone(box)


@pytest.mark.parametrize("flags", [FLAGS, ()], ids=["systemd", "cgroupfs"])
def test_a_program_enters_a_cgroup_and_its_namespace(new_box: Callable[..., Box], flags: tuple[str, ...]) -> None:
    """systemd mounts cgroup2 with nsdelegate: who is in that namespace already is not let in any more."""
    box = new_box(*FOREVER)
    box.bundle.namespace("cgroup")
    box.create(flags=flags)
    box.start()
    assert box.exec("ID", "/bin/cat", "/proc/self/cgroup").stdout == "0::/\n"
    box.delete("--force")
    gone(box)
