"""events: the documents are runc's, with the container's own numbers; what the OOM killer does is told."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

import pyrunc
from tests.root.box import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box
    from tests.support.bundles import Bundle

pytestmark = pytest.mark.needs("root", "busybox", "static")

MIB = 1 << 20

#: When it has been told to, by SIGUSR1, it fills its memory.
HUNGRY = "trap 'x=0123456789abcdef; while :; do x=$x$x; done' USR1; echo ready; while :; do sleep 0.02; done"
#: The same in a process of its own, whose end it survives.
HUNGRY_CHILD = (
    "trap 'sh -c \"x=0123456789abcdef; while :; do x=\\$x\\$x; done\"; echo ended' USR1; echo ready;"
    "while :; do sleep 0.02; done"
)


def limited(new_box: Callable[..., Box], script: str, **options: Any) -> Box:
    box = new_box("/bin/sh", "-c", script, **options)
    box.bundle.edit(linux__resources={"memory": {"limit": 16 * MIB, "swap": 16 * MIB}, "pids": {"limit": 30}})
    box.bundle.edit(linux__cgroupsPath=f"/{box.id}")
    return box


@contextmanager
def listening(box: Box, *options: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """``events`` while it runs: the process, and its output."""
    command = [str(box.runtime), "--root", str(box.root), "events", *options, box.id]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            yield running, running.stdout
        finally:
            running.kill()


def document(output: IO[str]) -> dict[str, Any]:
    assert select.select([output], [], [], 60)[0], "no event"
    line = output.readline()
    found = json.loads(line)
    assert line == json.dumps(found, separators=(",", ":")) + "\n"
    assert isinstance(found, dict)
    return found


def shape(value: Any) -> Any:
    """Names and types; of what is left out where it is 0, nothing."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def paths(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {path} | {inner for name, item in value.items() for inner in paths(item, f"{path}.{name}")}
    return {f"{path} {shape(value)}"}


#: Members with a number that another container necessarily has otherwise, and those that only newer versions of runc
#: have: pressure (1.2), counts of events (1.4).  On this layout huge pages come from cgroup2, which runc does not read.
ONLY_OURS = re.compile(r"^\.data\.((cpu|memory|blkio)\.psi|memory\.event_count|hugetlb\.)")
#: Left out where they are 0, and so there in one of two alike and not in the other.
PERHAPS = re.compile(
    r"^\.data\.(cpu\.(usage\.(total|percpu)|throttling\.)|memory\.(cache|\w+\.(usage|max))|blkio\.|pids\.current)"
)


@pytest.mark.needs("runc", "cgroup1")
def test_the_statistics_have_runcs_members_of_runcs_types_in_runcs_order(
    new_box: Callable[..., Box], runc: Path, runtime: Path
) -> None:
    seen = []
    for which in (runc, runtime):
        box = limited(new_box, "sleep 1000", runtime=which).started()
        text = box.command("events", "--stats", "ID").stdout
        assert text.count("\n") == 1
        seen.append(json.loads(text))
    theirs, ours = seen
    assert list(ours) == list(theirs) == ["type", "id", "data"]
    assert list(ours["data"]) == list(theirs["data"])
    for member in ("cpu", "cpuset", "memory", "pids"):
        common = [name for name in ours["data"][member] if name in theirs["data"][member]]
        assert common == [name for name in theirs["data"][member] if name in common]
    differing = paths(theirs) ^ paths(ours)
    assert [path for path in sorted(differing) if not ONLY_OURS.match(path) and not PERHAPS.match(path)] == []
    assert [path for path in paths(theirs) - paths(ours) if not PERHAPS.match(path)] == []


@pytest.mark.needs("runc", "cgroup1")
def test_of_one_container_both_runtimes_report_the_same(
    new_box: Callable[..., Box], runc: Path, runtime: Path, tmp_path: Path
) -> None:
    """A paused container's counters stand still; runc reads them by its own state of the same cgroup."""
    box = limited(
        new_box, "dd if=/dev/zero of=/dev/null bs=1M count=50 2>/dev/null; echo done; sleep 1000", runtime=runc
    )
    box.started().until_output("done")
    box.command("pause", "ID")
    theirs = json.loads(box.command("events", "--stats", "ID").stdout)["data"]
    cgroups = json.loads((box.root / box.id / "state.json").read_text())["cgroup_paths"]
    from pyrunc.host.cgroups import stats

    ours = stats.read(cgroups)
    for member, name in (("cpu", "psi"), ("memory", "psi"), ("blkio", "psi"), ("memory", "event_count")):
        ours[member].pop(name, None)
    for kind in ("usage", "swap", "kernel"):  # what processors hold in advance is given back at any time
        mine, other = (both["memory"][kind].pop("usage") for both in (ours, theirs))
        assert abs(mine - other) < MIB // 2
    assert ours["memory"].pop("raw") == theirs["memory"].pop("raw")
    assert ours["memory"] == theirs["memory"]
    assert ours["cpuset"] == theirs["cpuset"]
    assert ours["pids"] == theirs["pids"]
    assert ours["cpu"] == theirs["cpu"]
    assert ours["blkio"] == theirs["blkio"]


def test_the_numbers_are_the_containers(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, "x=$(dd if=/dev/zero bs=1M count=2 2>/dev/null | tr '\\0' x); sleep 99 & echo full; wait")
    box.started().until_output("full")
    data = json.loads(box.command("events", "--stats", "ID").stdout)["data"]
    assert data["memory"]["usage"]["limit"] == data["memory"]["swap"]["limit"] == 16 * MIB
    assert 2 * MIB < data["memory"]["usage"]["usage"] <= data["memory"]["usage"]["max"] <= 16 * MIB
    assert data["pids"] == {"current": 2, "limit": 30}
    assert data["cpu"]["usage"]["total"] > 0
    assert data["network_interfaces"] is None


