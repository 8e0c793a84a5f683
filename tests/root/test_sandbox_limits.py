"""What a sandbox that was asked for no limits may take of the host: files, processes, memory, what a user has once."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.sandboxes import Sandboxes, cgroups, members

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


@pytest.fixture
def sandboxes(root: Path) -> Iterator[Sandboxes]:
    made = Sandboxes(root)
    yield made
    made.close()


def test_a_fork_bomb_leaves_the_host_able_to_fork(sandboxes: Sandboxes) -> None:
    box = sandboxes(timeout=60)
    script = """
import errno, os, time
made = 0
while made < 5000:
    try:
        if os.fork() == 0:
            time.sleep(1000)
        made += 1
    except OSError as error:
        assert error.errno == errno.EAGAIN, error
        break
print(made)
"""
    result = box.run(["python3", "-c", script], text=True)
    assert 400 < int(result.stdout) < 512, result.stderr
    assert subprocess.run(["true"], check=False).returncode == 0
    box.kill()
    assert members(box) == []
    assert box.run(["echo", "alive"]).stdout == b"alive\n"


def test_the_default_limits_stand_in_the_cgroup_and_none_takes_them_away(sandboxes: Sandboxes) -> None:
    def found(**wanted: None) -> dict[str, str]:
        places = [Path(place) for place in cgroups(sandboxes(**wanted).id)]
        names = ("pids.max", "memory.limit_in_bytes", "memory.max")
        return {
            name: (place / name).read_text().strip() for place in places for name in names if (place / name).exists()
        }

    limits = found()
    assert limits["pids.max"] == "512"
    assert str(1 << 30) in limits.values()
    limits = found(memory=None, pids=None)
    assert limits.get("pids.max", "max") == "max"
    assert str(1 << 30) not in limits.values()


def test_terminals_queues_and_pending_signals_are_limited(sandboxes: Sandboxes) -> None:
    box = sandboxes(rlimits={"nofile": 4096})
    script = """
import errno, os, resource
made = []
try:
    while len(made) < 1000:
        made.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
except OSError as error:
    assert error.errno == errno.ENOSPC, error
print(len(made), *resource.getrlimit(resource.RLIMIT_SIGPENDING), *resource.getrlimit(resource.RLIMIT_MSGQUEUE))
"""
    result = box.run(["python3", "-c", script], text=True)
    assert result.stdout.split() == ["256", "1024", "1024", "262144", "262144"], result.stderr
