"""A run that a signal ends: nothing of it is left, and the reports say how far it came."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from conformance import processes
from conformance.container import until
from conformance.runs import results
from tests.unit.conformance.fakes import REPOSITORY, fake

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("static")

#: Four cases; the second hangs, in the middle of a test whose container is there.
TEST = "test_state.py::test_the_id_is_that_of_create"
HANGS = {"BEFORE_state": 'case $id in *-A) touch "$0.hangs"; sleep 1000 ;; esac'}
FORMATS = ("text", "json", "junit", "html")


def begin(tmp_path: Path, *options: str, ignored: frozenset[int] = frozenset()) -> subprocess.Popen[str]:
    """The suite with a runtime that hangs, when it does."""

    def dispositions() -> None:
        """As in a terminal, whatever the tests' own process ignores."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    runtime = fake(tmp_path / "fake", HANGS)
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-m", "conformance", "--runtime", str(runtime), "--deadline", "100"]
    command += [f"--format={name}={tmp_path / name}" for name in FORMATS]
    process = subprocess.Popen(
        [*command, *options, TEST],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path / "work")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=dispositions,  # noqa: PLW1509  # nothing here has threads
    )
    until((tmp_path / "fake.hangs").exists, "the runtime should hang", 60)
    return process


def nothing_is_left(tmp_path: Path) -> None:
    assert list((tmp_path / "work").iterdir()) == []
    assert [processes.describe(pid) for pid in processes.mentioning(str(tmp_path / "work"))] == []
    assert [processes.describe(pid) for pid in processes.mentioning(str(tmp_path / "fake"))] == []


@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGINT, "0"), (signal.SIGTERM, "0"), (signal.SIGHUP, "0"), (signal.SIGINT, "2"), (signal.SIGTERM, "2")],
)
def test_a_signal_ends_the_run_cleanly(tmp_path: Path, number: signal.Signals, workers: str) -> None:
    process = begin(tmp_path, "-n", workers)
    process.send_signal(number)
    said = process.communicate(timeout=90)
    assert process.returncode == 128 + number
    assert said == ("", f"ended by {number.name}; what the tests had made is cleared away\n")
    nothing_is_left(tmp_path)
    run = results.read(str(tmp_path / "json"))
    assert {result.verdict for result in run.results} <= {"passed"}, run.results
    assert len(run.results) in ((1,) if workers == "0" else range(4))
    assert run.partial == f"ended by {number.name}, {len(run.results)} of 4 tests have a verdict"
    for name in FORMATS:
        assert run.partial in (tmp_path / name).read_text()


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As nohup(1) wants it; the next one is told by its name."""
    process = begin(tmp_path, "-n", "0", ignored=frozenset({signal.SIGHUP}))
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=90)
    assert process.returncode == 128 + signal.SIGTERM
    nothing_is_left(tmp_path)


def test_workers_of_a_run_that_was_killed_clear_up_all_the_same(tmp_path: Path) -> None:
    process = begin(tmp_path, "-n", "2")
    process.kill()
    process.wait()
    until(lambda: not list((tmp_path / "work").iterdir()), "the workers should clear up", 60)
    until(lambda: not processes.mentioning(str(tmp_path / "fake")), "nothing should run any more", 60)
    process.communicate(timeout=60)
    nothing_is_left(tmp_path)


def test_pytest_by_itself_ends_so_too(tmp_path: Path) -> None:
    """And a run that was stopped by an option is partial as well."""
    runtime = fake(tmp_path / "fake", {"BEFORE_state": "case $id in *-A) exit 1 ;; esac"})
    command = [sys.executable, "-m", "pytest", f"conformance/tests/{TEST}", "--runtime", str(runtime), "-x"]
    command += ["-p", "no:cacheprovider", "-p", "no:randomly", "--report", f"json={tmp_path / 'json'}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stdout
    assert results.read(str(tmp_path / "json")).partial == "stopping after 1 failures, 2 of 4 tests have a verdict"


#: A plugin of pytest: the signal comes while the report of the first test is made, or sent.
PLUGIN = """
import os, signal
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def {hook}({argument}):
    if {argument}.when == "call":
        os.kill(os.getpid(), signal.SIGTERM)
    return (yield)
"""


@pytest.mark.parametrize(
    ("hook", "argument", "workers"),
    [
        ("pytest_runtest_makereport", "call", "0"),
        ("pytest_runtest_makereport", "call", "2"),
        ("pytest_report_to_serializable", "report", "2"),
    ],
)
def test_a_report_that_is_being_made_is_finished(tmp_path: Path, hook: str, argument: str, workers: str) -> None:
    """The signal ends the process in the test after it."""
    (tmp_path / "comes.py").write_text(PLUGIN.format(hook=hook, argument=argument))
    runtime = fake(tmp_path / "fake", {"BEFORE_state": "sleep 1"})
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-m", "pytest", f"conformance/tests/{TEST}", "--runtime", str(runtime), "-n", workers]
    command += ["-p", "no:cacheprovider", "-p", "no:randomly", "-p", "comes", "--report", f"json={tmp_path / 'json'}"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "work"), "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert "INTERNALERROR" not in done.stdout
    run = results.read(str(tmp_path / "json"))
    assert {result.verdict for result in run.results} == {"passed"}, f"{run.results}\n{done.stdout}"
    assert 0 < len(run.results) < 4
    nothing_is_left(tmp_path)
