"""Limits of an ordinary user's containers: by the user's systemd, in a delegated cgroup, and where neither is had."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import programs
from tests.vm.guest.engines import cgroup, differing, frozen, settings
from tests.vm.guest.units import FLAGS, TOP, gone, show, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

    NewBox = Callable[..., Box]
    Delegated = Callable[[str | Path], Path]

pytestmark = pytest.mark.needs("guest", "user", "subids", "runc", "crun", "systemd-run")

MIB = 1 << 20
FOREVER = ("/bin/sleep", "100000")
LIMITS: dict[str, Any] = {
    "memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 32 * MIB},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
    "pids": {"limit": 33},
}
UPDATE = ("--memory", str(48 * MIB), "--memory-swap", str(48 * MIB), "--cpu-quota", "20000", "--pids-limit", "20")
UPDATED = {"memory.max": str(48 * MIB), "memory.swap.max": "0", "cpu.max": "20000 100000", "pids.max": "20"}
#: What a unit has then.
PROPERTIES = {
    "Slice": "user.slice",
    "Delegate": "yes",
    "MemoryMax": str(48 * MIB),
    "MemorySwapMax": "0",
    "MemoryLow": str(32 * MIB),
    "TasksMax": "20",
    "CPUQuotaPerSecUSec": "200ms",
    "AllowedCPUs": "0",
}
#: (theirs, ours): the curve of runc 1.4.
KNOWN = {"cpu.weight": ("20", "59")}
CANNOT_MOVE = "this user may not move a process to the container's cgroup from the one that it is in"
HUGE_PAGES = {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}


def other(name: str) -> Path:
    path = shutil.which(name, path=programs.PATH)
    assert path
    return Path(path)


def limited(box: Box, flags: tuple[str, ...] = (), maps: bool = False) -> Path:
    """Create a container with all limits; its cgroup.  ``maps``: it has the user's subordinate ids, by newuidmap."""
    box.bundle.edit(linux__resources=LIMITS).args(*FOREVER)
    if maps:
        ranges = [{"containerID": 0, "hostID": os.getuid(), "size": 1}, {"containerID": 1, "hostID": 100000, "size": 9}]
        box.bundle.edit(linux__uidMappings=ranges, linux__gidMappings=ranges)
    box.create(flags=flags)
    pid = box.state()["pid"]
    assert len(Path(f"/proc/{pid}/uid_map").read_text().splitlines()) == (2 if maps else 1)
    return cgroup(pid)


def of_another(box: Box, flags: tuple[str, ...] = ()) -> tuple[dict[str, str], dict[str, str]]:
    """What the files hold with another runtime, before and after an update."""
    folder = limited(box, flags)
    before = settings(folder)
    box.command("update", *UPDATE, "ID", flags=flags)
    after = settings(folder)
    box.delete("--force", flags=flags)
    return before, after


def every_verb(box: Box, folder: Path) -> None:
    """start, pause, resume, update, events, ps, kill --all and delete of a container in the cgroup ``folder``."""
    box.start()
    box.command("pause", "ID")
    assert (frozen(folder), box.status()) == ("1", "paused")
    box.command("resume", "ID")
    assert frozen(folder) == "0"
    box.command("update", *UPDATE, "ID")
    assert UPDATED.items() <= settings(folder).items()
    if folder.name.endswith(".scope"):
        assert show(folder.name, *PROPERTIES) == PROPERTIES
    said = json.loads(box.command("events", "--stats", "ID").stdout)["data"]
    assert (said["memory"]["usage"]["limit"], said["pids"]) == (48 * MIB, {"current": 1, "limit": 20})
    assert json.loads(box.command("ps", "--format", "json", "ID").stdout) == [box.state()["pid"]]
    box.kill("--all", "KILL")
    box.until_stopped()
    box.delete()


def test_with_systemd_the_files_hold_what_they_hold_with_runc_and_crun(new_box: NewBox) -> None:
    box = new_box()
    folder = limited(box, FLAGS, maps=True)
    files = settings(folder)
    assert folder == TOP / f"user.slice/user-1000.slice/user@1000.service/user.slice/{unit_of(box)}"
    every_verb(box, folder)
    gone(box)
    for name in ("runc", "crun"):
        before, after = of_another(new_box(runtime=other(name)), FLAGS)
        assert differing(files, before) == KNOWN, name
        assert UPDATED.items() <= after.items(), name


