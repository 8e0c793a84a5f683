"""Verbs of the Python API that are interrupted anywhere by an exception of a signal handler: nothing stays open, no
process, no state, no cgroup, no mount; what they were called for can be had at the next try."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pyrunc
from pyrunc.host import files
from pyrunc.host.cgroups import freezing, oom
from tests.root.box import until
from tests.support import interruptions, mount_table
from tests.support.interruptions import Interruption, children
from tests.support.requirements import cgroup_mounts
from tests.support.residue import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.bundles import Bundle

#: Deletions are interrupted everywhere, not here and there: it takes a minute.
THOROUGH = "PYRUNC_TEST_INTERRUPTIONS" in os.environ

pytestmark = [
    pytest.mark.needs("root"),
    # What has no name yet is closed by the interpreter, which says so.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_a_result_that_is_held_has_its_name_before_the_handler_runs() -> None:
    def handler(*_: object) -> None:
        raise Interruption

    libc = ctypes.CDLL(None)  # raises the signal inside of the call, as if it came there
    before = signal.signal(signal.SIGUSR1, handler)
    plain = held = None
    try:
        plain = libc["raise"](signal.SIGUSR1)
    except Interruption:
        pass
    try:
        held = files.held(libc["raise"], signal.SIGUSR1)
        os.sched_yield()
    except Interruption:
        pass
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert plain is None  # why it is needed
    assert held == 0


class Host:
    """What the interrupted must leave as it was."""

    def __init__(self, container: pyrunc.Container, root: Path) -> None:
        self.root = root
        # Where its cgroups are: the same for whoever has that id.
        self.cgroups = set(json.loads((root / container.id / "state.json").read_text())["cgroups"].values())
        container.delete(force=True)
        self.before = self._seen()

    def _seen(self) -> dict[str, Any]:
        # By what they are: descriptors of files that come and go have other numbers.
        return {
            "descriptors": sorted(descriptors().items()),
            "children": children(),
            "containers": sorted(name for name in os.listdir(self.root) if not name.startswith(".")),
            "cgroups": [path for path in self.cgroups if os.path.exists(path)],
            "mounts": [line for line in mount_table.lines() if str(self.root) in line],
        }

    def check(self, place: object) -> None:
        assert self._seen() == self.before, place


def full(bundle: Bundle, tmp_path: Path) -> Bundle:
    """A bundle that needs something of everything that creations do."""
    shared, single = tmp_path / "shared", tmp_path / "single"
    shared.mkdir()
    single.write_text("x")
    bundle.config["mounts"] += [
        {"destination": "/made/here", "source": str(shared), "options": ["rbind"]},
        {"destination": "/copy", "source": str(single), "options": ["bind"]},
        {"destination": "/over", "source": str(shared), "options": ["bind"]},
    ]
    bundle.config["annotations"] = {"io.pyrunc.tmp": "private,size=1m", "io.pyrunc.cow": "/copy:/over"}
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/true", "timeout": 10}]}
    bundle.config["linux"]["resources"] = {"pids": {"limit": 50}}
    return bundle.args("/bin/sleep", "100000")


@pytest.fixture
def made(bundle: Callable[..., Bundle], tmp_path: Path, root: Path, container_id: str) -> Made:
    return Made(full(bundle(), tmp_path), root, container_id)


class Made:
    """A container that is made again and again."""

    def __init__(self, bundle: Bundle, root: Path, id_: str) -> None:
        self.bundle = bundle
        self.root = root
        self.id = id_
        self.container: pyrunc.Container | None = None
        self.host = Host(self._new(), root)

    def _new(self) -> pyrunc.Container:
        return pyrunc.Container.create(self.id, self.bundle, root=str(self.root))

    def create(self) -> None:
        self.container = None
        self.container = self._new()

    def delete(self) -> None:
        assert self.container
        self.container.delete(force=True)

    def check(self, place: object) -> None:
        """Nothing is left of it."""
        self.container = None
        self.host.check(place)
        assert not (self.bundle.rootfs / "made").exists(), place


def test_an_interrupted_creation_leaves_nothing(made: Made) -> None:
    made.create()  # now that everything is imported
    made.delete()
    places = interruptions.sites(made.create)
    made.delete()
    assert len(places) > 250
    for place in places:
        interruptions.interrupted(made.create, place)
        if made.container:  # it does not come there every time
            made.delete()
        made.check(place)


@pytest.mark.timeout(300)
def test_an_interrupted_deletion_is_repeated(made: Made) -> None:
    made.create()
    places = interruptions.sites(made.delete)
    assert len(places) > 200
    for place in places[:: 1 if THOROUGH else 7]:
        made.create()
        if interruptions.interrupted(made.delete, place) and (made.root / made.id).exists():
            made.delete()
        if made.container and made.container.process:
            made.container.process.wait()
        made.check(place)


def test_an_interrupted_exec_leaves_the_container_alone(made: Made) -> None:
    made.create()
    assert made.container
    container = made.container
    container.start()
    found: list[pyrunc.Process] = []

    def execute() -> None:
        found.append(container.exec(["/bin/sleep", "100000"]))

    def end() -> None:
        process = found.pop()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    execute()
    end()
    places = interruptions.sites(execute)
    end()
    assert len(places) > 100
    before = sorted(descriptors().items()), children()
    for place in places:
        interruptions.interrupted(execute, place)
        if found:
            end()
        assert (sorted(descriptors().items()), children()) == before, place
    made.delete()


@pytest.fixture
def cgroup2(container_id: str) -> Iterator[Path]:
    """With a process in it."""
    path = Path(cgroup_mounts()[""], container_id)
    path.mkdir()
    with subprocess.Popen(["sleep", "100000"]) as process:
        (path / "cgroup.procs").write_text(str(process.pid))
        yield path
        freezing.thaw({"": str(path)})
        process.kill()
    until(lambda: "populated 0" in (path / "cgroup.events").read_text(), lambda: "it is empty")
    path.rmdir()


@pytest.mark.needs("cgroup2-bare")
def test_an_interrupted_freeze_leaves_nothing_open_and_the_processes_running(cgroup2: Path) -> None:
    cgroups = {"": str(cgroup2)}
    reached = False

    def freeze() -> None:
        nonlocal reached
        reached = False
        freezing.freeze(cgroups)
        reached = True

    freeze()
    freezing.thaw(cgroups)
    places = interruptions.sites(freeze)
    assert len(places) > 30
    before = sorted(descriptors().items())
    for place in places:
        freezing.thaw(cgroups)
        interruptions.interrupted(freeze, place)
        assert sorted(descriptors().items()) == before, place
        # What interrupts the write is met again by the one that takes it back.
        twice = place[0].endswith("/tree.py") and place[1].startswith("write")
        assert reached or twice or (cgroup2 / "cgroup.freeze").read_text() == "0\n", place


@pytest.mark.needs("memory", "busybox")
def test_an_interrupted_watch_for_events_leaves_nothing_open(made: Made) -> None:
    made.create()
    cgroups = json.loads((made.root / made.id / "state.json").read_text())["cgroups"]

    def watch() -> None:
        watched.append(oom.Watch(cgroups))
        watched[-1].close()
        watched.clear()

    watched: list[oom.Watch] = []
    places = interruptions.sites(watch)
    assert len(places) > 10
    before = sorted(descriptors().items())
    for place in places:
        interruptions.interrupted(watch, place)
        while watched:  # its close was interrupted: it is to be repeated
            watched.pop().close()
        assert sorted(descriptors().items()) == before, place
    made.delete()
