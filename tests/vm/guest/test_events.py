"""events on cgroup2: runc's documents, the numbers of the container's files, and what the OOM killer does."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.host.cgroups import oom, stats
from tests.root.box import until
from tests.root.test_events import (
    HUNGRY,
    HUNGRY_CHILD,
    MIB,
    document,
    limited,
    listening,
    paths,
    registered,
    tells_its_end,
)
from tests.vm.guest.units import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("guest", "root")

BUSY = "dd if=/dev/zero of=/dev/null bs=1M count=50 2>/dev/null; echo done; sleep 1000"
#: What runc 1.1, which the guest has, leaves out on cgroup2.
ONLY_OURS = (
    ("cpu", "psi"), ("memory", "psi"), ("blkio", "psi"), ("memory", "event_count"), ("cpuset", "cpus"),
    ("cpuset", "mems"),
)  # fmt: skip

FLAGS_OF: tuple[tuple[str, ...], ...] = ((), FLAGS)


def folder_of(box: Box) -> Path:
    return next(path for path in box.cgroups() if (path / "pids.max").exists())


def test_of_one_container_both_runtimes_report_the_same(new_box: Callable[..., Box], runc: Path) -> None:
    """A paused container's counters stand still; runc reads them by its own state of the same cgroup."""
    box = limited(new_box, BUSY, runtime=runc).started()
    box.until_output("done")
    box.command("pause", "ID")

    def read() -> tuple[dict[str, Any], dict[str, Any]]:
        theirs = json.loads(box.command("events", "--stats", "ID").stdout)["data"]
        ours: dict[str, Any] = stats.read({"": str(folder_of(box))})
        assert list(ours) == list(theirs)
        for member, name in ONLY_OURS:
            assert ours[member].pop(name, None) is not None, (member, name)
        usage = ours["memory"]["usage"]
        if "max" not in theirs["memory"]["usage"]:  # runc 1.1.15 has it
            assert usage["usage"] <= usage.pop("max") <= 16 * MIB
        if not theirs["hugetlb"]:  # as runc 1.1.15 says of Linux 6.12
            assert all(not counted["failcnt"] for counted in ours["hugetlb"].values())
            ours["hugetlb"] = {}
        assert paths(ours) ^ paths(theirs) == set()
        for told in (theirs, ours):  # runc's own program, where the container was the first to read it from the disk
            del told["memory"]["raw"]["file_mapped"]
        return theirs, ours

    last = read()

    def alike() -> bool:
        """What processors have counted or hold in advance, the kernel adds up or gives back at any time."""
        nonlocal last
        last = read()
        return last[0] == last[1]

    until(alike, lambda: f"the same numbers, not {last[0]} and {last[1]}")


def test_the_numbers_are_those_of_the_files(new_box: Callable[..., Box]) -> None:
    box = limited(new_box, BUSY)
    box.started().until_output("done")
    box.command("pause", "ID")
    data = json.loads(box.command("events", "--stats", "ID").stdout)["data"]
    folder = folder_of(box)
    assert data["memory"]["usage"]["limit"] == int((folder / "memory.max").read_text()) == 16 * MIB
    assert data["memory"]["swap"]["limit"] == 16 * MIB
    assert data["pids"] == {"current": int((folder / "pids.current").read_text()), "limit": 30}
    found = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
    assert data["cpu"]["usage"] == {
        "total": int(found["usage_usec"]) * 1000,
        "kernel": int(found["system_usec"]) * 1000,
        "user": int(found["user_usec"]) * 1000,
    }
    assert set(data["cpu"]["psi"]) == {"some", "full"}


def started(box: Box, flags: tuple[str, ...]) -> Box:
    if flags:
        box.bundle.edit(linux__cgroupsPath=f"system.slice:box:{box.id}")
    box.create(flags=flags)
    box.start()
    box.until_output("ready")
    return box


@pytest.mark.parametrize("flags", FLAGS_OF, ids=["cgroupfs", "systemd"])
def test_running_out_of_memory_is_an_event_as_it_happens(flags: tuple[str, ...], new_box: Callable[..., Box]) -> None:
    box = started(limited(new_box, HUNGRY_CHILD), flags)
    with listening(box, "--interval", "1h") as (running, output):
        until(lambda: registered(running.pid), lambda: "it listens")
        box.kill("USR1")
        assert document(output) == {"type": "oom", "id": box.id}
        until(lambda: box.output().count("ended") == 1, lambda: "the child has ended")
        counts = json.loads(box.command("events", "--stats", "ID").stdout)["data"]["memory"]["event_count"]
        assert counts["oom_kill"] == 1
        box.kill("KILL")
        assert output.read() == ""
        assert running.wait(60) == 0


@pytest.mark.parametrize("flags", FLAGS_OF, ids=["cgroupfs", "systemd"])
def test_the_last_event_is_told_though_the_container_ends_with_it(
    flags: tuple[str, ...], new_box: Callable[..., Box]
) -> None:
    tells_its_end(started(limited(new_box, HUNGRY), flags))


@pytest.mark.parametrize("flags", FLAGS_OF, ids=["cgroupfs", "systemd"])
def test_a_container_in_the_foreground_that_was_killed_for_its_memory_says_so(
    flags: tuple[str, ...], new_box: Callable[..., Box]
) -> None:
    box = limited(new_box, "x=0123456789abcdef; while :; do x=$x$x; done")
    if flags:
        box.bundle.edit(linux__cgroupsPath=f"system.slice:box:{box.id}")
    assert box.run(flags=flags, status=128 + signal.SIGKILL).stderr == (
        "pyrunc: warning: the kernel's OOM killer has ended 1 of the container's processes"
        f" (its memory limit is {16 * MIB} bytes)\n"
    )
    box.nothing_left()


@pytest.mark.parametrize(("how", "kills"), [("USR1", 1), ("KILL", 0)], ids=["no memory", "a signal"])
def test_a_kill_is_known_though_nobody_looked_before_systemd_removed_the_cgroup(
    new_box: Callable[..., Box], how: str, kills: int
) -> None:
    """And what happens beside it, or is no matter of memory, is not taken for one."""
    box, other = (started(limited(new_box, HUNGRY), FLAGS) for _ in range(2))
    folder = folder_of(box)
    watch = oom.Watch(json.loads((box.root / box.id / "state.json").read_text())["cgroups"])
    try:
        other.kill("USR1")
        other.until_stopped()
        watch.struck()
        assert (watch.kills, watch.fd >= 0) == (0, True)
        box.kill(how)
        until(lambda: not folder.exists(), lambda: "systemd removes the cgroup")
        assert watch.struck() == bool(kills)
        assert (watch.kills, watch.limit, watch.fd) == (kills, 16 * MIB, -1)
    finally:
        watch.close()


def test_a_document_has_every_member_though_nothing_is_limited(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000").started()
    found: dict[str, Any] = json.loads(box.command("events", "--stats", "ID").stdout)
    assert list(found) == ["type", "id", "data"]
    members = ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"]
    assert list(found["data"]) == members
    assert found["data"]["memory"]["usage"]["limit"] == found["data"]["memory"]["swap"]["limit"] == (1 << 64) - 1
    assert found["data"]["pids"] == {"current": 1}
