"""Many containers through one containerd: all there at the same time, none lost, nothing left.

Each has a shim of its own, which is what most of the time and memory goes to.  PYRUNC_TEST_CONTAINERS is another number
of them than that of every day; then runc has as many, too, and ``pytest -s`` shows what they took.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import IMAGE, unique

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.callers.ctr import Ctr

pytestmark = pytest.mark.needs("root", "containerd", "ctr", "runc", "busybox", "nsenter", "unshare", "cgroup1")

GIVEN = os.environ.get("PYRUNC_TEST_CONTAINERS")
COUNT = int(GIVEN or "200")
AT_ONCE = 8


def timed(done: Callable[[str], object], names: list[str]) -> tuple[list[float], float]:
    """Do it for all names, AT_ONCE of them at the same time: the seconds of each in order, and of all."""

    def one(name: str) -> float:
        before = time.monotonic()
        done(name)
        return time.monotonic() - before

    before = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        taken = sorted(pool.map(one, names))
    return taken, time.monotonic() - before


def listed(ctr: Ctr, runtime: str) -> dict[str, str]:
    """What the runtime itself knows: id -> status."""
    done = ctr.containerd.enclosure.run([runtime, "--root", "/run/containerd/runc/default", "list", "--format", "json"])
    assert done.returncode == 0, done.stderr
    return {entry["id"]: entry["status"] for entry in json.loads(done.stdout) or ()}


@pytest.mark.parametrize("which", [*(["runc"] if GIVEN else []), "pyrunc"])
@pytest.mark.timeout(900)
def test_many_containers_are_there_at_once_and_gone_afterwards(ctr: Ctr, which: str) -> None:
    runtime = ctr.runtime if which == "pyrunc" else ctr.reference
    containerd = ctr.containerd
    group = unique()
    names = [f"{group}-{number}" for number in range(COUNT)]

    def start(name: str) -> None:
        words = ["--detach", "--null-io", *ctr.options(runtime, name), IMAGE, name, "/bin/sleep", "100000"]
        containerd.ctr("run", *words)

    def remove(name: str) -> None:
        containerd.ctr("task", "rm", "--force", name)
        containerd.ctr("container", "rm", name)

    started = timed(start, names)
    try:
        tasks = [line.split() for line in containerd.ctr("task", "ls").splitlines()]
        running = {words[0]: words[1] for words in tasks if words[0].startswith(group) and words[2] == "RUNNING"}
        assert running.keys() == set(names)
        assert len(set(running.values())) == COUNT
        assert {name: status for name, status in listed(ctr, runtime).items() if name in running} == dict.fromkeys(
            names, "running"
        )
        for name in names[:: COUNT // 4]:
            assert containerd.script(name, "echo here").stdout == b"here\n"
    finally:
        removed = timed(remove, names)
    assert not {name for name in listed(ctr, runtime) if name.startswith(group)}
    commands = (
        ["find", "/sys/fs/cgroup", "/run", "-name", f"*{group}*"],
        ["cat", "/proc/self/mountinfo"],
        ["ps", "-eo", "args"],
    )
    for command in commands:
        said = containerd.enclosure.run(command).stdout.decode()
        assert not [line for line in said.splitlines() if group in line and "find" not in line], command[0]
    for verb, (taken, whole) in (("run", started), ("remove", removed)):
        shares = ", ".join(f"p{share} {taken[(COUNT - 1) * share // 100] * 1000:.0f}" for share in (50, 90, 99, 100))
        print(f"{which}: {COUNT} containers, {AT_ONCE} at once: {verb} {shares} ms; all in {whole:.1f} s")
