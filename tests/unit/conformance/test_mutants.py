"""The table of mutants, and the program that is one of them; tests/root/test_conformance_mutants.py catches them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from conformance import statements
from conformance.mutants import proof
from conformance.mutants.table import CONTROL, MUTANTS
from conformance.runs.results import Result, Run
from conformance.verdict import Verdict
from tests.unit.conformance.fakes import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.mutants.table import Mutant

#: Says what it was given, and shows the config that it was to create a container of.
RUNTIME = """#!/bin/sh
printf '%s\\n' "$@"
case $* in *create*) cat "$3/config.json" ;; esac
"""


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    path = tmp_path / "runtime"
    path.write_text(RUNTIME)
    path.chmod(0o755)
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "config.json").write_text('{"hostname": "a-name",\n "mounts": []}\n')
    return path


def mutant(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "conformance.mutants", *map(str, words)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)


def test_there_are_more_than_forty_and_each_breaks_a_statement_of_the_catalog() -> None:
    known = {statement.id for statement in statements.load() if not statement.untested}
    assert len(MUTANTS) >= 40
    assert {each.breaks for each in MUTANTS.values()} <= known


def test_a_mutant_changes_the_config_of_create_and_gives_the_bundle_back(runtime: Path, bundle: Path) -> None:
    before = (bundle / "config.json").stat()
    done = mutant("ignores-hostname", runtime, "create", "--bundle", bundle, "some-id")
    assert done.returncode == 0, done.stderr
    *words, config = done.stdout.splitlines()
    assert words == ["create", "--bundle", str(bundle), "some-id"]
    assert json.loads(config) == {"mounts": []}
    after = (bundle / "config.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [path.name for path in bundle.iterdir()] == ["config.json"]


def test_the_one_that_breaks_nothing_gives_the_same_config(runtime: Path, bundle: Path) -> None:
    done = mutant(CONTROL.name, runtime, "create", "--bundle", bundle, "some-id")
    assert json.loads(done.stdout.splitlines()[-1]) == json.loads((bundle / "config.json").read_text())


def test_other_verbs_and_options_are_passed_on(runtime: Path) -> None:
    words = ["--root", "/a b", "state", "some-id"]
    assert mutant("ignores-hostname", runtime, *words).stdout.splitlines() == words


def test_the_program_of_a_mutant_is_it(runtime: Path, bundle: Path, tmp_path: Path) -> None:
    program = proof.script(tmp_path, MUTANTS["ignores-hostname"], runtime)
    done = subprocess.run([program, "create", "--bundle", bundle, "x"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == {"mounts": []}
    done = subprocess.run([program, "kill", "x y", "9"], capture_output=True, text=True, check=True)
    assert done.stdout == "kill\nx y\n9\n"


@pytest.mark.parametrize(
    "words", [["no-such-mutant", "/bin/true"], ["ignores-hostname"]], ids=["unknown", "no runtime"]
)
def test_a_wrong_command_line_is_one_sentence(words: list[str]) -> None:
    done = mutant(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{words[0]}: ")
    assert "Traceback" not in done.stderr


def test_without_arguments_they_are_listed() -> None:
    lines = mutant().stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(MUTANTS)


@pytest.fixture
def one() -> Mutant:
    return MUTANTS["ignores-hostname"]


def found(one: Mutant, verdict: str, control: str = "passed", reason: str = "") -> Run:
    made = [
        Result(one.test, "", name, Verdict(word), reason, (one.breaks,))
        for name, word in ((CONTROL.name, control), (one.name, verdict))
    ]
    return Run(started="", seconds=0, machine={}, runtimes=[], results=made, statements=[])


def test_a_mutant_is_caught_by_the_verdict_that_it_names(one: Mutant) -> None:
    assert proof.complaint(found(one, "failed"), one) == ""
    assert proof.complaint(found(one, "broken"), one._replace(broken=True)) == ""


@pytest.mark.parametrize("verdict", ["passed", "broken", "error", "skipped", "unsupported"])
def test_no_other_verdict_catches_it(one: Mutant, verdict: str) -> None:
    assert f"is {verdict}" in proof.complaint(found(one, verdict), one)


def test_a_test_that_fails_anyway_catches_nothing(one: Mutant) -> None:
    assert "a runtime that breaks nothing" in proof.complaint(found(one, "failed", control="failed"), one)


@pytest.mark.parametrize("verdict", ["skipped", "unsupported"])
def test_where_the_machine_lacks_something_nothing_can_be_told(one: Mutant, verdict: str) -> None:
    run = found(one, verdict, control=verdict, reason="there is no such thing")
    assert proof.undecided(run, one, {}) == "there is no such thing"
    assert proof.undecided(found(one, "failed"), one, {}) == ""


def test_a_known_deviation_of_the_real_runtime_proves_nothing(one: Mutant) -> None:
    run = found(one, "failed", control="failed")
    assert proof.undecided(run, one, {one.test: "it does not"}) == f"the runtime itself fails {one.test}: it does not"
    assert proof.undecided(run, one, {"another": "it does not"}) == ""


def test_a_config_that_is_refused_catches_nothing(one: Mutant) -> None:
    reason = "the command should succeed: `runtime create` exited 1"
    assert "does not take the config" in proof.complaint(found(one, "failed", reason=reason), one)


def test_a_proof_of_a_mutant_that_there_is_not_is_one_sentence() -> None:
    command = [sys.executable, "-m", "conformance.mutants.proof", "/bin/true", "no-such-mutant"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no mutant is called no-such-mutant; python -m conformance.mutants lists them\n"
