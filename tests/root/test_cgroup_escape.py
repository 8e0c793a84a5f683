"""A container that may write to its cgroups nests, freezes or changes them: it is ended and removed all the same."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.host import cgroups
from tests.conftest import token
from tests.root.box import until
from tests.support.requirements import cgroup_mounts
from tests.support.residue import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box

V1 = pytest.mark.needs("root", "cgroup1")
V2 = pytest.mark.needs("root", "cgroup2-bare")
BUSYBOX = pytest.mark.needs("busybox", "static")
COUNTER = itertools.count()
#: More than the interpreter's limit of recursion, and with these names longer than PATH_MAX.
DEPTH = 1200
NAME = "nested"
SLEEPER = "import signal, sys\nprint(flush=True)\nsignal.pause()\n"
FORKER = (
    "import os, signal\n"
    "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    "print(flush=True)\n"
    "while True:\n"
    "    os.fork() and os._exit(0)\n"
)
#: Digs deeper as long as it lives, with every directory open at most for a moment.
DIGGER = (
    "import os, sys\n"
    "os.chdir(sys.argv[1])\n"
    "print(flush=True)\n"
    "while True:\n"
    "    os.mkdir('deeper')\n"
    "    os.chdir('deeper')\n"
)


def scrubbed(top: str) -> None:
    """End what is in the cgroup and below and remove all, without the code under test; find(1) knows no depth."""
    script = "echo THAWED >freezer.state; echo 0 >cgroup.freeze; cat cgroup.procs cgroup.threads | xargs -r kill -KILL"
    command = ["find", top, "-name", "cgroup.procs", "-execdir", "sh", "-c", script, ";"]
    subprocess.run(command, check=False, capture_output=True)
    removal = ["find", top, "-depth", "-type", "d", "-delete"]
    until(lambda: subprocess.run(removal, check=False, capture_output=True).returncode == 0, lambda: f"no {top}")


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Reaped when their cgroups have been thawed and removed."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.wait(60)


@pytest.fixture
def made(children: list[subprocess.Popen[bytes]]) -> Iterator[Callable[..., dict[str, str]]]:
    """A factory of cgroups as in state.json, one for each controller."""
    tops: list[str] = []

    def make(*controllers: str) -> dict[str, str]:
        name = f"pyrunc-test-{token()}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-escape-{next(COUNTER)}"
        paths = {controller: f"{cgroup_mounts()[controller]}/{name}" for controller in controllers}
        for path in paths.values():
            os.mkdir(path)
            tops.append(path)
        return paths

    yield make
    for top in tops:
        if os.path.exists(top):
            scrubbed(top)


@pytest.fixture
def start(children: list[subprocess.Popen[bytes]]) -> Callable[..., subprocess.Popen[bytes]]:
    """A factory of Python programs that are born in a cgroup."""

    def make(text: str, *directories: str, nested: str = "") -> subprocess.Popen[bytes]:
        enter = "import os, sys\nfor path in sys.argv[1:]:\n    open(path + '/cgroup.procs', 'w').write('0')\n"
        if nested:
            enter += f"os.chdir({nested!r})\n" + f"for _ in range({DEPTH}):\n    os.chdir({NAME!r})\n"
            enter += "open('cgroup.procs', 'w').write('0')\n"
        command = [sys.executable, "-S", "-c", enter + text, *directories]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        children.append(child)
        assert child.stdout is not None
        with child.stdout:
            assert child.stdout.readline() == b"\n"
        return child

    return make


def nest(top: str) -> None:
    """Cgroups one in the other, the deepest of them beyond any path."""
    fd = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir(NAME, dir_fd=fd)
        child = os.open(NAME, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = child
    os.close(fd)


@V1
@pytest.mark.parametrize("controller", ["pids", "freezer", ""])
def test_cgroups_nested_beyond_every_path_are_listed_killed_and_removed(
    made: Callable[..., dict[str, str]], start: Callable[..., subprocess.Popen[bytes]], controller: str
) -> None:
    paths = made(controller)
    nest(paths[controller])
    child = start(SLEEPER, nested=paths[controller])
    assert cgroups.procs(paths) == [child.pid]
    cgroups.signal_all(paths, signal.SIGCONT)
    cgroups.signal_all(paths, signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL
    cgroups.remove(paths)
    assert not os.path.exists(paths[controller])


@V1
def test_the_descriptors_in_use_depend_neither_on_depth_nor_on_width_nor_on_processes(
    made: Callable[..., dict[str, str]], start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    paths = made("freezer")
    nest(paths["freezer"])
    for number in range(300):
        os.mkdir(f"{paths['freezer']}/{number}")
    text = "import signal\nprint(flush=True)\nfor _ in range(299):\n    os.fork() or signal.pause()\nsignal.pause()\n"
    many = start(text, f"{paths['freezer']}/7")
    until(lambda: len(cgroups.procs(paths)) == 300, lambda: "300 processes")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = os.listdir("/proc/self/fd")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, before)) + 64, limits[1]))
    try:
        cgroups.signal_all(paths, signal.SIGKILL)
        cgroups.remove(paths)
        assert set(descriptors()) <= set(map(int, before))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert many.wait(60) == -signal.SIGKILL
    assert not os.path.exists(paths["freezer"])


@V1
@pytest.mark.parametrize("controllers", [("freezer",), ("pids",)])
def test_a_payload_that_digs_while_it_is_killed(
    made: Callable[..., dict[str, str]], start: Callable[..., subprocess.Popen[bytes]], controllers: tuple[str, ...]
) -> None:
    paths = made(*controllers)
    top = paths[controllers[0]]
    child = start(DIGGER, top)
    cgroups.signal_all(paths, signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL
    cgroups.remove(paths)
    assert not os.path.exists(top)


@V1
def test_sigkill_reaches_those_who_froze_themselves_below(
    made: Callable[..., dict[str, str]], start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    paths = made("freezer")
    deep = paths["freezer"] + "/x/y"
    os.makedirs(deep)
    child, other = start(SLEEPER, deep), start(SLEEPER, paths["freezer"])
    for directory in (deep, paths["freezer"] + "/x"):
        Path(directory, "freezer.state").write_text("FROZEN")
    cgroups.signal_all(paths, signal.SIGKILL)
    assert (child.wait(60), other.wait(60)) == (-signal.SIGKILL, -signal.SIGKILL)
    cgroups.remove(paths)


@V1
def test_other_signals_do_not_thaw_what_the_container_has_frozen_itself(made: Callable[..., dict[str, str]]) -> None:
    paths = made("freezer")
    state = Path(paths["freezer"], "x/freezer.state")
    state.parent.mkdir()
    state.write_text("FROZEN")
    cgroups.signal_all(paths, signal.SIGTERM)
    assert state.read_text() == "FROZEN\n"
    assert cgroups.frozen(paths) is False


def threaded(paths: dict[str, str]) -> str:
    """The container's cgroup below one that becomes the domain of its threads."""
    paths[""] += "/leaf"
    os.mkdir(paths[""])
    Path(paths[""], "cgroup.type").write_text("threaded")
    return paths[""]


