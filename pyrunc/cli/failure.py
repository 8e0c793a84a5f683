"""What a failed command says and how it exits.

Loaded only when something has gone wrong.  The last line on standard error is the message, because engines
show that line to their user; exit codes are runc's.
"""

from __future__ import annotations

import errno
import os

from pyrunc.cli import lean, output
from pyrunc.cli.commands import GLOBAL
from pyrunc.cli.log import Log
from pyrunc.errors import OpFailed, PyruncError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from pyrunc.cli.commands import Value

FAILED = 1
EXEC_FAILED = 255  # set apart from what the process itself may return
INTERRUPTED = 130  # 128 + SIGINT
NOT_RUN, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127


class Misuse(UsageError):
    """A wrong command line: its exit ``status``, a ``synopsis`` to show, the global ``options`` if right."""

    def __init__(
        self,
        message: str,
        *,
        status: int = FAILED,
        synopsis: str = "",
        options: Mapping[str, Value] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.synopsis = synopsis
        self.options = options


def report(error: BaseException, line: lean.Line | int | None) -> int:
    """Tell about ``error`` (one of ``lean.KNOWN``) and return the exit status."""
    if isinstance(error, output.ReaderGone):
        return FAILED
    if isinstance(error, Misuse):
        output.err(error.synopsis)
        _log(error.options).error(str(error))
        return error.status
    known = line if isinstance(line, lean.Line) else None
    log = _log(known.globals if known else None)
    if log.wanted:
        _traceback(log, type(error), error, error.__traceback__)
    if isinstance(error, KeyboardInterrupt):
        log.error("interrupted")
        return INTERRUPTED
    text = str(error) if isinstance(error, PyruncError) else describe(error)
    if known and known.command.name == "exec":
        log.error(f"exec failed: {text}")
        return EXEC_FAILED
    log.error(text)
    if known and known.command.name == "sandbox":
        return _of_sandbox(error)
    return FAILED


def _of_sandbox(error: BaseException) -> int:
    """As timeout(1) and env(1): apart from what the program itself may return."""
    if isinstance(error, OpFailed) and error.op in ("find_executable", "execve"):
        return NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    return NOT_RUN


def describe(error: BaseException) -> str:
    """One line for an error that carries no words of ours: ``open /x: permission denied``."""
    if isinstance(error, OSError) and error.strerror:
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        return ": ".join([" -> ".join(names), output.reason(error)] if names else [output.reason(error)])
    return f"{type(error).__name__}: {error}"


def crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None, argv: list[str]) -> int:
    """Report an exception that nobody expected: a defect of pyrunc."""
    try:
        line = lean.parse(argv)
    except lean.Refused:
        line = None
    log = _log(line.globals if line else None)
    hint = "" if log.wanted else " (please report this; --debug shows where)"
    if log.wanted:
        _traceback(log, kind, error, trace)
    log.error("internal error: " + describe(error).replace("\n", " ") + hint)
    return EXEC_FAILED if line and line.command.name == "exec" else FAILED


def _log(options: Mapping[str, Value] | None) -> Log:
    return Log(options or {option.name: option.default for option in GLOBAL})


def _traceback(log: Log, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    import traceback

    log.debug("traceback", text="".join(traceback.format_exception(kind, error, trace)))
