"""``python -m conformance`` and ``pytest conformance``: what they take, what they refuse, what they print."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from conformance import installed, options
from conformance.runs import results
from conformance.verdict import Verdict
from tests.unit.conformance.fakes import REPOSITORY, conformance, fake

pytestmark = pytest.mark.needs("static")

ONE = "test_state.py::test_a_created_container"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which runtime?  --runtime PATH names one"),
        (["--runtime", "/no/such/file"], "runtime /no/such/file: there is no such file"),
        (["--runtime", "/etc/passwd"], "runtime /etc/passwd: it is not executable"),
        (["--runtime", "/usr"], "runtime /usr: it is no file"),
        (["--runtime", "no-such-command-anywhere"], "there is no such command on PATH"),
        (["--runtime", "/bin/true", "--runtime", "/usr/bin/true"], "two runtimes are called true"),
        (["--runtime", "/bin/true", "--runtime-option", "runk:--debug"], "no runtime is called runk; there is true"),
        (["--runtime", "/bin/true", "--section", "config-solaris"], "no statement is in the section 'config-solaris'"),
        (["--runtime", "/bin/true", "--format", "tap"], "there is no format 'tap'; there are text, json, junit, html"),
        (["--runtime", "/bin/true", "--deadline", "0"], "it is a number of seconds above 0"),
        (["--runtime", "/bin/true", "-n", "0", "-k", "there_is_no_such_test"], "no test fits"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_one_sentence(arguments: list[str], said: str) -> None:
    ran = conformance(*arguments)
    assert ran.status == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_options_of_somebody_s_pytest_are_not_for_the_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-v --durations=3")
    assert conformance("--runtime", fake(tmp_path / "good"), "-n", "0", ONE).status == 0


@pytest.mark.parametrize(("given", "seconds"), [(5, (60, 120)), (20, (60, 120)), (60, (180, 360))])
def test_with_more_time_for_commands_there_is_more_for_tests(given: float, seconds: tuple[float, float]) -> None:
    settings = options.Settings((), given, 1, None, (), Path())
    assert (settings.test_deadline(), settings.test_deadline(120)) == seconds


def test_without_pytest_it_is_told_what_to_install() -> None:
    command = [sys.executable, "-S", "-m", "conformance", "--runtime", "/bin/true"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("the suite runs by pytest, which is not here: pip install pytest")
    assert "Traceback" not in done.stderr


def test_verbose_is_what_pytest_prints(tmp_path: Path) -> None:
    ran = conformance("--runtime", fake(tmp_path / "good"), "-n", "0", "-v", ONE)
    assert ran.status == 0
    assert "test session starts" in ran.stdout


def test_each_format_tells_of_each_verdict(tmp_path: Path) -> None:
    good = fake(tmp_path / "good")
    bad = fake(tmp_path / "bad", {"BEFORE_state": "exit 0"})
    files = {name: tmp_path / f"run.{name}" for name in ("text", "json", "junit", "html")}
    formats = [word for name, file in files.items() for word in ("--format", f"{name}={file}")]
    ran = conformance("--runtime", good, "--runtime", f"other={bad}", "-n", "2", *formats, ONE)
    assert (ran.status, ran.stdout, ran.stderr) == (1, "", "")
    text = files["text"].read_text()
    assert "good 1.2.3" in text
    assert "tests       1 passed" in text
    assert f"BROKEN other {ONE}\n" in text
    assert "  runtime.state.status (REQUIRED: " in text
    assert "prints no JSON: nothing" in text
    run = results.load(files["json"].read_text())
    assert [(each.runtime, each.verdict) for each in run.results] == [
        ("good", Verdict.PASSED), ("other", Verdict.BROKEN),
    ]  # fmt: skip
    assert run.verdict("good", "runtime.state.status") is Verdict.PASSED
    assert run.verdict("other", "runtime.state.status") is Verdict.BROKEN
    assert run.verdict("good", "runtime.kill.no-id") is None
    suites = {suite.get("name"): suite for suite in ET.fromstring(files["junit"].read_text())}
    assert suites["good"].get("failures") == "0"
    assert suites["other"].get("failures") == "1"
    failure = suites["other"].find("testcase/failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("broken: other cannot live")
    page = files["html"].read_text()
    assert page.count("broken: runtime.state.status, other") == 1
    assert "prints no JSON: nothing" in page


def test_a_section_selects_what_decides_it(tmp_path: Path) -> None:
    ran = conformance("--list", "--section", "runtime#kill")
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert lines
    assert all(any(name.startswith("runtime.kill.") for name in decided) for _, *decided in lines)
    assert not any(test.startswith("test_create.py") for test, *_ in lines)


def test_pytest_by_itself_runs_it_too(tmp_path: Path) -> None:
    runtime = fake(tmp_path / "fake")
    command = [
        sys.executable,
        "-m",
        "pytest",
        f"conformance/tests/{ONE}",
        "--runtime",
        str(runtime),
        "-p",
        "no:cacheprovider",
    ]
    command += ["--report", f"json={tmp_path / 'run.json'}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert json.loads((tmp_path / "run.json").read_text())["verdicts"]["fake"]["runtime.state.status"] == "passed"


def test_the_projects_own_tests_are_without_it() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert settings["testpaths"] == ["tests"]


def deviations(folder: Path, name: str, **entry: Any) -> Path:
    lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
    (folder / f"{name}.toml").write_text("\n".join(["[[deviation]]", *lines]) + "\n")
    return folder


LISTED = {"test": ONE, "statement": "runtime.state.status-created", "observed": "it says otherwise"}


def verdict(tmp_path: Path, runtime: Path, *options: str) -> tuple[int, str, str]:
    report = ("--format", f"json={tmp_path / 'run.json'}")
    ran = conformance("--runtime", runtime, "-n", "0", *report, "--expected", tmp_path, ONE, *options)
    (result,) = results.load((tmp_path / "run.json").read_text()).results
    return ran.status, result.verdict, result.reason


def test_a_listed_deviation_is_no_failure_and_its_absence_is(tmp_path: Path) -> None:
    deviations(tmp_path, "fake", **LISTED)
    status, ended, reason = verdict(tmp_path, fake(tmp_path / "fake"))
    assert (status, ended) == (1, "unexpected")
    assert reason == "it passes, but expected/fake.toml lists it: it says otherwise; remove the entry"
    broken = fake(tmp_path / "fake", {"BEFORE_state": "exit 0"})
    status, ended, reason = verdict(tmp_path, broken)
    assert (status, ended) == (0, "deviation")
    assert reason.startswith("it says otherwise\n")


@pytest.mark.parametrize(
    ("condition", "ended"),
    [
        ({"versions": ["1.2"]}, "unexpected"),
        ({"versions": ["1.3", "2"]}, "passed"),
        ({"where": ["selinux"]}, "passed"),
        ({"sometimes": True}, "passed"),
    ],
    ids=["this version", "another version", "another machine", "a race"],
)
def test_a_deviation_may_be_of_a_version_or_a_kind_of_machine(
    tmp_path: Path, condition: dict[str, Any], ended: str
) -> None:
    deviations(tmp_path, "fake", **LISTED, **condition)
    assert verdict(tmp_path, fake(tmp_path / "fake"))[1] == ended


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({**LISTED, "observed": ""}, "deviation 1: observed must be a text"),
        ({**LISTED, "because": "x"}, "unknown key 'because'"),
        ({"test": ONE}, "statement is missing"),
        ({**LISTED, "where": ["mars"]}, "unknown need 'mars'"),
        ({**LISTED, "versions": "1.2"}, "versions must be a list of texts"),
        ({**LISTED, "sometimes": False}, "sometimes must be true, or left out"),
    ],
)
def test_a_bad_list_of_deviations_is_refused(tmp_path: Path, entry: dict[str, Any], said: str) -> None:
    deviations(tmp_path, "fake", **entry)
    ran = conformance("--runtime", fake(tmp_path / "fake"), "--expected", tmp_path, ONE)
    assert ran.status == 2
    assert said in ran.stderr


def test_options_are_for_all_runtimes_or_one() -> None:
    found = installed.find_all(["a=/bin/true", "b=/bin/true"], ["--debug", "b:--systemd-cgroup"], "--root")
    assert [each.options for each in found] == [("--debug",), ("--debug", "--systemd-cgroup")]


def test_a_run_is_read_as_it_was_written_and_nothing_else_is() -> None:
    twice = {"commands": [{"command": "x"}] * 2}
    run = results.Run(
        "2026-01-01T00:00:00+00:00", 1.5, {"kernel": "6"}, [results.Tested("a", "/a", "1", ("--x",))],
        [results.Result("t", "n", "a", Verdict.FAILED, "why", ("s",), "about", 0.5, twice)],
        [{"id": "s", "section": "d#a", "level": "MUST", "says": "x"}],
    )  # fmt: skip
    assert results.load(results.dump(run)) == run
    for text in ("", "[]", "{}", '{"specification": "1.3.0", "format": 99}', '{"specification": "1.3.0", "format": 1}'):
        with pytest.raises(results.Unreadable):
            results.load(text)
