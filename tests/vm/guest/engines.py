"""podman with one cgroup manager and one runtime, and what it makes of a container that has a limit of every kind.

Podman is slow under emulation: one container's life is observed from `run` to `rm`, and tests compare parts of that.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import uuid
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.callers.podman import image
from tests.support import programs
from tests.support.command import Result, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.vm.guest.differences import Table

RUNTIMES = ("pyrunc", "runc", "crun")
MANAGERS = ("systemd", "cgroupfs")
IMAGE = "localhost/probe:latest"
MIB = 1 << 20
DISK = "/dev/nvme0n1"

LIMITS = (
    "--memory=64m", "--memory-swap=96m", "--memory-reservation=32m", "--cpu-shares=512", "--cpu-period=100000",
    "--cpu-quota=50000", "--cpuset-cpus=0", "--pids-limit=33", "--cgroup-conf=memory.high=50331648",
)  # fmt: skip
#: What only root may: to weigh and throttle disks, and to add a device to those of the default.
PRIVILEGED = ("--blkio-weight=200", f"--device-write-bps={DISK}:1mb", "--device=/dev/fuse")
UPDATE = ("--memory=48m", "--memory-swap=48m", "--cpu-shares=2048", "--cpu-quota=20000")

#: Settings of the container's cgroup, as opposed to counters.
FILES = (
    "memory.max", "memory.high", "memory.low", "memory.min", "memory.swap.max", "cpu.weight", "cpu.max", "cpu.idle",
    "cpuset.cpus", "cpuset.mems", "pids.max", "io.max", "io.weight", "io.bfq.weight", "hugetlb.2MB.max",
    "cgroup.freeze",
)  # fmt: skip
PROPERTIES = (
    "Slice", "Delegate", "MemoryMax", "MemoryHigh", "MemoryLow", "MemorySwapMax", "CPUWeight", "CPUQuotaPerSecUSec",
    "CPUQuotaPeriodUSec", "AllowedCPUs", "TasksMax", "IOWeight", "CPUAccounting", "MemoryAccounting", "IOAccounting",
    "TasksAccounting", "DefaultDependencies", "KillMode", "CollectMode",
)  # fmt: skip


class Life(NamedTuple):
    """What was seen of a container: files by name, properties of its unit by name, and so on."""

    files: dict[str, str]
    unit: dict[str, str]
    devices: str
    updated: dict[str, str]
    updated_unit: dict[str, str]
    left: list[str]


class Verbs(NamedTuple):
    """What was seen of a container that was paused, and of one that took too much memory."""

    paused: str
    resumed: str
    stats: dict[str, Any]
    oom: tuple[bool, int]


class Engine:
    """``podman --cgroup-manager MANAGER --runtime RUNTIME``, as whoever runs the tests."""

    def __init__(self, manager: str, runtime: str) -> None:
        path = (
            os.path.join(sys.prefix, "bin", "pyrunc")
            if runtime == "pyrunc"
            else shutil.which(runtime, path=programs.PATH)
        )
        assert path, f"{runtime} is not installed"
        self.manager = manager
        self.base = ["podman", "--cgroup-manager", manager, "--runtime", path]

    def __call__(self, *words: str, status: int | None = 0) -> Result:
        return run(*self.base, *words, status=status, timeout=200)


@cache
def imported(folder: Path) -> str:
    """The image, in the storage of whoever runs the tests."""
    if run("podman", "image", "exists", IMAGE, status=None, timeout=200).status:
        busybox = programs.busybox()
        assert busybox
        archive = folder / "image.tar"
        archive.write_bytes(image(busybox, Path(__file__).parents[2] / "callers" / "look.sh"))
        run("podman", "import", "-c", "ENV PATH=/bin", str(archive), IMAGE, timeout=200)
    return IMAGE


#: Each device is opened for reading; who may not is told by the kernel.  Not with ':', at whose failure a shell ends.
_OPENS = """
for d in null zero random fuse kmsg mem; do true </dev/$d && echo $d; done 2>/dev/null
echo .
exec sleep 1000
"""


@contextmanager
def running(engine: Engine, folder: Path, *options: str) -> Iterator[tuple[str, Path, str]]:
    """A container that sleeps: its name, its cgroup, and which devices it could open; removed at the end."""
    name = f"guest-{uuid.uuid4().hex[:12]}"
    pid, log = folder / "pid", folder / "log"
    noted = [f"--pidfile={pid}", "--log-driver=k8s-file", f"--log-opt=path={log}"]
    try:
        engine("run", "--detach", "--name", name, "--net=none", *noted, *options, IMAGE, "/bin/sh", "-c", _OPENS)
        until(lambda: log.exists() and log.read_text().endswith(" .\n"), "the container has opened its devices")
        opened = [line.split()[-1] for line in log.read_text().splitlines()]
        yield name, cgroup(int(pid.read_text())), " ".join(opened[:-1])
    finally:
        engine("rm", "--force", "--time=0", "--ignore", name)


def life(folder: Path, manager: str, runtime: str, *options: str) -> Life:
    """The life of a container with ``options``, its limits updated once, and what it left behind."""
    engine = Engine(manager, runtime)
    with running(engine, folder, *options) as (name, where, opened):
        files, unit = settings(where), properties(where, manager)
        engine("update", *UPDATE, name)
        updated, updated_unit = settings(where), properties(where, manager)
    left = [str(path) for path in (where, where.parent) if path.exists() and "libpod-" in path.name]
    if manager == "systemd" and shown(name_of_unit(where), "ActiveState")["ActiveState"] != "inactive":
        left.append(name_of_unit(where))
    return Life(files, unit, opened, updated, updated_unit, left)


def verbs(folder: Path, manager: str, runtime: str) -> Verbs:
    """pause, unpause, stats, and the OOM killer."""
    engine = Engine(manager, runtime)
    with running(engine, folder, "--memory=64m") as (name, where, _):
        engine("pause", name)
        paused = frozen(where)
        engine("unpause", name)
        resumed = frozen(where)
        stats = json.loads(engine("stats", "--no-stream", "--format", "json", name).stdout)[0]
    return Verbs(paused, resumed, stats, oom(engine))


def oom(engine: Engine) -> tuple[bool, int]:
    """What is told of a container that wants more memory than it may have: OOMKilled, and its exit status."""
    name = f"guest-{uuid.uuid4().hex[:12]}"
    greedy = ["dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"]
    try:
        done = engine(
            "run",
            "--name",
            name,
            "--net=none",
            "--memory=16m",
            "--memory-swap=16m",
            IMAGE,
            "busybox",
            *greedy,
            status=None,
        )
        return engine("inspect", "--format={{.State.OOMKilled}}", name).stdout == "true\n", done.status
    finally:
        engine("rm", "--force", "--time=0", "--ignore", name)


def cgroup(pid: int) -> Path:
    """The container's cgroup; crun makes one below its unit, in which the limits are, too."""
    return Path("/sys/fs/cgroup" + Path("/proc", str(pid), "cgroup").read_text().strip().removeprefix("0::"))


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; AssertionError after a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def settings(where: Path) -> dict[str, str]:
    return {name: (where / name).read_text().strip() for name in FILES if (where / name).exists()}


def frozen(where: Path) -> str:
    events = dict(line.split() for line in (where / "cgroup.events").read_text().splitlines())
    return events["frozen"]


def name_of_unit(where: Path) -> str:
    return next(path.name for path in (where, *where.parents) if path.name.endswith(".scope"))


def properties(where: Path, manager: str) -> dict[str, str]:
    return shown(name_of_unit(where), *PROPERTIES) if manager == "systemd" else {}


def shown(unit: str, *names: str) -> dict[str, str]:
    user = ["--user"] if os.geteuid() else []
    lines = run("systemctl", *user, "show", *(f"--property={name}" for name in names), unit).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines)


def differing(ours: dict[str, str], theirs: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """name -> (their value, ours), of those that are not equal."""
    names = sorted({*ours, *theirs})
    return {name: (theirs.get(name), ours.get(name)) for name in names if theirs.get(name) != ours.get(name)}


def known(table: Table, runtime: str, manager: str, command: str) -> dict[str, tuple[str, str]]:
    """What `differing` returns if nothing differs but what the table says."""
    return {
        name: (theirs, ours)
        for (name, runtimes, managers, commands), (theirs, ours, _) in table.items()
        if runtime in runtimes and manager in managers and command in commands
    }