@V2
def test_sigkill_reaches_the_processes_of_a_threaded_cgroup(
    made: Callable[..., dict[str, str]], start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    paths = made("")
    leaf = threaded(paths)
    os.mkdir(leaf + "/below")
    Path(leaf, "below/cgroup.type").write_text("threaded")
    thread = "import _thread, time\nfor _ in range(3):\n    _thread.start_new_thread(time.sleep, (100000,))\n"
    children = [start(thread + SLEEPER, leaf), start(SLEEPER, leaf + "/below")]
    forker = start(FORKER, leaf)
    assert set(cgroups.procs(paths)) > {child.pid for child in children}
    assert len(cgroups.procs(paths)) <= 4
    cgroups.signal_all(paths, signal.SIGKILL)
    assert [child.wait(60) for child in children] == [-signal.SIGKILL] * 2
    assert cgroups.procs(paths) == []
    forker.wait(60)
    cgroups.remove(paths)
    assert not os.path.exists(leaf)


@V2
def test_other_signals_reach_the_processes_of_a_threaded_cgroup(
    made: Callable[..., dict[str, str]], start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    paths = made("")
    child = start(SLEEPER, threaded(paths))
    cgroups.signal_all(paths, signal.SIGUSR1)
    assert child.wait(60) == -signal.SIGUSR1
    assert cgroups.frozen(paths) is False


# The same by containers: the runtime's own commands


def writable(box: Box, script: str) -> Box:
    """A container with its cgroups mounted read-write, whose program runs the script and stays."""
    box.bundle.config["mounts"] = [
        mount for mount in box.bundle.config["mounts"] if mount["destination"] != "/sys/fs/cgroup"
    ]
    box.bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "rw")
    box.bundle.edit(linux__cgroupsPath=f"/{box.id}")
    box.bundle.args("/bin/sh", "-c", script)
    return box.started()


@V1
@BUSYBOX
@pytest.mark.parametrize("words", [("delete", "--force"), ("kill", "--all")])
def test_a_container_that_nests_is_ended(new_box: Callable[..., Box], words: tuple[str, str]) -> None:
    script = (
        "cd /sys/fs/cgroup/pids; i=0; while [ $i -lt 1200 ]; do mkdir d && cd -P d || exit; i=$((i+1)); done;"
        "echo ready; exec sleep 1000"
    )
    box = writable(new_box(), script)
    box.until_output("ready")
    if words[0] == "kill":
        box.kill("--all", "KILL")
        box.until_stopped()
        box.delete()
    else:
        box.delete("--force")
    box.nothing_left()


@V1
@BUSYBOX
def test_a_container_that_freezes_itself_is_deleted(new_box: Callable[..., Box]) -> None:
    script = (
        "echo ready; cd /sys/fs/cgroup/freezer; mkdir x; echo $$ >x/cgroup.procs; echo FROZEN >x/freezer.state;"
        "exec sleep 1000"
    )
    box = writable(new_box(), script)
    state = Path(cgroup_mounts()["freezer"], box.id, "x/freezer.state")
    until(lambda: state.exists() and state.read_text() == "FROZEN\n", lambda: "frozen")
    box.delete("--force")
    box.nothing_left()
