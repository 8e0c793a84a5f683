"""docker with pyrunc and runc side by side, with both of its cgroup drivers.

The files of the container's cgroup, and the properties of its unit, must be equal; what differs is in the table, with
the reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.callers.containerd import Containerd
from tests.callers.docker import Docker
from tests.callers.engine import Seen, running, sh, unique
from tests.support.command import run
from tests.vm.guest import engines
from tests.vm.guest.differences import FILES, PROPERTIES
from tests.vm.guest.machine import Guest

if TYPE_CHECKING:
    from tests.vm.guest.differences import Table

pytestmark = [pytest.mark.needs("guest", "root", "dockerd", "docker", "containerd", "runc"), pytest.mark.timeout(900)]

#: Where the containers are, by driver.
PARENTS = {"systemd": "guest-docker.slice", "cgroupfs": "/guest-docker"}

#: The kernel has AppArmor, and Debian here nothing to load docker's profile with.
UNCONFINED = "--security-opt=apparmor=unconfined"
LIMITS = (
    UNCONFINED, "--memory=64m", "--memory-swap=96m", "--memory-reservation=32m", "--cpus=0.5", "--cpu-shares=512",
    "--cpuset-cpus=0", "--pids-limit=33", f"--device-write-bps={engines.DISK}:1mb", "--device=/dev/fuse",
)  # fmt: skip
UPDATE = ("--memory=48m", "--memory-swap=48m", "--cpu-shares=2048", "--cpus=0.2", "--pids-limit=44")


class Life(NamedTuple):
    """What was seen of a container: files by name, properties of its unit by name, and so on."""

    devices: str
    files: dict[str, str]
    unit: dict[str, str]
    exec: Seen
    stats: dict[str, str]
    frozen: tuple[str, str]
    updated: dict[str, str]
    updated_unit: dict[str, str]
    oom: tuple[str, str]
    left: list[str]


Lives = Callable[[str], Life]


@pytest.fixture(scope="module")
def containerd(tmp_path_factory: pytest.TempPathFactory, pyrunc: Path) -> Iterator[Containerd]:
    """One for both daemons, which have no patience with one of their own."""
    with Guest() as guest, Containerd(guest, tmp_path_factory.mktemp("containerd"), os.fspath(pyrunc)) as daemon:
        yield daemon


@pytest.fixture(scope="module", params=engines.MANAGERS)
def docker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, containerd: Containerd
) -> Iterator[Docker]:
    """dockerd with one cgroup driver, and no networks."""
    more = {
        "containerd": containerd.socket,
        "exec-opts": [f"native.cgroupdriver={request.param}"],
        "cgroup-parent": PARENTS[request.param],
        "bridge": "none",
        "iptables": False,
    }
    with Docker(containerd.enclosure, tmp_path_factory.mktemp("docker"), containerd.runtime, more) as engine:
        yield engine
    if request.param == "systemd":
        run("systemctl", "stop", PARENTS["systemd"])
    else:
        engines.remove(Path("/sys/fs/cgroup" + PARENTS["cgroupfs"]))


@pytest.fixture(scope="module")
def driver(docker: Docker) -> str:
    done = docker.do("", "info", "--format={{.CgroupDriver}} {{.CgroupVersion}}")
    name, version = done.stdout.decode().split()
    assert version == "2"
    return name


@pytest.fixture(scope="module")
def life(docker: Docker, driver: str) -> Lives:
    """The life of a container with a runtime; each is led once."""
    return cache(lambda runtime: led(docker, driver, runtime))


def led(docker: Docker, driver: str, runtime: str) -> Life:
    """A container's life: it is looked at, paused and resumed, its limits are updated, and it wants too much memory."""
    with running(docker, runtime, unique(), "--net=none", *LIMITS, *sh(engines.PROGRAM)) as box:
        devices = box.until(lambda seen: seen.out.endswith(".\n"), "logs", "NAME").out.split()[:-1]
        where = engines.cgroup(int(box.inspect("{{.State.Pid}}")))
        files, unit = engines.settings(where), engines.properties(where, driver)
        inside = box.do("exec", "NAME", "cat", "/proc/self/cgroup", "/sys/fs/cgroup/pids.max")
        stats = json.loads(box.do("stats", "--no-stream", "--format={{json .}}", "NAME").raw)
        assert box.do("pause", "NAME").code == 0
        paused = engines.frozen(where)
        assert box.do("unpause", "NAME").code == 0
        frozen = (paused, engines.frozen(where))
        updated = box.do("update", *UPDATE, "NAME")
        assert updated.code == 0, updated
        later, later_unit = engines.settings(where), engines.properties(where, driver)
        oom = out_of_memory(docker, box)
    left = [str(path) for path in (where, where.with_name(box.name)) if path.exists()]
    if driver == "systemd" and engines.shown(where.name, "ActiveState")["ActiveState"] != "inactive":
        left.append(where.name)
    return Life(" ".join(devices), files, unit, inside, stats, frozen, later, later_unit, oom, left)


