"""The sandbox against what a program would use in its place: bwrap, podman, and no isolation at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.bench.measure import Case, CommandFailed, Timings, spawn
from tests.bench.podman_config import Podman
from tests.support import programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from pyrunc import Sandbox

#: The same namespaces and mounts as those of a sandbox.
BWRAP = (
    "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup", "--die-with-parent",
    "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--hostname", "sandbox",
)  # fmt: skip
THREADS, BOXES, ALIVE = 8, 400, 500


def new(rootfs: Path, root: Path) -> Sandbox:
    from pyrunc import Sandbox

    return Sandbox(rootfs=rootfs, root=root, memory="64m", pids=64)


def existing(rootfs: Path, root: Path) -> Timings:
    """One run in a sandbox that is there already."""
    with new(rootfs, root) as box:
        box.run(["/bin/true"])
        started = time.perf_counter()
        box.run(["/bin/true"])
        return {"run": time.perf_counter() - started}


def fresh(rootfs: Path, root: Path) -> Timings:
    """A sandbox from nothing, one run in it, and its end."""
    started = time.perf_counter()
    with new(rootfs, root) as box:
        box.run(["/bin/true"])
    return {"run": time.perf_counter() - started}


def through_subprocess(*words: str) -> Callable[[], Timings]:
    """As a program does it that wants the output."""

    def call() -> Timings:
        started = time.perf_counter()
        done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        took = time.perf_counter() - started
        if done.returncode:
            raise CommandFailed(f"{' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")
        return {"run": took}

    return call


def cases(bundle: Path, states: Path, scratch: Path, floor: list[str]) -> list[Case]:
    rootfs, root = bundle / "rootfs", states / "sandbox"
    found = [
        Case("kernel floor", lambda: {"run": spawn(floor)}),
        Case("subprocess.run, no isolation", through_subprocess(str(rootfs / "bin/true"))),
        Case("Sandbox.run", lambda: existing(rootfs, root)),
        Case("Sandbox: create, run, close", lambda: fresh(rootfs, root)),
    ]
    bwrap = shutil.which("bwrap", path=programs.PATH)
    if bwrap:
        words: tuple[str, ...] = (bwrap, "--ro-bind", str(rootfs), "/", *BWRAP, "/bin/true")
        found.append(Case("bwrap", through_subprocess(*words)))
    podman = Podman.find(scratch)
    if podman:
        runc = shutil.which("runc", path=programs.PATH)  # what podman takes by itself may not know this cgroup layout
        words = podman.words(
            *(("--runtime", runc) if runc else ()),
            "run",
            "--rm",
            "--network",
            "none",
            "--rootfs",
            str(rootfs),
            "/bin/true",
        )
        found.append(Case("podman run", through_subprocess(*words)))
    return found


def throughput(bundle: Path, states: Path) -> list[list[str]]:
    """Rows of a table: sandboxes in a second, and how many can be there at once."""
    rootfs, root = bundle / "rootfs", states / "throughput"

    def one(_: object) -> None:
        with new(rootfs, root) as box:
            box.run(["/bin/true"])

    one(None)
    with ThreadPoolExecutor(THREADS) as pool:
        started = time.perf_counter()
        list(pool.map(one, range(BOXES)))
        rate = BOXES / (time.perf_counter() - started)
    before = descriptors()
    alive: list[Any] = []
    try:
        started = time.perf_counter()
        alive += [new(rootfs, root) for _ in range(ALIVE)]
        made = time.perf_counter() - started
        works = all(box.run(["/bin/true"]).returncode == 0 for box in alive)
        opened = descriptors() - before
    finally:
        for box in alive:
            box.close()
    return [
        ["sandboxes", "is", "goal", ""],
        [f"a second, with {THREADS} threads", f"{rate:.0f}", ">= 200", "met" if rate >= 200 else "MISSED"],
        ["alive at once", str(len(alive)), f">= {ALIVE}", "met" if works else "MISSED"],
        ["seconds to make those, one by one", f"{made:.1f}", "", ""],
        ["descriptors for each of those", f"{opened / ALIVE:.0f}", "", ""],
    ]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
