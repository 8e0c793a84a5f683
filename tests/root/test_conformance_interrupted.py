"""A run of the suite that a signal ends in the middle leaves no container, mount or cgroup."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import processes, residue
from conformance.container import until
from conformance.runs import results

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]

#: Notes what it was told, and becomes the runtime.
SCRIPT = """#!/bin/sh
echo "$*" >>{log}
exec {runtime} "$@"
"""

#: Tests with mounts of their own, namespaces that are held, cgroups and several containers.
FILES = ("test_propagation.py", "test_namespace_paths.py", "test_mount_recursive.py", "test_pids_limits.py")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "log"
    path.touch()
    yield path
    for token in tokens(path):
        residue.clear(token, tmp_path / "work", [])


def tokens(log: Path) -> set[str]:
    """What the processes and cgroups of the run's containers are known by."""
    return set(re.findall(r"conformance-[0-9a-f]{8}", log.read_text()))


@pytest.mark.needs("root", "static")
@pytest.mark.parametrize(("after", "workers"), [(9, "0"), (14, "0"), (21, "2"), (34, "2")])
def test_nothing_is_left(pyrunc: Path, tmp_path: Path, log: Path, after: int, workers: str) -> None:
    """The signal comes when the runtime has been called ``after`` times."""
    runtime = tmp_path / "runtime"
    runtime.write_text(SCRIPT.format(log=log, runtime=pyrunc))
    runtime.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir(mode=0o755)
    command = [sys.executable, "-m", "conformance", "--runtime", f"pyrunc={runtime}", "-n", workers]
    process = subprocess.Popen(
        [*command, "--deadline", "120", "--format", f"json={tmp_path / 'run.json'}", *FILES],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(work)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(lambda: len(log.read_text().splitlines()) >= after, "the runtime should be called", 120)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, said
    run = results.read(str(tmp_path / "run.json"))
    assert run.partial.startswith(f"ended by SIGTERM, {len(run.results)} of ")
    assert {result.verdict for result in run.results} <= {"passed", "deviation", "skipped"}
    assert list(work.iterdir()) == []
    assert processes.mentioning(str(work)) == []
    for token in tokens(log):
        assert residue.left(token, work, work / "state", []) == []
