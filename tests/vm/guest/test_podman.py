"""podman with pyrunc, runc and crun side by side, with both of its cgroup managers.

The files of the container's cgroup, and the properties of its unit, must be equal; what differs is in the table, with
the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.command import run
from tests.vm.guest import engines
from tests.vm.guest.differences import FILES, PROPERTIES

pytestmark = [pytest.mark.needs("guest", "root", "podman", "runc", "crun"), pytest.mark.timeout(900)]

#: Where the containers are, by manager.  It is made anew for each, with no controller that another one has enabled.
PARENTS = {"systemd": "guest-tests.slice", "cgroupfs": "/guest-tests"}
TOP = Path("/sys/fs/cgroup")

Lives = Callable[[str, str], engines.Life]
manager = pytest.mark.parametrize("manager", engines.MANAGERS)
other = pytest.mark.parametrize("other", ["runc", "crun"])


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """The life of a container with a manager and a runtime; each is led once."""
    engines.imported(tmp_path_factory.mktemp("image"))

    @cache
    def led(manager: str, runtime: str) -> engines.Life:
        options = (f"--cgroup-parent={PARENTS[manager]}", *engines.LIMITS, *engines.PRIVILEGED)
        try:
            return engines.life(tmp_path_factory.mktemp("life"), manager, runtime, *options, verbs=manager == "systemd")
        finally:
            run("systemctl", "stop", PARENTS["systemd"])
            forget("guest-tests")

    yield led
    forget("libpod_parent")


def forget(parent: str) -> None:
    """Where podman has no systemd for it, it makes a cgroup, and conmon's in it, and leaves both."""
    for cgroup in (TOP / parent / "conmon", TOP / parent):
        if cgroup.exists():
            engines.remove(cgroup)


@manager
@other
def test_the_files_of_the_cgroup_hold_the_same(manager: str, other: str, life: Lives) -> None:
    ours, theirs = life(manager, "pyrunc"), life(manager, other)
    assert engines.differing(ours.files, theirs.files) == engines.known(FILES, other, manager, "run")
    assert engines.differing(ours.updated, theirs.updated) == engines.known(FILES, other, manager, "update")


def test_the_properties_of_the_scope_are_the_same_as_with_runc(life: Lives) -> None:
    ours, theirs = life("systemd", "pyrunc"), life("systemd", "runc")
    assert ours.unit["Slice"] == PARENTS["systemd"]
    assert engines.differing(ours.unit, theirs.unit) == engines.known(PROPERTIES, "runc", "systemd", "run")
    updated = engines.differing(ours.updated_unit, theirs.updated_unit)
    assert updated == engines.known(PROPERTIES, "runc", "systemd", "update")


@manager
def test_devices_are_open_and_nothing_is_left_as_with_the_others(manager: str, life: Lives) -> None:
    for runtime in engines.RUNTIMES:
        seen = life(manager, runtime)
        assert (runtime, seen.devices, seen.left) == (runtime, "null zero random fuse", [])


@manager
@pytest.mark.parametrize("runtime", engines.RUNTIMES)
def test_who_wants_too_much_memory_is_killed(manager: str, runtime: str, life: Lives) -> None:
    assert life(manager, runtime).oom == (1, 137)


@pytest.mark.parametrize("runtime", engines.RUNTIMES)
def test_pause_and_stats_are_what_the_files_say(runtime: str, life: Lives) -> None:
    seen = life("systemd", runtime)
    assert seen.verbs is not None
    assert (seen.verbs.paused, seen.verbs.resumed) == ("1", "0")
    stats, (before, after) = seen.verbs.stats, seen.verbs.usage
    ours = life("systemd", "pyrunc").verbs
    assert ours is not None
    assert stats.keys() == ours.stats.keys()
    assert stats["pids"] == str(before["pids.current"])
    used, limit = map(engines.octets, stats["mem_usage"].split(" / "))
    assert limit == pytest.approx(int(seen.files["memory.max"]), rel=0.001)
    least, most = sorted((before["memory.current"], after["memory.current"]))
    assert least - engines.MIB <= used <= most + engines.MIB


#: As systemd does in a container: its processes go into a cgroup of their own, so that the container's own can have
#: others below it with limits.
DELEGATED = """
set -e
cd /sys/fs/cgroup
mkdir payload low
echo 0 >payload/cgroup.procs
echo '+memory +pids' >cgroup.subtree_control
echo 2097152 >low/memory.max
echo 3 >low/pids.max
cat low/memory.max low/pids.max /proc/self/cgroup
"""


@pytest.mark.usefixtures("life")
def test_a_container_may_divide_its_cgroup() -> None:
    for runtime in engines.RUNTIMES:
        engine = engines.Engine("systemd", runtime)
        seen = engine("run", "--rm", "--net=none", "--systemd=always", engines.IMAGE, "/bin/sh", "-c", DELEGATED)
        assert (runtime, seen.stdout.splitlines()) == (runtime, ["2097152", "3", "0::/payload"])


#: The container's cgroup as the host names it, and what is in these files of it.
LOOK = """
cd /sys/fs/cgroup$(busybox cut -d: -f3 /proc/self/cgroup)
cat /proc/self/cgroup memory.max memory.swap.max pids.max cpu.max
"""


@pytest.mark.usefixtures("life")
def test_a_container_is_in_a_cgroup_beside_podmans_own() -> None:
    """--cgroups=split: podman gives the runtime a path below the unit that it runs in itself."""
    for runtime in engines.RUNTIMES:
        unit = f"guest-split-{runtime}.scope"
        path, *limits = looked_from(unit, runtime, "--cgroups=split", *engines.LIMITS)
        assert path.startswith(f"0::/system.slice/{unit}/libpod-payload-"), runtime
        assert limits == ["67108864", "33554432", "33", "50000 100000"], runtime


@pytest.mark.usefixtures("life")
def test_a_container_stays_in_the_cgroup_of_the_caller(tmp_path: Path) -> None:
    """--cgroups=disabled, which podman does with runtimes that its configuration says are able to: runc is not."""
    conf = tmp_path / "containers.conf"
    conf.write_text('[engine]\nruntime_supports_nocgroup = ["crun", "pyrunc"]\n')
    for runtime in ("pyrunc", "crun"):
        unit = f"guest-disabled-{runtime}.scope"
        path, *limits = looked_from(unit, runtime, "--cgroups=disabled", environment=f"CONTAINERS_CONF={conf}")
        assert (path, limits) == (f"0::/system.slice/{unit}", ["max", "max", limits[2], "max 100000"]), runtime


def looked_from(unit: str, runtime: str, *options: str, environment: str = "LANG=C") -> list[str]:
    """What a container says that podman runs from within a scope of systemd."""
    scope = ("systemd-run", "--scope", "--quiet", f"--unit={unit}", "env", environment)
    words = ("run", "--rm", "--net=none", "--cgroupns=host", *options, engines.IMAGE, "/bin/sh", "-c", LOOK)
    return engines.Engine("systemd", runtime)(*words, before=scope).stdout.splitlines()
