"""The conformance suite as an ordinary user: every container has a user namespace, and what needs more is skipped."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command import run

if TYPE_CHECKING:
    from tests.rootless.conftest import User

pytestmark = pytest.mark.needs("userns", "setpriv", "static")

REPOSITORY = Path(__file__).parents[2]
#: Those in which a user namespace makes the most difference.
FILES = (
    "test_annotations.py", "test_hooks.py", "test_mounts.py", "test_namespaces.py", "test_time_namespaces.py",
    "test_user.py",
)  # fmt: skip


@pytest.mark.parametrize("file", FILES)
def test_the_suite_has_no_complaint(user: User, file: str) -> None:
    report = user.home / "run.json"
    env = {**user.env, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(user.home), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "conformance", "--runtime", user.runtime, "-n", "0", "--deadline", "120", file]
    arguments = [*user.prefix, *map(str, command), "--format", f"json={report}", "--format", "text"]
    done = run(*arguments, env=env, cwd=user.home, timeout=280, status=None)
    assert done.status == 0, done.stdout + done.stderr
    verdicts = Counter(result["verdict"] for result in json.loads(report.read_text())["results"])
    assert set(verdicts) <= {"passed", "deviation", "skipped"}
    assert verdicts["passed"]
