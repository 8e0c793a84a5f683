"""The daemons of the tests end with them, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import mount_table

pytestmark = pytest.mark.needs("root", "containerd", "busybox", "nsenter", "unshare", "cgroup1")

CONTAINERD = """\
import sys
from pathlib import Path
from tests.callers.containerd import Containerd
from tests.callers.ctr import Ctr, task
from tests.callers.enclosure import Enclosure
directory, runtime = Path(sys.argv[1]), sys.argv[2]
with Enclosure(directory) as enclosure, Containerd(enclosure, directory, runtime) as containerd:
    with task(Ctr(containerd), runtime, script="exec sleep 1000"):
        print(enclosure.pid, containerd.cgroup, flush=True)
        sys.stdin.read()
"""


DOCKER = """\
import sys
from pathlib import Path
from tests.callers.docker import SETUP, Docker
from tests.callers.enclosure import Enclosure
from tests.callers.engine import SLEEP, running
directory, runtime = Path(sys.argv[1]), sys.argv[2]
with Enclosure(directory, setup=SETUP) as enclosure, Docker(enclosure, directory, runtime) as docker:
    with running(docker, docker.runtime, "sleeper", *SLEEP):
        print(enclosure.pid, docker.cgroup, flush=True)
        sys.stdin.read()
"""


def left(namespace: str, cgroup: str) -> list[str]:
    """The processes of a pid namespace, those that have the cgroup's name as an argument, and its directories."""
    found = [str(path) for path in Path("/sys/fs/cgroup").glob(f"*{cgroup}")]
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (
                os.readlink(entry / "ns/pid") == namespace or cgroup[1:].encode() in (entry / "cmdline").read_bytes()
            ):
                found.append(entry.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass  # it has ended, or is none of ours
    return found


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(CONTAINERD, id="containerd", marks=pytest.mark.needs("ctr")),
        pytest.param(DOCKER, id="docker", marks=pytest.mark.needs("dockerd", "docker", "runc")),
    ],
)
def test_a_killed_run_leaves_nothing(pyrunc: Path, tmp_path: Path, program: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), str(pyrunc)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout
        first, cgroup = run.stdout.readline().split()
        # As long as it is open, no other namespace is given its number.
        with open(f"/proc/{first}/ns/pid") as held:
            namespace = os.readlink(f"/proc/self/fd/{held.fileno()}")
            ended(run, namespace, cgroup)
        assert not [line for line in mount_table.lines() if str(tmp_path) in line]


def ended(run: subprocess.Popen[str], namespace: str, cgroup: str) -> None:
    """Kill it, and wait until nothing is left."""
    assert len(left(namespace, cgroup)) > 3  # cgroups, the first process, the daemon, a shim
    run.send_signal(signal.SIGKILL)
    run.wait()
    deadline = time.monotonic() + 60
    while found := left(namespace, cgroup):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
