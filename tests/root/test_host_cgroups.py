"""Cgroups of this machine: made, filled, signalled to the last process, removed."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import HostError, OpFailed
from pyrunc.host import cgroups, execute
from pyrunc.plan.ops import Op
from tests.conftest import token
from tests.support.requirements import cgroup_mounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[[str], subprocess.Popen[bytes]]

V1 = pytest.mark.needs("root", "cgroup1")
COUNTER = itertools.count()

FORKER = """
import os, signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
while True:
    pid = os.fork()  # parent and child swap roles, so that every listing of pids is old at once
    if pid:
        os._exit(0)
"""
SLEEPER = """
import os, sys, time
print("ready", flush=True)
time.sleep(100000)
"""


class Made:
    """Cgroups of one test: ``paths`` as in state.json, ``context`` remembers what was made."""

    def __init__(self, controllers: tuple[str, ...]) -> None:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.parent = f"pyrunc-test-{token()}-{worker}-{next(COUNTER)}"
        self.context = execute.Context(lambda: "{}", "/", print)
        self.paths = {}
        for controller in controllers:
            self.paths[controller] = f"{cgroup_mounts()[controller]}/{self.parent}/leaf"
            self.do("cgroup_create", self.paths[controller])
            if controller == "cpuset":
                self.do("cgroup_copy", self.paths[controller], "cpuset.cpus")
                self.do("cgroup_copy", self.paths[controller], "cpuset.mems")

    def do(self, name: str, *args: str, where: str = "linux.resources") -> None:
        execute.execute(Op(name, args, where), self.context)

    def here(self) -> list[str]:
        return [path for path in self.paths.values() if os.path.exists(path)]


@pytest.fixture
def made() -> Iterator[Callable[..., Made]]:
    everything: list[Made] = []

    def make(*controllers: str) -> Made:
        everything.append(Made(controllers or ("freezer", "memory", "cpuset", "pids", "")))
        return everything[-1]

    yield make
    for one in everything:
        cgroups.signal_all({c: path for c, path in one.paths.items() if os.path.exists(path)}, signal.SIGKILL)
        assert execute.undo(one.context) == []


def start(text: str, *directories: str) -> subprocess.Popen[bytes]:
    """A Python program that says ready, born in the cgroups."""
    enter = "import os, sys\nfor path in sys.argv[1:]:\n    open(path + '/cgroup.procs', 'w').write('0')\n"
    child = subprocess.Popen([sys.executable, "-S", "-c", enter + text, *directories], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
    return child


@V1
def test_processes_of_all_hierarchies_and_of_cgroups_below_are_listed_once(made: Callable[..., Made]) -> None:
    one = made()
    below = one.paths["pids"] + "/below"
    one.do("cgroup_create", below)
    children = [start(SLEEPER, *one.paths.values()), start(SLEEPER, one.paths["freezer"], below)]
    assert cgroups.procs(one.paths) == sorted(child.pid for child in children)
    assert cgroups.frozen(one.paths) is False
    cgroups.signal_all(one.paths, signal.SIGTERM)
    assert [child.wait() for child in children] == [-signal.SIGTERM] * 2
    assert cgroups.procs(one.paths) == []


@V1
@pytest.mark.parametrize("controllers", [("freezer", "pids"), ("freezer", "memory", ""), ("pids",)])
def test_sigkill_reaches_processes_that_fork_all_the_time(
    controllers: tuple[str, ...], made: Callable[..., Made]
) -> None:
    one = made(*controllers)
    forkers = [start(FORKER, *one.paths.values()) for _ in range(3)]
    cgroups.signal_all(one.paths, signal.SIGKILL)
    assert cgroups.procs(one.paths) == []
    cgroups.remove(one.paths)
    assert one.here() == []
    for forker in forkers:
        forker.wait()


@pytest.mark.needs("root", "cgroup2-bare")
def test_cgroup_kill_ends_everything_on_v2_and_removal_waits_for_it(made: Callable[..., Made]) -> None:
    one = made("")
    one.do("cgroup_create", one.paths[""] + "/below")
    children = [start(FORKER, one.paths[""]), start(SLEEPER, one.paths[""] + "/below")]
    cgroups.signal_all(one.paths, signal.SIGKILL)
    cgroups.remove(one.paths)
    assert one.here() == []
    for child in children:
        child.wait()


@pytest.mark.needs("root", "cgroup2-bare")
def test_other_signals_reach_everything_on_v2(made: Callable[..., Made]) -> None:
    one = made("")
    children = [start(SLEEPER, one.paths[""]) for _ in range(3)]
    cgroups.signal_all(one.paths, signal.SIGUSR1)
    assert [child.wait() for child in children] == [-signal.SIGUSR1] * 3
    assert cgroups.frozen(one.paths) is False


@pytest.mark.needs("root", "cgroup2-bare")
def test_a_paused_container_stays_paused_on_v2_and_can_be_killed(made: Callable[..., Made]) -> None:
    one = made("")
    child = start(SLEEPER, one.paths[""])
    one.do("cgroup_write", one.paths[""] + "/cgroup.freeze", "1")
    assert cgroups.frozen(one.paths) is True
    cgroups.signal_all(one.paths, signal.SIGUSR1)
    assert cgroups.frozen(one.paths) is True
    cgroups.signal_all(one.paths, signal.SIGKILL)
    assert child.wait() in (-signal.SIGKILL, -signal.SIGUSR1)


@V1
def test_a_paused_container_stays_paused_on_v1_until_it_is_killed(made: Callable[..., Made]) -> None:
    one = made("freezer", "pids")
    child = start(SLEEPER, *one.paths.values())
    one.do("cgroup_write", one.paths["freezer"] + "/freezer.state", "FROZEN")
    assert cgroups.frozen(one.paths) is True
    cgroups.signal_all(one.paths, signal.SIGUSR1)
    assert cgroups.frozen(one.paths) is True
    cgroups.signal_all(one.paths, signal.SIGKILL)
    assert child.wait() in (-signal.SIGKILL, -signal.SIGUSR1)
    assert cgroups.frozen(one.paths) is False


@V1
def test_a_caller_in_the_containers_cgroup_does_not_freeze_or_kill_itself(made: Callable[..., Made]) -> None:
    one = made("freezer", "pids")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pyrunc.host import cgroups\n"
        "paths = {'freezer': sys.argv[2], 'pids': sys.argv[3]}\n"
        "for path in paths.values():\n"
        "    open(path + '/cgroup.procs', 'w').write('0')\n"
        "cgroups.signal_all(paths, 15)\n"
        "cgroups.signal_all(paths, 9)\n"
        "print('alive')\n"
    )
    root = Path(cgroups.__file__).parents[3]
    other = start(SLEEPER, *one.paths.values())
    command = [sys.executable, "-c", code, str(root), *one.paths.values()]
    assert subprocess.check_output(command, timeout=60) == b"alive\n"
    assert other.wait() == -signal.SIGTERM


@V1
def test_a_cgroup_that_stays_in_use_is_reported_with_its_processes(made: Callable[..., Made]) -> None:
    one = made("pids")
    child = start(SLEEPER, one.paths["pids"])
    with pytest.raises(HostError) as caught:
        cgroups.remove(one.paths, 0.05)
    assert str(caught.value) == (
        f"cannot remove cgroup {one.paths['pids']}: busy after 0 s (processes in it: {child.pid})"
    )
    child.kill()
    child.wait()


@V1
def test_cgroups_that_are_gone_are_fine(made: Callable[..., Made]) -> None:
    one = made()
    cgroups.remove(one.paths)
    cgroups.remove(one.paths)
    assert cgroups.procs(one.paths) == []
    assert cgroups.frozen(one.paths) is False
    cgroups.signal_all(one.paths, signal.SIGKILL)
    cgroups.signal_all(one.paths, signal.SIGTERM)
    cgroups.signal_all({}, signal.SIGKILL)


@V1
@pytest.mark.parametrize("controller", ["pids", "freezer", ""])
def test_the_top_of_a_hierarchy_is_never_touched(controller: str) -> None:
    paths = {controller: cgroup_mounts()[controller]}
    with pytest.raises(HostError, match="is the top of a cgroup hierarchy"):
        cgroups.signal_all(paths, 0)
    with pytest.raises(HostError, match="is the top of a cgroup hierarchy"):
        cgroups.remove(paths)


@V1
def test_empty_cpusets_are_filled_from_the_nearest_ancestor_with_a_value(made: Callable[..., Made]) -> None:
    one = made("cpuset")
    leaf = Path(one.paths["cpuset"])
    for name in ("cpuset.cpus", "cpuset.mems"):
        top = Path(cgroup_mounts()["cpuset"], name).read_text()
        assert (leaf / name).read_text() == (leaf.parent / name).read_text() == top
    one.do("cgroup_write", str(leaf / "cpuset.cpus"), "0")
    one.do("cgroup_create", str(leaf / "a/b"))
    one.do("cgroup_copy", str(leaf / "a/b"), "cpuset.cpus")
    assert (leaf / "a/b/cpuset.cpus").read_text() == (leaf / "a/cpuset.cpus").read_text() == "0\n"


@V1
def test_a_refused_value_is_named_with_its_file_and_place(made: Callable[..., Made]) -> None:
    path = made("memory").paths["memory"] + "/memory.limit_in_bytes"
    context = execute.Context(lambda: "{}", "/", print)
    with pytest.raises(OpFailed) as caught:
        execute.execute(Op("cgroup_write", (path, "many"), "linux.resources.memory.limit"), context)
    assert str(caught.value).startswith(f'linux.resources.memory.limit: write "many" to {path}: invalid argument (')


@V1
def test_undo_removes_only_what_was_made_and_what_nobody_else_uses(made: Callable[..., Made]) -> None:
    one = made("pids")
    shared = os.path.dirname(one.paths["pids"])
    other = execute.Context(lambda: "{}", "/", print)
    execute.execute(Op("cgroup_create", (f"{shared}/other",), "linux.cgroupsPath"), other)
    assert other.created_cgroups == [f"{shared}/other"]
    assert execute.undo(other) == []
    assert os.path.isdir(one.paths["pids"])
    assert execute.undo(one.context) == []
    assert not os.path.exists(shared)
