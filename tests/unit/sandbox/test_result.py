"""What the result of a run says of itself, and when it counts as a failure."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc import Completed, ProgramFailed
from pyrunc.sandbox.result import Usage


def completed(**changes: Any) -> Completed:
    values: dict[str, Any] = {
        "returncode": 0, "stdout": b"", "stderr": b"", "truncated": False, "timed_out": False, "oom_killed": False,
        "spawn": 0.5, "run": 1.0, "usage": Usage(),
    }  # fmt: skip
    return Completed(["prog", "x"], **{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"returncode": 3}, "exit status 3"),
        ({"returncode": -9}, "signal 9"),
        ({"returncode": -9, "timed_out": True}, "timed out"),
        ({"returncode": 1, "oom_killed": True}, "exit status 1, the sandbox was out of memory"),
    ],
)
def test_a_failure_says_how_and_raises_when_it_is_checked(changes: dict[str, Any], how: str) -> None:
    result = completed(**changes)
    assert result.how == how
    with pytest.raises(ProgramFailed) as error:
        result.check()
    assert str(error.value) == f"prog: {how}"
    assert error.value.result is result


def test_a_success_is_returned() -> None:
    result = completed()
    assert result.check() is result
    assert result.duration == 1.5
    assert repr(result) == "Completed(args=['prog', 'x'], returncode=0, stdout=b'')"


def test_check_returncode_is_check_under_the_name_of_subprocess() -> None:
    completed().check_returncode()
    with pytest.raises(ProgramFailed):
        completed(returncode=3).check_returncode()
