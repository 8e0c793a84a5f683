"""What a sandbox that was asked for no limits may take of the host: files, processes, memory, what a user has once."""

from __future__ import annotations

import subprocess
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import HostError, UsageError
from tests.root.sandboxes import cgroups, members
from tests.support.command import run
from tests.support.residue import descriptors

if TYPE_CHECKING:
    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


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


def test_empty_files_are_limited_like_what_is_in_them(sandboxes: Sandboxes) -> None:
    box = sandboxes(workspace=("/work", "1m"), tmp="1m", writable="1m", user=0, timeout=60)
    script = """
import errno, os
def fill(where):
    number = 0
    try:
        while number < 20000:
            os.close(os.open(f"{where}/{number}", os.O_CREAT | os.O_WRONLY))
            number += 1
    except OSError as error:
        assert error.errno == errno.ENOSPC, (where, error)
    for made in range(number):
        os.unlink(f"{where}/{made}")
    return number
for where in ("/work", "/tmp", "/dev/shm", "/var"):
    print(where, fill(where))
"""
    result = box.run(["python3", "-c", script], text=True)
    assert result.returncode == 0, result.stderr
    found = dict(line.split() for line in result.stdout.splitlines())
    assert all(0 < int(found[where]) <= 1024 for where in ("/work", "/tmp", "/var")), found
    assert 0 < int(found["/dev/shm"]) <= 16384, found


def test_a_directory_with_too_many_entries_is_refused_by_the_limit(sandboxes: Sandboxes) -> None:
    box = sandboxes(workspace="/work", timeout=60)
    box.run(["sh", "-c", "seq 20 | xargs touch"], check=True)
    assert len(box.listdir()) == len(box.listdir(max_entries=20)) == 20
    with pytest.raises(HostError, match=r"^/work: has more than 19 entries"):
        box.listdir("/work", max_entries=19)
    with pytest.raises(UsageError, match="max_entries=0"):
        box.listdir(max_entries=0)


def test_too_many_changes_are_refused_by_the_limit(sandboxes: Sandboxes) -> None:
    box = sandboxes(workspace="/work", writable=True, user=0, timeout=60)
    box.run(["sh", "-c", "seq 10 | xargs touch; cd /var; seq 10 | xargs touch"], check=True)
    before = len(descriptors())
    count = len(box.diff())
    assert count >= 20
    assert box.diff(max_entries=count) == box.diff()
    with pytest.raises(HostError, match=rf"more than {count - 1} changes\b"):
        box.diff(max_entries=count - 1)
    with pytest.raises(UsageError, match='max_entries="x"'):
        box.diff(max_entries="x")  # type: ignore[arg-type]
    assert len(descriptors()) == before


def test_paths_that_would_fill_the_memory_are_refused_by_the_limit(sandboxes: Sandboxes, pyrunc: Path) -> None:
    box = sandboxes(workspace="/work", timeout=60)
    script = "import os\nfor level in range({}):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)\n"
    box.run(["python3", "-c", script.format(300)], check=True)
    assert len(box.diff()) == 300
    box.run(["mkdir", "deep"], check=True)
    box.run(["python3", "-c", script.format(5000)], cwd="/work/deep", check=True)
    tracemalloc.start()
    try:
        with pytest.raises(HostError, match="path has more than 65536 bytes") as refused:
            box.diff()
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert refused.value.hint == "`pyrunc diff` tells them one at a time, but for paths of more than 4095 bytes"
    told = run(pyrunc, "--root", sandboxes.root, "diff", box.id)
    assert "has a path of more than 4095 bytes is left out" in told.stderr
    # Of either tree what has a path that can be said, and /work/deep.
    assert [len(line) for line in told.stdout.splitlines()][-1] <= len("A ") + 4095
    assert len(told.stdout.splitlines()) == 2 * ((4095 - len("/work")) // 201) + 1


@pytest.mark.needs("psi")
def test_the_load_of_the_host_is_not_to_be_watched(sandboxes: Sandboxes) -> None:
    result = sandboxes().run(["ls", "-A", "/proc/pressure"])
    assert (result.returncode, result.stdout) == (0, b"")
