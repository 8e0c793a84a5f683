"""Hooks that run in the container's namespaces."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from tests.native.driver import (
    O_PATH,
    drive,
    ops,
)

if TYPE_CHECKING:
    from pathlib import Path


def hook(script: str, timeout: int = 0, env: tuple[str, ...] = ()) -> tuple[object, ...]:
    args = ("sh", "-c", script)
    return ("container_hook", "createContainer", "/bin/sh", args, env, timeout, ('{"pid":', ',"x":"y"}'))


def test_a_hook_gets_state_arguments_and_environment(init: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f'{{ cat; echo "$A"; ls /proc/self/fd; }} >{said}; echo noise'
    program = ops(("open", 8, "/", O_PATH), hook(script, env=("A=b", "PATH=/bin:/usr/bin")))
    outcome = drive(init, program).check()
    assert outcome.stdout == ""  # the container's stdout is not a hook's
    assert said.read_text().split() == [f'{{"pid":{outcome.pid},"x":"y"}}b', "0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("op", "error", "detail"),
    [
        (hook("echo said; echo bad >&2; exit 3"), 0, "hook /bin/sh: exit status 3, stdout: said, stderr: bad"),
        (hook("kill -9 $$"), 0, "hook /bin/sh: signal 9, stdout: , stderr: "),
        (hook("exec sleep 1000", 1, ("PATH=/bin:/usr/bin",)), errno.ETIMEDOUT, "hook /bin/sh: timed out"),
        (
            ("container_hook", "x", "/no/such", (), (), 0, ("", "")),
            errno.ENOENT,
            "hook /no/such: no such file or directory",
        ),
    ],
)
def test_a_hook_that_fails_is_reported_and_reaped(init: Path, op: tuple[object, ...], error: int, detail: str) -> None:
    outcome = drive(init, ops(("umask", 0o22), op))
    assert outcome.failed(error, 1) == detail


def test_a_state_larger_than_a_pipe_does_not_block(init: Path) -> None:
    program = ops(("container_hook", "x", "/bin/sh", ("sh", "-c", "exit 0"), (), 0, ("x" * 300_000, "")))
    drive(init, program).check()