def test_statistics_come_at_the_interval_and_the_stream_ends_with_the_container(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, "sleep 1000").started()
    with listening(box, "--interval", "50ms") as (running, output):
        for _ in range(3):
            found = document(output)
            assert (found["type"], found["id"]) == ("stats", box.id)
        box.kill("KILL")
        assert all(json.loads(line)["type"] == "stats" for line in output)
        assert running.wait(60) == 0


def test_running_out_of_memory_is_an_event_as_it_happens(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, HUNGRY_CHILD).started()
    box.until_output("ready")
    with listening(box, "--interval", "1h") as (running, output):
        until(lambda: registered(running.pid), lambda: "it listens")
        for count in (1, 2):
            box.kill("USR1")
            assert document(output) == {"type": "oom", "id": box.id}
            until(lambda count=count: box.output().count("ended") == count, lambda: "the child has ended")  # type: ignore[misc]
        data = json.loads(box.command("events", "--stats", "ID").stdout)["data"]
        assert data["memory"]["event_count"]["oom_kill"] == 2
        assert box.status() == "running"
        box.kill("KILL")
        assert output.read() == ""
        assert running.wait(60) == 0


def registered(pid: int) -> bool:
    """Whether it has come to wait for events: the last that it opens is what tells it."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(entry).endswith(("/memory.oom_control", "/memory.events")):
                return True
        except FileNotFoundError:
            continue  # closed meanwhile
    return False


def tells_its_end(box: Box) -> None:
    """The container, which is HUNGRY and ready, ends by the event that is the last to be told."""
    with listening(box, "--interval", "1h") as (running, output):
        until(lambda: registered(running.pid), lambda: "it listens")
        box.kill("USR1")
        assert document(output) == {"type": "oom", "id": box.id}
        assert output.read() == ""
        assert running.wait(60) == 0


def test_the_last_event_is_told_though_the_container_ends_with_it(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, HUNGRY).started()
    box.until_output("ready")
    tells_its_end(box)


def test_a_container_in_the_foreground_that_was_killed_for_its_memory_says_so(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, "x=0123456789abcdef; while :; do x=$x$x; done")
    result = box.run(status=128 + signal.SIGKILL)
    assert result.stderr == (
        "pyrunc: warning: the kernel's OOM killer has ended 1 of the container's processes"
        f" (its memory limit is {16 * MIB} bytes)\n"
    )
    box.nothing_left()


def test_the_limit_that_is_told_is_the_one_in_force(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, HUNGRY)
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        assert running.stdout.readline() == "ready\n"
        box.command("update", "--memory", "8m", "--memory-swap", "8m", "ID")
        box.kill("USR1")
        said = running.communicate(timeout=60)[1]
    assert said.endswith(f" 1 of the container's processes (its memory limit is {8 * MIB} bytes)\n")
    box.nothing_left()


def test_a_container_in_the_foreground_that_was_killed_otherwise_says_nothing(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, "sh -c 'kill -9 $$'; exit 137")
    assert box.run(status=128 + signal.SIGKILL).stderr.replace("Killed\n", "") == ""


def test_one_that_does_not_run_is_refused(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, "sleep 1000")
    box.create()
    assert json.loads(box.command("events", "--stats", "ID").stdout)["type"] == "stats"
    box.kill("KILL")
    for options in ((), ("--stats",)):
        text = f"pyrunc: container with id {box.id} is not running\n"
        assert box.command("events", *options, "ID", status=1).stderr == text
    box.delete()
    text = f"pyrunc: {box.id}: container does not exist\n"
    assert box.command("events", "--stats", "ID", status=1).stderr == text


def test_a_container_without_cgroups_has_no_statistics(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.create(flags=("--cgroup-manager", "disabled"))
    text = f"pyrunc: {box.id}: it has no cgroup of its own, which would say what it uses\n"
    assert box.command("events", "ID", status=1).stderr == text


def test_from_python(root: Path, bundle: Callable[..., Bundle], container_id: str) -> None:
    made = bundle().args("/bin/sh", "-c", "sh -c 'x=0123456789abcdef; while :; do x=$x$x; done'; sleep 1000")
    made.edit(linux__resources={"memory": {"limit": 16 * MIB}, "pids": {"limit": 30}})
    made.edit(linux__cgroupsPath=f"/{container_id}")
    container = pyrunc.Container.create(container_id, made.path, root=str(root))
    try:
        assert container.stats()["pids"] == {"current": 1, "limit": 30}
        assert container.oom_kills() == 0
        events = container.events(0.05)
        assert next(events)["type"] == "stats"
        container.start()
        assert {"type": "oom", "id": container_id} in (next(events) for _ in range(1000))
        until(lambda: container.oom_kills() == 1, lambda: "the kill, which follows the event, is counted")
        container.kill("KILL")
        assert all(event["id"] == container_id for event in events)
        with pytest.raises(pyrunc.StateError, match=rf"^container with id {container_id} is not running$"):
            container.stats()
        with pytest.raises(pyrunc.UsageError, match=r"^interval: 0 is not more than 0 seconds$"):
            container.events(0)
        assert container.oom_kills() == 1
    finally:
        container.delete(force=True)
