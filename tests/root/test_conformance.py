"""pyrunc passes the conformance suite, but for what is listed in conformance/expected/pyrunc.toml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support import requirements

REPOSITORY = Path(__file__).parents[2]

#: For what a test of the suite may be skipped: kinds of machines, of which none has all.  So says the suite's reason,
#: which is believed where the project's own probe finds the same.
KINDS = ("apparmor", "cap_sys_resource", "cgroup1", "cgroup2")

#: Seconds for a file; the processor of the virtual machine is emulated.
PATIENCE = 280 if requirements.unmet("guest") else 7000

FILES = sorted(path.name for path in (REPOSITORY / "conformance" / "tests").glob("test_*.py"))


@pytest.mark.needs("root", "static")
@pytest.mark.parametrize("file", FILES)
def test_the_suite_has_no_complaint(pyrunc: Path, tmp_path: Path, file: str) -> None:
    """A file at a time, one test after the other: this is one of many tests that run at once.

    ``python -m conformance --runtime "$(./dev path)"`` is the same by itself, on all processors.
    """
    report = tmp_path / "run.json"
    command = [sys.executable, "-m", "conformance", "--runtime", pyrunc, "-n", "0", "--deadline", "120", file]
    done = subprocess.run(
        [*map(str, command), "--format", f"json={report}", "--format", "text"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(report.read_text())["results"]
    verdicts = Counter(result["verdict"] for result in results)
    assert set(verdicts) <= {"passed", "deviation", "skipped"}
    assert verdicts["passed"]
    reasons = {result["reason"] for result in results if result["verdict"] == "skipped"}
    if unknown := {reason for reason in reasons if not of_this_kind_of_machine(reason)}:
        (pytest.fail if os.environ.get("PYRUNC_REQUIRE") == "all" else pytest.skip)(str(unknown))


def of_this_kind_of_machine(reason: str) -> bool:
    """Is a test skipped for what this machine cannot have?"""
    need = reason.removeprefix("needs ").partition(":")[0]
    return reason.startswith("needs ") and need in KINDS and bool(requirements.unmet(need))


@pytest.mark.parametrize(
    "reason", ["needs veth: there are no veth devices", "cgroup2", "needs seccomp", "", "needs root: x"]
)
def test_other_reasons_are_none(reason: str) -> None:
    assert not of_this_kind_of_machine(reason)