def test_beside_the_caller_the_files_hold_what_they_hold_with_runc(new_box: NewBox, delegated: Delegated) -> None:
    box = new_box()
    pyrunc, box.runtime = box.runtime, delegated(box.runtime)
    folder = limited(box)
    files = settings(folder)
    assert folder.name == box.id
    assert (folder.parent / "caller").is_dir()
    box.runtime = pyrunc  # all other verbs have nothing to move
    every_verb(box, folder)
    box.nothing_left()
    before, _ = of_another(new_box(runtime=delegated(other("runc"))))
    assert differing(files, before) == KNOWN


def test_a_delegated_cgroup_is_the_containers_without_limits_too(new_box: NewBox, delegated: Delegated) -> None:
    box = new_box(*FOREVER)
    pyrunc, box.runtime = box.runtime, delegated(box.runtime)
    box.started()
    folder = cgroup(box.state()["pid"])
    assert folder.name == box.id
    # From another scope of the same user it can be joined, from the session, which is in none of the user's, it cannot.
    assert box.exec("ID", "/bin/cat", "/proc/self/cgroup").stdout.endswith(f"/{box.id}\n")
    # When it gives controllers to others, as a systemd has it, the cgroup of the first process is joined in its place.
    (folder / "init").mkdir()
    (folder / "init/cgroup.procs").write_text(str(box.state()["pid"]))
    (folder / "cgroup.subtree_control").write_text("+pids")
    assert box.exec("ID", "/bin/cat", "/proc/self/cgroup").stdout.endswith(f"/{box.id}/init\n")
    box.runtime = pyrunc
    assert f"/{box.id}/init/cgroup.procs: {CANNOT_MOVE}" in box.exec("ID", "/bin/true", status=255).stderr
    box.command("pause", "ID")
    assert frozen(folder) == "1"
    box.delete("--force")
    box.nothing_left()


def test_without_a_session_there_are_containers_but_no_limits(new_box: NewBox) -> None:
    box = new_box(*FOREVER)
    box.create(env={})
    assert Path(f"/proc/{box.state()['pid']}/cgroup").read_text() == Path("/proc/self/cgroup").read_text()
    box.delete("--force", env={})
    box.nothing_left()
    box.bundle.edit(linux__resources=LIMITS)
    said = box.create_refused(env={})
    assert said.startswith("pyrunc: linux.resources.memory: mkdir /sys/fs/cgroup/user.slice/user-1000.slice/")
    assert "permission denied (the cgroup is not delegated to this user" in said


def test_what_is_not_delegated_is_named(new_box: NewBox, delegated: Delegated) -> None:
    box = new_box(*FOREVER)
    box.bundle.edit(linux__resources=HUGE_PAGES)
    expected = re.compile(
        # As far as root's containers have had the controller enabled.
        r'pyrunc: linux.resources.hugepageLimits\[0\]: write "\+hugetlb" to /sys/fs/cgroup/\S*cgroup.subtree_control: '
        r"permission denied \(the cgroup is not delegated to this user with that controller\)"
    )
    assert expected.fullmatch(box.create_refused(flags=FLAGS))
    gone(box)
    box.runtime = delegated(box.runtime)
    assert expected.fullmatch(box.create_refused())


def test_a_cgroup_that_the_user_may_not_move_to_is_refused(new_box: NewBox) -> None:
    """From a session, which no cgroup of the user's is above."""
    box = new_box(*FOREVER)
    box.bundle.edit(linux__cgroupsPath=f"/user.slice/user-1000.slice/user@1000.service/{box.id}")
    said = box.create_refused()
    assert said.startswith(f"pyrunc: linux.cgroupsPath: {CANNOT_MOVE} (EACCES)")


def test_the_oom_killer_is_told_of_in_a_scope(new_box: NewBox) -> None:
    box = new_box("/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
    box.bundle.edit(linux__resources={"memory": {"limit": 16 * MIB, "swap": 16 * MIB}})
    said = box.run(flags=FLAGS, status=137).stderr
    assert "the kernel's OOM killer has ended 1 of the container's processes" in said
    gone(box)
