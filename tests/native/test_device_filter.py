"""The device filter of a cgroup2: attached, felt by who joins the cgroup, detached by whoever had it attached."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.plan.device_rules import Rule, program
from tests.conftest import token
from tests.native.driver import Outcome, drive, ops, shell
from tests.support.requirements import cgroup_mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root", "cgroup2-bare")

NOTHING = program([Rule(False, "a", None, None, "rwm")])

ANOTHER = """
import sys
from pathlib import Path
from tests.native.test_device_filter import attach
attach(Path(sys.argv[1]), sys.argv[2]).check()
"""


@pytest.fixture
def cgroup() -> Iterator[str]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    path = Path(cgroup_mounts()[""], f"pyrunc-test-{token()}-{worker}-filter")
    path.mkdir()
    yield str(path)
    path.rmdir()


def attach(init: Path, cgroup: str) -> Outcome:
    return drive(init, ops(("device_filter", cgroup, NOTHING)))


def may_open(init: Path, cgroup: str) -> bool:
    script = "true </dev/null && echo yes"
    return drive(init, ops(("join_cgroup", f"{cgroup}/cgroup.procs"), *shell(script))).stdout == "yes\n"


def test_one_is_felt_until_it_is_detached(init: Path, cgroup: str) -> None:
    assert may_open(init, cgroup)
    attach(init, cgroup).check()
    assert not may_open(init, cgroup)
    for _ in range(2):  # the second time there is none
        drive(init, ops(("detach_device_filter", cgroup))).check()
        assert may_open(init, cgroup)


def test_that_of_another_runtime_stays(init: Path, cgroup: str) -> None:
    subprocess.run([sys.executable, "-c", ANOTHER, init, cgroup], cwd=Path(__file__).parents[2], check=True)
    attach(init, cgroup).check()
    drive(init, ops(("detach_device_filter", cgroup))).check()
    assert not may_open(init, cgroup)


def test_what_is_no_cgroup2_is_named(init: Path, tmp_path: Path) -> None:
    outcome = drive(init, ops(("detach_device_filter", str(tmp_path))))
    assert outcome.failed(errno.EBADF) == f"list the device filters of {tmp_path}"
    missing = tmp_path / "missing"
    assert drive(init, ops(("detach_device_filter", str(missing)))).failed(errno.ENOENT) == f"open {missing}"
