"""The conformance suite as a newcomer has it: installed, and called from an empty directory."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.packaging.test_install import new_environment
from tests.unit.conformance.fakes import fake


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin of an environment that the wheel is installed in."""
    return new_environment(tmp_path_factory.mktemp("suite") / "venv", wheel).parent


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def call(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """From ``folder``, with a cache that has no probe yet."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"XDG_CACHE_HOME": f"{folder}-cache", "PYTHONDONTWRITEBYTECODE": "1"}
    words = [str(word) for word in command]
    return subprocess.run(
        words, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=240
    )


def test_what_it_needs_beyond_pyrunc_is_an_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    wanted = {
        line.split()[1].partition(">")[0] for line in lines if line.startswith("Requires-Dist") and "extra" in line
    }
    assert wanted == {"hypothesis", "jsonschema", "pytest", "pytest-xdist"}


def test_all_that_git_knows_of_it_is_in_the_wheel(wheel: Path, checkout: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if name.startswith("conformance/")}
    assert found == {
        str(path.relative_to(checkout)) for path in (checkout / "conformance").rglob("*") if path.is_file()
    }


@pytest.mark.needs("root", "static")
def test_a_section_with_a_real_runtime(bin_folder: Path, empty: Path, tmp_path: Path) -> None:
    suite = (bin_folder / "python", "-m", "conformance", "--runtime", bin_folder / "pyrunc", "--deadline", "120")
    report = tmp_path / "run.json"
    formats = (f"--format=json={report}", "--format=text")
    done = call(empty, *suite, "-n", "0", "--section", "runtime#query-state", *formats)
    assert (done.returncode, done.stderr) == (0, "")
    assert "passed" in done.stdout
    run = json.loads(report.read_text())
    assert {result["verdict"] for result in run["results"]} == {"passed"}
    assert list(empty.iterdir()) == []


@pytest.mark.needs("static")
def test_plain_pytest_and_a_mutant(bin_folder: Path, empty: Path, tmp_path: Path) -> None:
    runtime = fake(tmp_path / "fake")
    test = "test_the_id_is_that_of_create"
    command: list[str | Path] = [
        bin_folder / "python",
        "-m",
        "pytest",
        "-p",
        "conformance.plugin",
        "-p",
        "no:cacheprovider",
    ]
    done = call(empty, *command, "--pyargs", "conformance", "--runtime", runtime, "-k", test)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    listed = call(empty, bin_folder / "python", "-m", "conformance.mutants")
    assert len(listed.stdout.splitlines()) >= 40
    proof = call(empty, bin_folder / "python", "-m", "conformance.mutants.proof", runtime, "has-no-bundle")
    assert (proof.returncode, proof.stdout) == (0, "1 of 1 mutants are caught\n")
    assert list(empty.iterdir()) == []
