"""pyrunc passes the conformance suite, but for what is listed in conformance/expected/pyrunc.toml."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
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
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = Counter(result["verdict"] for result in json.loads(report.read_text())["results"])
    assert set(verdicts) <= {"passed", "deviation", "skipped", "unsupported"}
    assert verdicts["passed"]
