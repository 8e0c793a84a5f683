"""Arguments of the command line that are wrong: ids, the root directory, options; and the log of errors."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.support.command import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "..", "a b", "ünï", "a\nb", "/abs", "x*", "\t"])
def test_an_id_that_is_no_name(box: Box, name: str) -> None:
    box.id = name
    result = box.leaving("create", "--bundle", box.bundle, name, status=1)
    assert "invalid container ID format" in result.stderr
    assert not box.root.exists() or os.listdir(box.root) == []


def test_an_empty_id(box: Box) -> None:
    said = box.leaving("create", "--bundle", box.bundle, "", status=1).stderr
    assert "container id cannot be empty" in said.lower()


def test_an_id_that_is_too_long(box: Box) -> None:
    result = box.leaving("create", "--bundle", box.bundle, "x" * 1025, status=1)
    assert "invalid container ID format" in result.stderr or "too long" in result.stderr.lower()


@pytest.mark.needs("setpriv", "unshare")
def test_a_full_disk_for_the_state(box: Box, tmp_path: Path) -> None:
    # A tmpfs of one page in a mount namespace of the test's own: the directory fits, the state does not.
    script = (
        'mount -t tmpfs -o size=4k,nr_inodes=100 tmpfs "$1"; head -c 4096 /dev/zero >"$1/filler"; shift;'
        ' "$@"; status=$?; ls -A "$0"; exit $status'
    )
    box.root.mkdir()
    command = [str(box.runtime), "--root", str(box.root), "create", "--bundle", str(box.bundle.path), box.id]
    result = run(
        "unshare", "-m", "--propagation", "private", "sh", "-c", script, box.root, box.root, *command, status=1
    )
    assert "no space left on device" in result.stderr.lower()
    assert result.stdout == "filler\n"
    box.nothing_left()


@pytest.mark.parametrize("limit", range(4, 13))
def test_too_few_descriptors(box: Box, limit: int) -> None:
    words = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    result = run("sh", "-c", 'ulimit -n "$0"; exec "$@"', str(limit), *words, status=1)
    (line,) = result.stderr.splitlines()
    assert "too many open files" in line
    assert "not built" not in line
    assert "Errno" not in line
    box.nothing_left()


@pytest.mark.needs("setpriv", "python-for-all")
def test_no_permission_for_the_root_directory(box: Box) -> None:
    box.root.mkdir(mode=0o700)
    command = [str(box.runtime), "--root", str(box.root), "create", "--bundle", str(box.bundle.path), box.id]
    result = run("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *command, status=None)
    assert result.status == 1
    assert "permission denied" in result.stderr.lower()
    box.nothing_left()


def test_a_root_directory_that_cannot_be_made(box: Box) -> None:
    box.root = box.bundle.path / "config.json" / "state"
    said = box.leaving("create", "--bundle", box.bundle, "ID", status=1).stderr
    assert "not a directory" in said.lower()


def test_a_root_directory_that_is_a_file(box: Box) -> None:
    box.root = box.bundle.path / "config.json"
    said = box.leaving("create", "--bundle", box.bundle, "ID", status=1).stderr
    assert "not a directory" in said.lower()


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["create", "--no-such-option", "ID"],
        ["create"],
        ["create", "ID", "second"],
        ["start"],
        ["kill"],
        ["--no-such-flag", "list"],
        ["create", "--bundle"],
        ["list", "--format"],
        ["run", "--preserve-fds", "many", "ID"],
        ["run", "--preserve-fds", "-1", "ID"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense(box: Box, words: list[str]) -> None:
    named = [box.id if word == "ID" else word for word in words]
    result = run(box.runtime, "--root", box.root, *named, status=None, cwd=box.bundle.path)
    assert result.status not in (0, None)
    assert result.stderr.strip() != ""
    assert "Traceback" not in result.stderr
    box.nothing_left()


def test_the_log_holds_one_json_object_for_an_error(box: Box, tmp_path: Path) -> None:
    box.bundle.args("/no/such/file")
    log = tmp_path / "log.json"
    box.create_refused(flags=("--log", str(log), "--log-format", "json"))
    (line,) = log.read_text().splitlines()
    record = json.loads(line)
    assert record["level"] == "error"
    assert "/no/such/file" in record["msg"]
    assert "T" in record["time"]


def test_a_text_log(box: Box, tmp_path: Path) -> None:
    box.bundle.args("/no/such/file")
    log = tmp_path / "log"
    box.create_refused(flags=("--log", str(log)))
    (line,) = log.read_text().splitlines()
    assert "level=error" in line
    assert "/no/such/file" in line


def test_success_writes_nothing_to_the_log(box: Box, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    run(box.runtime, "--root", box.root, "--log", log, "--log-format", "json", "run", "-b", box.bundle, box.id)
    assert not log.exists() or log.read_text() == ""
