"""Every command line of the corpus, given to the program as its callers give it.

What comes of a line must not depend on what a caller leaves out: variables, descriptors, a current directory.  There
is no container and no config.json, so that a line ends where it has been understood, and changes nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.callers.corpus import CORPUS, REFUSED
from tests.support.command import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Call = Callable[..., Result]

#: What the placeholders of the corpus become in a directory: names that mean nothing elsewhere.
PATHS = {
    "B": "bundle", "A": "bundle", "D": "root", "F": "file", "P": "process", "TMP": "process", "FILE": "resources",
    "L": "log", "S": "socket", "B/init.pid": "init.pid", "B/E.pid": "E.pid", "B/pid": "pid", "B/log.json": "log",
    "B/oci-log": "log", "I": "images", "W": "work",
}  # fmt: skip

#: How a caller may have left the standard descriptors, in a shell.
CLOSED = 'exec "$@" <&- >&- 2>&-'
GONE = 'mkdir "$HERE" && cd "$HERE" && rmdir "$HERE" && exec "$@"'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "process").write_text('{"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}')
    (tmp_path / "resources").write_text('{"pids": {"limit": 5}}')
    return tmp_path


@pytest.fixture
def call(pyrunc: Path, place: Path) -> Call:
    """Give a line to the program: ``call(line, env=…, script=…)``."""

    def make(line: str, *, env: Mapping[str, str], script: str = 'exec "$@"', stderr: int = subprocess.PIPE) -> Result:
        words = [word for each in shlex.split(line) for word in _placed(each, place)]
        log = place / "log"
        log.unlink(missing_ok=True)
        if "--root" not in line and "-root" not in line:
            words = ["--root", str(place / "root"), *words]
        given = "exec 5>/dev/null; " if "--status-fd 5" in line else ""
        command = ("/bin/sh", "-c", f"HERE={place}/here; {given}{script}", "sh", str(pyrunc), *words)
        done = subprocess.run(
            command, env=env, cwd=place, input="{}", stdout=subprocess.PIPE, stderr=stderr, text=True, check=False,
            timeout=60,
        )  # fmt: skip
        return Result(command, done.returncode, done.stdout, done.stderr or "")

    return make


def _placed(word: str, place: Path) -> Iterator[str]:
    """The word with what stands for a path replaced, also behind ``=``; in ``exec`` they mean the same."""
    front, equals, value = word.partition("=")
    if word in PATHS:
        yield str(place / PATHS[word])
    elif equals and value in PATHS and front.startswith("-"):
        yield f"{front}={place / PATHS[value]}"
    else:
        yield word


PERSON = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "en_US.UTF-8", "XDG_RUNTIME_DIR": "/run"}

#: Lines that mean the current directory.
HERE = {
    "spec", "run -d --keep --pidfd-socket S ID", "run ID -d", "run -- ID", "checkpoint ID",
    "checkpoint --tcp-skip-in-flight --link-remap ID", "restore -d -b B --image-path ./I ID",
    "checkpoint --lazy-pages --page-server 127.0.0.1:27 --status-fd 5 --manage-cgroups-mode=ignore ID",
    "restore --lazy-pages --manage-cgroups-mode=ignore --empty-ns network --auto-dedup ID",
}  # fmt: skip
#: Lines that would write something.
WRITING = {"spec", "spec -b B --rootless"}

#: What says that a line has not been understood.
MISUNDERSTOOD = re.compile("flag|argument|Usage|No help topic|internal error|Traceback")


#: What engines leave for their runtimes: conmon and podman this and nothing else.
BARE = {"XDG_RUNTIME_DIR": "/run"}


def outcome(result: Result, place: Path) -> tuple[int, str, str, str]:
    """Status, output, error and log, but for times and process ids."""
    log = place / "log"
    texts = (result.stdout, result.stderr, log.read_text() if log.exists() else "")
    timeless = [re.sub(r'("time":"|"pid":"|time=")[^"]+"', r'\1"', text) for text in texts]
    return result.status, timeless[0], timeless[1], timeless[2]


@pytest.mark.parametrize("line", [line for line in CORPUS if line not in WRITING])
def test_a_line_comes_to_the_same_whatever_the_caller_leaves_out(line: str, call: Call, place: Path) -> None:
    reference = call(line, env=PERSON)
    expected = outcome(reference, place)
    assert reference.status in (0, 1, 255)
    if "--debug" not in line.split():
        assert not MISUNDERSTOOD.search(reference.stderr)
        assert reference.stderr.count("\n") == (reference.status != 0)

    gone = call(line, env=BARE, script=GONE)
    if line in HERE:
        assert "the current directory does not exist any more" in gone.stderr
    else:
        assert outcome(gone, place) == expected

    status, _, _, log = outcome(call(line, env={}, script=CLOSED), place)
    assert status == expected[0]
    if "--resources=-" not in line.split():  # there is nothing to be read
        assert log == expected[3]

    ours, theirs = socket.socketpair()
    with ours, theirs:
        connected = call(line, env=BARE, stderr=theirs.fileno())
        theirs.close()
        connected.stderr = ours.makefile().read()
    assert outcome(connected, place) == expected


@pytest.mark.parametrize("line", REFUSED)
def test_a_line_that_is_no_one_is_refused_and_changes_nothing(line: str, call: Call, place: Path) -> None:
    before = sorted(os.listdir(place))
    found = call(line, env=BARE)
    assert found.status in (1, 3, 255)
    assert found.stdout == ""
    assert found.stderr
    assert sorted(os.listdir(place)) == before


@pytest.mark.parametrize(
    "line", ["--version", "-v", "help", "--help", *(f"{word} --help" for word in ("create", "ps"))]
)
def test_what_engines_ask_at_their_start_is_answered(line: str, call: Call) -> None:
    for env in ({}, BARE, PERSON):
        found = call(line, env=env)
        assert (found.status, found.stderr) == (0, "")
        assert found.stdout
