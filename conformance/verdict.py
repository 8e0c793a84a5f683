"""What a test can say about a runtime, and the exceptions by which it says so.

A test fails by ``assert`` or ``pytest.fail``.  The classes here are pytest's own outcomes with a name, so that the
report can tell a runtime that breaks a rule from one that cannot be asked.
"""

from __future__ import annotations

from enum import StrEnum

import pytest


class Verdict(StrEnum):
    """How a test ended for one runtime."""

    PASSED = "passed"
    FAILED = "failed"
    #: The runtime hangs, crashes, or says what nobody can read, so that the rule could not be decided.
    BROKEN = "broken"
    #: It fails as expected/RUNTIME.toml says.
    DEVIATION = "deviation"
    #: It passes although expected/RUNTIME.toml says that it fails.
    UNEXPECTED = "unexpected"
    #: The runtime says itself that it does not have this optional feature.
    UNSUPPORTED = "unsupported"
    #: This machine or user lacks what the test needs.
    SKIPPED = "skipped"
    #: The suite is at fault.
    ERROR = "error"


#: Those with which a run does not succeed.
BAD = frozenset({Verdict.FAILED, Verdict.BROKEN, Verdict.UNEXPECTED, Verdict.ERROR})

#: From bad to good: of several tests that decide a statement, the first in this list is what is known of it.
ORDER = (
    Verdict.ERROR, Verdict.FAILED, Verdict.BROKEN, Verdict.UNEXPECTED, Verdict.DEVIATION, Verdict.PASSED,
    Verdict.UNSUPPORTED, Verdict.SKIPPED,
)  # fmt: skip


class Failed(pytest.fail.Exception):  # type: ignore[name-defined, misc]
    """The runtime breaks a rule; ``message`` says how, without a traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(message, pytrace=False)


class Broken(Failed):
    """The runtime cannot be asked: it hangs, crashes or answers what nobody can read."""


class Hung(Broken):
    """A command or a test did not end in its time, all of which was spent."""


class Unsupported(pytest.skip.Exception):  # type: ignore[name-defined, misc]
    """The runtime says that it has not this optional feature."""


def of(error: BaseException | None) -> Verdict:
    """The verdict of a test that ended with ``error``."""
    match error:
        case None:
            return Verdict.PASSED
        case Broken():
            return Verdict.BROKEN
        case Unsupported():
            return Verdict.UNSUPPORTED
        case pytest.skip.Exception():
            return Verdict.SKIPPED
        case AssertionError() | pytest.fail.Exception():
            return Verdict.FAILED
    # hypothesis and others raise several at once.
    if isinstance(error, BaseExceptionGroup):
        return min((of(inner) for inner in error.exceptions), key=ORDER.index)
    return Verdict.ERROR
