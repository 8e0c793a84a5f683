"""systemd as the cgroup manager on cgroup v1: it makes the cgroups of some hierarchies, pyrunc those of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import run
from tests.vm.guest.units import FLAGS, TOP, show, unit_of, until_forgotten

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("guest", "root")

FOREVER = ("/bin/sleep", "100000")
LIMITS: dict[str, Any] = {
    "memory": {"limit": 67108864, "swappiness": 10},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
    "pids": {"limit": 20},
}
NULL = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}


def test_a_unit_has_its_limits_in_the_hierarchies_of_v1(new_box: Callable[..., Box]) -> None:
    box = new_box(*FOREVER)
    box.bundle.edit(linux__resources={**LIMITS, "devices": [{"allow": False, "access": "rwm"}, NULL]})
    box.create(flags=FLAGS)
    box.start()
    unit = unit_of(box)
    expected = {"MemoryLimit": "67108864", "CPUShares": "512", "TasksMax": "20", "DevicePolicy": "strict"}
    assert show(unit, *expected) == expected
    values = {
        "memory/{}/memory.limit_in_bytes": "67108864",
        "memory/{}/memory.swappiness": "10",
        "cpu/{}/cpu.shares": "512",
        "cpu/{}/cpu.cfs_quota_us": "50000",
        "pids/{}/pids.max": "20",
        "cpuset/{}/cpuset.cpus": "0",
    }
    place = f"system.slice/{unit}"
    found = {path: (TOP / path.format(place)).read_text().strip() for path in values}
    assert found == values
    pid = box.state()["pid"]
    mine = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    assert set(mine.values()) == {f"/{place}"}
    devices = (TOP / "devices" / place / "devices.list").read_text().split("\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "set-property", "--runtime", unit, "TasksMax=21")
    assert sorted((TOP / "devices" / place / "devices.list").read_text().split("\n")) == sorted(devices)
    assert "c 1:3 rwm" in devices
    assert "a *:* rwm" not in devices
    box.kill("KILL")
    box.delete()
    box.nothing_left()
    until_forgotten(unit)


def test_what_cannot_start_leaves_no_cgroup_in_any_hierarchy(box: Box) -> None:
    box.bundle.mount("/x", "none", "/no/such", "bind")
    box.create_refused(flags=FLAGS)
    until_forgotten(unit_of(box))


def test_one_task_is_enough_to_start(box: Box) -> None:
    box.bundle.edit(linux__resources={"pids": {"limit": 1}})
    box.bundle.args("/bin/true")
    box.run(flags=FLAGS)
    box.nothing_left()
    until_forgotten(unit_of(box))


def test_the_systemd_of_a_user_is_refused(box: Box) -> None:
    said = box.create_refused(flags=(*FLAGS, "--rootless=true"), env={"XDG_RUNTIME_DIR": "/run/user/1000"})
    assert "linux.cgroupsPath: the systemd of a user manages cgroups only where there is cgroup2" in said
