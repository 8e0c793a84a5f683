"""containerd with pyrunc and runc side by side, with cgroups of the runtime's own and with those of systemd.

``ctr run --runc-systemd-cgroup`` sets what the CRI plugin calls ``SystemdCgroup``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.callers.containerd import Containerd
from tests.callers.ctr import Ctr, task
from tests.callers.engine import Seen
from tests.support.command import run
from tests.vm.guest import engines
from tests.vm.guest.differences import FILES, PROPERTIES
from tests.vm.guest.machine import Guest

if TYPE_CHECKING:
    from tests.vm.guest.differences import Table

pytestmark = [pytest.mark.needs("guest", "root", "containerd", "ctr", "runc"), pytest.mark.timeout(900)]

SLICE = "guestctr.slice"
LIMITS = ("--memory-limit=67108864", "--cpu-quota=50000", "--cpu-period=100000", "--cpu-shares=512")


class Managed(Ctr):
    """ctr whose containers have cgroups of one manager."""

    def __init__(self, containerd: Containerd, manager: str) -> None:
        super().__init__(containerd)
        self.manager = manager

    def options(self, runtime: str, name: str) -> list[str]:
        if self.manager == "cgroupfs":
            return super().options(runtime, name)
        return ["--runc-binary", runtime, "--runc-systemd-cgroup", "--cgroup", f"{SLICE}:guest:{name}"]

    @property
    def seen_cgroup(self) -> str:
        """What /proc/self/cgroup of a container says: ctr 1.6 asks for no cgroup namespace."""
        return "0::" + (f"/{SLICE}/guest-<NAME>.scope" if self.manager == "systemd" else "<PARENT>/<NAME>")


class Life(NamedTuple):
    """What was seen of a container: files by name, properties of its unit by name, and so on."""

    files: dict[str, str]
    unit: dict[str, str]
    exec: Seen
    metrics: dict[str, Any]
    frozen: tuple[str, str, str]
    oom: tuple[int, str]
    left: list[str]


Lives = Callable[[str], Life]


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory, pyrunc: Path) -> Iterator[Containerd]:
    with Guest() as guest, Containerd(guest, tmp_path_factory.mktemp("containerd"), os.fspath(pyrunc)) as daemon:
        yield daemon
    run("systemctl", "stop", SLICE)
    parent = Path("/sys/fs/cgroup" + daemon.cgroup)
    if parent.exists():
        parent.rmdir()


@pytest.fixture(scope="module", params=engines.MANAGERS)
def ctr(containerd: Containerd, request: pytest.FixtureRequest) -> Managed:
    return Managed(containerd, request.param)


@pytest.fixture(scope="module")
def life(ctr: Managed) -> Lives:
    """The life of a container with a runtime; each is led once."""
    return cache(lambda runtime: led(ctr, runtime))


def led(ctr: Managed, runtime: str) -> Life:
    """A container's life: it is looked at, paused and resumed, and wants too much memory."""
    with task(ctr, runtime, *LIMITS, script=engines.PROGRAM) as box:
        box.says(".\n")
        where = engines.cgroup(first(box))
        files, unit = engines.settings(where), engines.properties(where, ctr.manager)
        inside = box.exec("cat /proc/self/cgroup")
        metrics = json.loads(box.do("metrics", "--format", "json", "NAME").raw)
        assert box.do("pause", "NAME").code == 0
        paused = engines.frozen(where)
        refused = box.exec_fails("/bin/true").err
        assert box.do("resume", "NAME").code == 0
        frozen = (paused, refused, engines.frozen(where))
        oom = out_of_memory(box, where)
    left = [str(path) for path in (where, where.with_name(box.name)) if path.exists()]
    if ctr.manager == "systemd" and engines.shown(where.name, "ActiveState")["ActiveState"] != "inactive":
        left.append(where.name)
    return Life(files, unit, inside, metrics, frozen, oom, left)


def first(box: task) -> int:
    """The pid of a task's first process."""
    return int(box.do("ps", "NAME").out.splitlines()[1].split()[0])


def out_of_memory(box: task, where: Path) -> tuple[int, str]:
    """One of the container's processes wants more memory than there is, and then the container ends: how often the OOM
    killer has been at work in its cgroup, and what ctr says is its exit status."""
    assert box.do("kill", "--signal", "USR1", "NAME").code == 0
    box.says("over\n")
    events = dict(line.split() for line in (where / "memory.events").read_text().splitlines())
    assert box.do("kill", "--signal", "TERM", "NAME").code == 0
    box.ends()
    done = box.do("delete", "NAME")
    return int(events["oom_kill"]), done.err.strip().rpartition("exit code ")[2].rstrip('"')


def known(table: Table, manager: str) -> dict[str, tuple[str, str]]:
    return engines.known(table, "runc", manager, "run", engines.WEIGHTS)


def test_the_files_of_the_cgroup_hold_the_same(ctr: Managed, life: Lives) -> None:
    ours, theirs = life(ctr.runtime), life(ctr.reference)
    assert (ours.files["memory.max"], ours.files["cpu.max"]) == (str(64 << 20), "50000 100000")
    assert engines.differing(ours.files, theirs.files) == known(FILES, ctr.manager)


def test_the_properties_of_the_scope_are_the_same(ctr: Managed, life: Lives) -> None:
    ours, theirs = life(ctr.runtime), life(ctr.reference)
    if ctr.manager == "systemd":
        assert ours.unit["Slice"] == SLICE
        assert engines.differing(ours.unit, theirs.unit) == known(PROPERTIES, ctr.manager)
    else:
        assert (ours.unit, theirs.unit) == ({}, {})


def test_verbs_find_the_container_in_its_cgroup(ctr: Managed, life: Lives) -> None:
    for runtime in (ctr.runtime, ctr.reference):
        seen = life(runtime)
        paused, refused, resumed = seen.frozen
        assert (runtime, paused, resumed, seen.oom, seen.left) == (runtime, "1", "0", (1, "137"), [])
        assert "cannot exec in a paused state" in refused  # says the shim
        assert (runtime, seen.exec.out) == (runtime, f"{ctr.seen_cgroup}\n")


def test_metrics_are_those_of_version_2(ctr: Managed, life: Lives) -> None:
    told = [life(runtime).metrics for runtime in (ctr.reference, ctr.runtime)]
    for metrics in told:
        assert metrics["memory"]["usage_limit"] == 64 << 20
        assert metrics["memory"]["usage"] > 0
        assert metrics["pids"]["current"] == 2
        assert metrics["cpu"]["usage_usec"] > 0
    assert told[0].keys() == told[1].keys()


@pytest.mark.parametrize("options", [(), ("--privileged",), ("--memory-limit=67108864",)], ids=" ".join)
def test_a_container_sees_its_cgroup(ctr: Managed, options: tuple[str, ...]) -> None:
    seen = ctr.looks_same(*options)
    assert seen.sections["cgroup"] == [ctr.seen_cgroup]
