"""Many containers that stay, made by each runtime in turn: percentiles of what that took, and what one costs in memory.
``./dev bench load``

This process is the subreaper, as conmon and the containerd shim are, so that every process that a runtime leaves behind
is seen, a monitor too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.cases import make_bundle
from tests.bench.measure import reap, spawn
from tests.support import memory, programs
from tests.support.config import default_config
from tests.support.interruptions import children
from tests.support.orphans import adopted

if TYPE_CHECKING:
    from collections.abc import Callable

VERBS = ("create", "start", "delete")
PERCENTILES = (50, 90, 99, 100)


class Fleet:
    """The containers of one runtime, what each verb took, and who stays for them."""

    def __init__(self, name: str, path: str, states: Path) -> None:
        self.name = name
        self.command = [path, "--root", str(states / name)]
        self.pid_file = str(states / f"{name}.pid")
        self.taken: dict[str, list[float]] = {verb: [] for verb in VERBS}
        self.containers: dict[str, int] = {}
        self.beside: set[int] = set()

    def make(self, bundle: Path, number: int) -> None:
        """Create and start a container."""
        name = f"load-{os.getpid()}-{self.name}-{number}"
        before = children()
        create = [*self.command, "create", "--bundle", str(bundle), "--pid-file", self.pid_file, name]
        taken = spawn(create), spawn([*self.command, "start", name])
        for verb, seconds in zip(VERBS, taken, strict=False):
            self.taken[verb].append(seconds)
        self.containers[name] = int(Path(self.pid_file).read_text())
        self.beside |= children() - before - {self.containers[name]}

    def delete(self, name: str) -> None:
        self.taken["delete"].append(spawn([*self.command, "delete", "--force", name]))
        reap(self.containers.pop(name))


def percentile(values: list[float], share: int) -> float:
    """The least of ``values`` that ``share`` percent of them do not exceed."""
    return sorted(values)[max(0, -(-share * len(values) // 100) - 1)]


def latencies(fleets: list[Fleet]) -> list[list[str]]:
    rows = [["", *(f"p{share}" if share < 100 else "max" for share in PERCENTILES)]]
    for verb in VERBS:
        for fleet in fleets:
            values = [percentile(fleet.taken[verb], share) for share in PERCENTILES]
            rows.append([f"{verb}, {fleet.name}", *(f"{value * 1000:.1f} ms" for value in values)])
    return rows


def costs(fleets: list[Fleet]) -> list[list[str]]:
    """For each container, while all are there."""
    rows = [["memory of a container", "processes", "their PSS", "its cgroup"]]
    for fleet in fleets:
        pids = [*fleet.containers.values(), *fleet.beside]
        count = len(fleet.containers)
        shares = sum(map(memory.pss, pids)) / count, sum(map(memory.charged, fleet.containers.values())) / count
        rows.append([fleet.name, f"{len(pids) / count:g}", *(f"{share / 1024:.0f} KiB" for share in shares)])
    return rows


def measured(fleets: list[Fleet], bundle: Path, count: int) -> list[list[str]]:
    """Lead the containers' lives, a step with each runtime in turn; the memory that they took."""
    try:
        for number in range(count):
            for fleet in fleets if number % 2 else reversed(fleets):
                fleet.make(bundle, number)
        return costs(fleets)
    finally:
        while any(fleet.containers for fleet in fleets):
            for fleet in fleets:
                if fleet.containers:
                    fleet.delete(next(iter(fleet.containers)))


def main(words: list[str], table: Callable[[str, list[list[str]]], None]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench load", description=__doc__)
    parser.add_argument("--containers", type=int, default=1000, help="with each runtime (default: %(default)s)")
    count = parser.parse_args(words).containers
    if os.geteuid() != 0:
        parser.error("run it as root: runc needs it for the same namespaces")
    runtimes = {"pyrunc": str(Path(sys.prefix, "bin", "pyrunc")), "runc": shutil.which("runc", path=programs.PATH)}
    # State lies on a tmpfs, as /run does on every system that boots.
    with (
        tempfile.TemporaryDirectory(prefix="pyrunc-bench-") as folder,
        tempfile.TemporaryDirectory(prefix="pyrunc-bench-", dir="/dev/shm") as states,
        adopted(),
    ):
        bundle = make_bundle(Path(folder, "bundle"), default_config(), "pause")
        fleets = [Fleet(name, path, Path(states)) for name, path in runtimes.items() if path]
        rows = measured(fleets, bundle, count)
    print(f"\n{count} containers of each runtime at once, made in turn, {os.cpu_count()} CPUs")
    table("How long it took", latencies(fleets))
    table("While all were there", rows)
    return 0
