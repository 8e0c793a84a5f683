"""podman with one cgroup manager and one runtime, and what it makes of a container that has a limit of every kind.

Podman is slow under emulation: one container's life is observed from `run` to `rm`, and tests compare parts of that.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import time
import uuid
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.callers.engine import image
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
#: Seconds for anything: the machine may be emulated, and its host busy.
DEADLINE = 200

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
    verbs: Verbs | None
    updated: dict[str, str]
    updated_unit: dict[str, str]
    oom: tuple[int, int]
    left: list[str]


class Verbs(NamedTuple):
    """What was seen of a container that was paused and resumed: `stats` of podman, and what the files said before it
    and behind it."""

    paused: str
    resumed: str
    stats: dict[str, Any]
    usage: tuple[dict[str, int], dict[str, int]]


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

    def __call__(self, *words: str, before: tuple[str, ...] = (), cwd: Path | None = None) -> Result:
        """``before`` are the words of a program that starts podman."""
        return run(*before, *self.base, *words, timeout=DEADLINE, cwd=cwd)


@cache
def imported(folder: Path) -> str:
    """The image, in the storage of whoever runs the tests."""
    if run("podman", "image", "exists", IMAGE, status=None, timeout=DEADLINE).status:
        busybox = programs.busybox()
        assert busybox
        archive = folder / "image.tar"
        archive.write_bytes(image(busybox, Path(__file__).parents[2] / "callers" / "look.sh"))
        run("podman", "import", "-c", "ENV PATH=/bin", str(archive), IMAGE, timeout=DEADLINE)
    return IMAGE


#: Each device is opened for reading; who may not is told by the kernel.  Not with ':', at whose failure a shell ends.
#: At USR1 a child wants more memory than any limit of these tests lets it have, and then it is "over"; at TERM the
#: status of that is the container's.
PROGRAM = """
trap 'busybox dd if=/dev/zero of=/dev/null bs=100M count=1; status=$?; echo over' USR1
trap 'exit $status' TERM
for d in null zero random fuse kmsg mem; do true </dev/$d && echo $d; done 2>/dev/null
echo .
sleep 1000 &
while true; do wait $!; done
"""


class Running(NamedTuple):
    """A container that sleeps: its first process, its cgroup, which devices it could open, and its output."""

    name: str
    pid: int
    cgroup: Path
    devices: str
    log: Path


@contextmanager
def running(engine: Engine, folder: Path, *options: str) -> Iterator[Running]:
    """A container that sleeps, removed at the end."""
    name = f"guest-{uuid.uuid4().hex[:12]}"
    pid, log = folder / "pid", folder / "log"
    words = [f"--pidfile={pid}", "--log-driver=k8s-file", f"--log-opt=path={log}", *options, IMAGE]
    try:
        engine("run", "--detach", "--name", name, "--net=none", *words, "/bin/sh", "-c", PROGRAM, cwd=folder)
        until(lambda: log.exists() and log.read_text().endswith(" .\n"), "the container has opened its devices")
        opened = [line.split()[-1] for line in log.read_text().splitlines()]
        first = int(pid.read_text())
        yield Running(name, first, cgroup(first), " ".join(opened[:-1]), log)
    finally:
        engine("rm", "--force", "--time=0", "--ignore", name)


def life(folder: Path, manager: str, runtime: str, *options: str, verbs: bool = True) -> Life:
    """The life of a container with ``options``, and what it left behind: it is paused, resumed and looked at (with
    ``verbs``), its limits are updated, and one of its processes wants more memory than there is."""
    engine = Engine(manager, runtime)
    with running(engine, folder, *options) as box:
        where = box.cgroup
        files, unit = settings(where), properties(where, manager)
        seen = _verbs(engine, box) if verbs else None
        engine("update", *UPDATE, box.name)
        updated, updated_unit = settings(where), properties(where, manager)
        killed = _oom(engine, box)
    left = [str(path) for path in (where, where.parent) if path.exists() and "libpod-" in path.name]
    if manager == "systemd" and shown(name_of_unit(where), "ActiveState")["ActiveState"] != "inactive":
        left.append(name_of_unit(where))
    return Life(files, unit, box.devices, seen, updated, updated_unit, killed, left)


def _verbs(engine: Engine, box: Running) -> Verbs:
    engine("pause", box.name)
    paused = frozen(box.cgroup)
    engine("unpause", box.name)
    resumed = frozen(box.cgroup)
    before = usage(box.cgroup)
    stats = json.loads(engine("stats", "--no-stream", "--format", "json", box.name).stdout)[0]
    return Verbs(paused, resumed, stats, (before, usage(box.cgroup)))


def _oom(engine: Engine, box: Running) -> tuple[int, int]:
    """One of the container's processes wants more memory than there is, and then the container ends: how often the OOM
    killer has been at work in its cgroup, and what podman says is its exit status.

    Not `OOMKilled`: conmon 2.1 misses it or not as events come, and where it notes it podman 4.3 does not look.
    """
    fields = Path(f"/proc/{box.pid}/stat").read_text().rpartition(")")[2].split()
    end = os.pidfd_open(int(fields[1]))
    try:
        os.kill(box.pid, signal.SIGUSR1)
        until(lambda: " over\n" in box.log.read_text(), "memory has run out")
        events = dict(line.split() for line in (box.cgroup / "memory.events").read_text().splitlines())
        os.kill(box.pid, signal.SIGTERM)
        assert select.select([end], [], [], DEADLINE)[0], "conmon has cleaned up"
    finally:
        os.close(end)
    status = engine("inspect", "--format={{.State.ExitCode}}", box.name).stdout
    return int(events["oom_kill"]), int(status)


def cgroup(pid: int) -> Path:
    """The container's cgroup; crun makes one below its unit, in which the limits are, too."""
    return Path("/sys/fs/cgroup" + Path("/proc", str(pid), "cgroup").read_text().strip().removeprefix("0::"))


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; AssertionError if it does not come about."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def octets(text: str) -> float:
    """A size as podman prints it: 67.11MB."""
    digits = text.rstrip("kMGB")
    return float(digits) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[text[len(digits) :]]


def remove(cgroup: Path) -> None:
    """One that podman makes and leaves, as soon as its last process has ended."""
    until(lambda: not (cgroup / "cgroup.procs").read_text(), f"there is no process in {cgroup}")
    cgroup.rmdir()


def settings(where: Path) -> dict[str, str]:
    return {name: (where / name).read_text().strip() for name in FILES if (where / name).exists()}


def usage(where: Path) -> dict[str, int]:
    return {name: int((where / name).read_text()) for name in ("memory.current", "pids.current")}


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


#: Rows of the tables about these are not met where a container's disks have no weights.
WEIGHTS = ("io.weight", "io.bfq.weight", "IOWeight")


def known(
    table: Table, runtime: str, manager: str, command: str, without: tuple[str, ...] = ()
) -> dict[str, tuple[str, str]]:
    """What `differing` returns if nothing differs but what the table says; ``without`` the rows of these names."""
    return {
        name: (theirs, ours)
        for (name, runtimes, managers, commands), (theirs, ours, _) in table.items()
        if runtime in runtimes and manager in managers and command in commands and name not in without
    }
