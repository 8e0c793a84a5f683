"""A runtime that cannot be tested gets a clear verdict, and never a traceback of the suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance import features, health, installed, processes
from conformance.container import until
from conformance.verdict import Broken, Failed, Hung
from tests.unit.conformance.fakes import conformance, fake

pytestmark = pytest.mark.needs("static")

#: A test that every runtime passes that lives through the smallest container.
ONE = ("test_state.py::test_a_created_container", "-n", "0")


def judged(tmp_path: Path, runtime: Path, *options: str) -> list[dict[str, Any]]:
    """The results of one test with this runtime."""
    ran = conformance("--runtime", runtime, "--format", f"json={tmp_path / 'run.json'}", *ONE, *options)
    assert "Traceback" not in ran.stdout + ran.stderr
    assert ran.stderr == ""
    run = json.loads((tmp_path / "run.json").read_text())
    assert ran.status == (0 if all(result["verdict"] == "passed" for result in run["results"]) else 1)
    found = run["results"]
    assert isinstance(found, list)
    # Evidence stands beside the results, by its number.
    for result in found:
        result["evidence"] = {
            kind: [run["evidence"][number] for number in numbers] for kind, numbers in result["evidence"].items()
        }
    return found


def test_the_fake_is_good_unless_something_is_made_wrong(tmp_path: Path) -> None:
    (result,) = judged(tmp_path, fake(tmp_path / "fake"))
    assert (result["verdict"], result["reason"]) == ("passed", "")
    assert result["decides"]
    assert [call["status"] for call in result["evidence"]["commands"]] == [0] * len(result["evidence"]["commands"])
    assert result["evidence"]["configs"][0]["config"]["process"]["args"] == ["/probe", "wait"]


@pytest.mark.parametrize(
    ("hook", "wrong", "said"),
    [
        ("BEFORE_create", "echo nothing works >&2; exit 3", "nothing works"),
        ("BEFORE_create", "exit 0", "the file of --pid-file has no pid"),
        ("BEFORE_create", "kill -SEGV $$", "the runtime crashed, killed by SIGSEGV"),
        ("BEFORE_create", "echo hello", "writes to standard output, which is the container's: 'hello"),
        ("AFTER_create", 'kill -9 $!; wait; printf 999999999 >"$4"', "its process 999999999 does not exist"),
        ("AFTER_create", 'printf "none of your business" >"$4"', "the file of --pid-file has no pid: 'none of"),
        ("BEFORE_start", "exit 9", "the command should succeed"),
        ("BEFORE_start", "echo started", "writes to standard output"),
        ("BEFORE_state", "echo '<state/>'; exit 0", "prints no JSON: <state/>"),
        ("BEFORE_state", "exit 0", "prints no JSON: nothing"),
        ("BEFORE_state", "echo '[1]'; exit 0", "prints no object: [1]"),
        ("BEFORE_state", "echo '{}'; exit 0", "without a status: {}"),
        ("BEFORE_state", "echo '{\"status\": 7}'; exit 0", "without a status"),
        ("BEFORE_state", 'echo \'{"status": "fine"}\'; exit 0', "the status is 'fine'"),
        ("BEFORE_state", "head -c 300000 /dev/urandom; exit 0", "prints no JSON"),
        ("BEFORE_kill", "exit 1", "the command should succeed"),
        ("BEFORE_delete", "echo no >&2; exit 1", "stderr: no"),
    ],
)
def test_one_thing_is_wrong(tmp_path: Path, hook: str, wrong: str, said: str) -> None:
    runtime = installed.find(str(fake(tmp_path / "fake", {hook: wrong})))
    complaint = health.complaint(runtime, 20)
    assert complaint.startswith("fake cannot live through the smallest container:\n")
    assert said in complaint


def test_a_complaint_is_the_verdict_of_each_test(tmp_path: Path) -> None:
    (result,) = judged(tmp_path, fake(tmp_path / "fake", {"BEFORE_state": "echo '<state/>'; exit 0"}))
    assert result["verdict"] == "broken"
    assert "prints no JSON: <state/>" in result["reason"]


@pytest.mark.parametrize("hook", ["BEFORE_create", "BEFORE_start", "BEFORE_state", "BEFORE_delete"])
def test_a_runtime_that_hangs_is_killed_with_what_it_started(tmp_path: Path, hook: str) -> None:
    """What it started has left the session."""
    mark = tmp_path / "mark"
    runtime = fake(tmp_path / "fake", {hook: f"setsid sh -c 'echo $$ >{mark}; exec sleep 1000'"})
    complaint = health.complaint(installed.find(str(runtime)), 1)
    assert "the runtime hangs: it was killed after 1 s, with all that it started" in complaint
    pid = int(mark.read_text())
    until(lambda: not processes.alive(pid), f"{pid} should be killed")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x7fELF, more or less", "cannot be executed: Exec format error"),
        (b"#!/no/such/interpreter\n", "cannot be executed: No such file or directory"),
    ],
)
def test_a_file_that_is_no_program(tmp_path: Path, content: bytes, said: str) -> None:
    runtime = tmp_path / "fake"
    runtime.write_bytes(content)
    runtime.chmod(0o755)
    assert said in health.complaint(installed.find(str(runtime)), 20)


def test_a_runtime_that_hangs_in_each_test_is_not_asked_for_ever(tmp_path: Path) -> None:
    """Each time takes a deadline, and there are a thousand tests; the container before all tests lives well."""
    runtime = fake(tmp_path / "fake", {"BEFORE_delete": '[ -e "$0.later" ] && sleep 1000; touch "$0.later"'})
    report = tmp_path / "run.json"
    options = ("--deadline", "5", "--hangs", "2", "-n", "0", "--format", f"json={report}")
    ran = conformance("--runtime", runtime, *options, "test_state.py::test_the_id_is_that_of_create")
    assert (ran.status, ran.stdout, ran.stderr) == (1, "", "")
    results = json.loads(report.read_text())["results"]
    assert {result["verdict"] for result in results} == {"broken"}
    reasons = sorted(result["reason"].partition("\n")[0] for result in results)
    assert reasons[:2] == ["fake was not asked: it had hung in 2 tests (--hangs 2)"] * 2
    assert all(reason.startswith("the runtime hangs: it was killed after 5 s") for reason in reasons[2:])


def test_what_hangs_beside_a_failure_counts_and_what_tests_share_counts_once(tmp_path: Path) -> None:
    runtime = installed.find(str(fake(tmp_path / "fake")))
    patience = health.Patience(2)
    shared = Hung("shared")
    for error in (None, Failed("no"), shared, BaseExceptionGroup("several", [shared])):
        patience.note(runtime, error, None)
        assert patience.complaint(runtime) == ""
    patience.note(runtime, Failed("no"), Hung("clearing up"))
    assert "it had hung in 2 tests" in patience.complaint(runtime)
    assert patience.complaint(installed.find("other=/bin/true")) == ""


@pytest.mark.parametrize("wrong", ["kill -SEGV $$", "echo '['; exit 0"], ids=["crashes", "garbage"])
def test_features_are_asked_for_once(tmp_path: Path, wrong: str) -> None:
    """Hundreds of tests want to know, and a runtime that hangs there would take its time for each."""
    runtime = tmp_path / "fake"
    runtime.write_text(f'#!/bin/sh\nfor verb; do [ "$verb" = features ] && echo >>"$0.asked"; done\n{wrong}\n')
    runtime.chmod(0o755)
    found = installed.find(str(runtime))
    for _ in range(3):
        with pytest.raises(Broken):
            features.told(found)
    assert (tmp_path / "fake.asked").read_text() == "\n"


def test_a_bad_runtime_does_not_keep_a_good_one_from_being_tested(tmp_path: Path) -> None:
    good = fake(tmp_path / "good")
    bad = fake(tmp_path / "bad", {"BEFORE_create": "exit 1"})
    results = judged(tmp_path, good, "--runtime", str(bad))
    assert {result["runtime"]: result["verdict"] for result in results} == {"good": "passed", "bad": "broken"}


def test_what_a_runtime_leaves_behind_is_a_failure(tmp_path: Path) -> None:
    """Only for one test: the smallest container is deleted as it should be."""
    wrong = {"BEFORE_delete": 'case $1 in --force) cp -r "$here" "$here.left";; esac'}
    (result,) = judged(tmp_path, fake(tmp_path / "fake", wrong))
    assert result["verdict"] == "failed"
    assert result["reason"].startswith("the runtime left behind:\nstate conformance-")
    assert result["reason"].rstrip().splitlines()[1].endswith(".left")


def test_a_bundle_that_was_changed_is_a_failure(tmp_path: Path) -> None:
    wrong = {"BEFORE_create": 'echo >"$2/lock"; case $id in *-2) ;; esac'}
    (result,) = judged(tmp_path, fake(tmp_path / "fake", wrong))
    assert "the bundle's lock was changed" in result["reason"]
