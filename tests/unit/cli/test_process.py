"""The program as a process: odd environments, descriptors that are closed, full or abandoned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pyrunc

MAIN = Path(pyrunc.__path__[0], "__main__.py")
COMMAND = (sys.executable, "-I", "-S", "-X", "utf8", "-X", f"pyrunc_prefix={sys.prefix}", str(MAIN))


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    given: Any = {"env": {}, "stdin": subprocess.DEVNULL, "capture_output": True, **options}
    return subprocess.run([*COMMAND, *words], check=False, timeout=60, text=True, **given)


def shell(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``script`` with the program's command line in ``"$@"``."""
    command = ["/bin/sh", "-c", script, "sh", *COMMAND, *words]
    return subprocess.run(command, check=False, timeout=60, env={}, capture_output=True, text=True)


def test_an_empty_environment_is_enough(tmp_path: Path) -> None:
    done = run("--root", str(tmp_path), "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"


def test_help_needs_no_environment_either() -> None:
    done = run("kill", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: pyrunc kill [options] <container-id> [signal]\n")


def test_a_deleted_current_directory_matters_only_where_it_is_asked_for(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'cd "$GONE" && rmdir "$GONE" && exec "$@"'
    listed = shell(script.replace("$GONE", str(gone)), "--root", str(tmp_path), "list", "-q")
    assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", "")
    gone.mkdir()
    asked = shell(script.replace("$GONE", str(gone)), "validate")
    assert asked.returncode == 1
    assert asked.stderr == ("pyrunc: .: the current directory does not exist any more (give an absolute path)\n")


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_descriptors_do_no_harm(closed: str, tmp_path: Path) -> None:
    done = shell(f'exec "$@" {closed}', "--root", str(tmp_path), "list", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_closed_standard_output_is_an_error_where_something_is_to_be_printed(tmp_path: Path) -> None:
    done = shell('exec "$@" >&-', "--root", str(tmp_path), "list")
    assert done.returncode == 1
    assert done.stderr == "pyrunc: cannot write standard output: bad file descriptor\n"
    assert shell('exec "$@" >&-', "--help").returncode == 1


def test_an_error_without_standard_error_still_has_its_status(tmp_path: Path) -> None:
    assert shell('exec "$@" 2>&-', "--root", str(tmp_path), "state", "a").returncode == 1


def test_a_full_disk_behind_standard_output_is_an_error(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run("--root", str(tmp_path), "list", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1
    assert done.stderr == "pyrunc: cannot write standard output: no space left on device\n"


def test_an_abandoned_pipe_is_met_with_silence(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run("--root", str(tmp_path), "list", stdout=writer, stderr=subprocess.PIPE, capture_output=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_missing_container_is_one_line_and_status_1(tmp_path: Path) -> None:
    done = run("--root", str(tmp_path), "state", "absent")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pyrunc: absent: container does not exist\n"


def test_it_runs_as_a_module_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyrunc", "--root", str(tmp_path), "list", "-q"],
        cwd=MAIN.parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_of_pythons_is_printed_whatever_the_environment_asks_for(tmp_path: Path) -> None:
    noisy = {
        "PYTHONWARNINGS": "always",
        "PYTHONDEVMODE": "1",
        "PYTHONVERBOSE": "1",
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    done = run("--root", str(tmp_path), "list", "-q", env=noisy)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