def out_of_memory(docker: Docker, box: running) -> tuple[str, str]:
    """One of the container's processes wants more memory than there is, and then the container ends."""
    assert box.do("kill", "-s", "USR1", "NAME").code == 0
    box.logs_hold("over\n")
    told = ("events", "--since=0", "--until=0s", "--filter=event=oom", "--filter", f"container={box.name}")
    engines.until(lambda: docker.do("", *told).stdout != b"", "docker knows of it")
    assert box.do("kill", "-s", "TERM", "NAME").code == 0
    assert box.do("wait", "NAME").code == 0
    return box.inspect("{{.State.OOMKilled}}"), box.inspect("{{.State.ExitCode}}")


def known(table: Table, driver: str, command: str) -> dict[str, tuple[str, str]]:
    return engines.known(table, "runc", driver, command, engines.WEIGHTS)


def test_the_files_of_the_cgroup_hold_the_same(docker: Docker, driver: str, life: Lives) -> None:
    ours, theirs = life(docker.runtime), life(docker.reference)
    assert (ours.files["memory.max"], ours.files["cpu.max"], ours.files["pids.max"]) == (
        str(64 << 20), "50000 100000", "33",
    )  # fmt: skip
    assert engines.differing(ours.files, theirs.files) == known(FILES, driver, "run")
    assert (ours.updated["memory.max"], ours.updated["cpu.max"], ours.updated["pids.max"]) == (
        str(48 << 20), "20000 100000", "44",
    )  # fmt: skip
    assert engines.differing(ours.updated, theirs.updated) == known(FILES, driver, "update")


def test_the_properties_of_the_scope_are_the_same(docker: Docker, driver: str, life: Lives) -> None:
    ours, theirs = life(docker.runtime), life(docker.reference)
    if driver == "systemd":
        assert ours.unit["Slice"] == PARENTS["systemd"]
        assert engines.differing(ours.unit, theirs.unit) == known(PROPERTIES, driver, "run")
        assert engines.differing(ours.updated_unit, theirs.updated_unit) == known(PROPERTIES, driver, "update")
    else:
        assert (ours.unit, theirs.unit) == ({}, {})


def test_verbs_find_the_container_in_its_cgroup(docker: Docker, life: Lives) -> None:
    for runtime in (docker.runtime, docker.reference):
        seen = life(runtime)
        assert (runtime, seen.devices, seen.frozen, seen.left) == (runtime, "null zero random fuse", ("1", "0"), [])
        assert (runtime, seen.exec.out) == (runtime, "0::/\n33\n")
        assert (runtime, seen.stats["PIDs"], seen.stats["MemUsage"].split(" / ")[1]) == (runtime, "2", "64MiB")
        assert not seen.stats["MemUsage"].startswith("0B")


def test_docker_knows_who_has_been_killed_for_memory(docker: Docker, life: Lives) -> None:
    for runtime in (docker.runtime, docker.reference):
        assert (runtime, life(runtime).oom) == (runtime, ("true", "137"))


@pytest.mark.parametrize("option", ["--cgroupns=private", "--cgroupns=host", "--privileged"])
def test_a_container_sees_its_cgroup(docker: Docker, driver: str, option: str) -> None:
    seen = docker.looks_same(UNCONFINED, option, "--memory=64m")
    (path,) = seen.sections["cgroup"]
    if option == "--cgroupns=host":
        below = "docker-<ID>.scope" if driver == "systemd" else "<ID>"
        assert path.endswith(f"/{PARENTS[driver].strip('/')}/{below}")
    else:
        assert path == "0::/"
    assert (" rw," in seen.mount("/sys/fs/cgroup").partition(" cgroup2 ")[0]) == (option == "--privileged")
