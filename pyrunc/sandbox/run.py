"""One run of a program in a sandbox: its arguments, its streams, its deadline, and the result.

``Sandbox.run`` serves the streams itself, ``AsyncSandbox.run`` lets the event loop do it; the rest is the same.
"""

from __future__ import annotations

import time
from functools import partial

from pyrunc.errors import PyruncError, StateError
from pyrunc.plan import held
from pyrunc.sandbox import spec, values
from pyrunc.sandbox.problems import named
from pyrunc.sandbox.result import Completed, Usage
from pyrunc.sandbox.starting import Starting, TimedOut
from pyrunc.sandbox.streams import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self, TypedDict

    from pyrunc.sandbox.holder import Holder
    from pyrunc.sandbox.process import Process
    from pyrunc.sandbox.streams import Callback

    Path = str | os.PathLike[str]

    class Wishes(TypedDict, total=False):
        """The keyword arguments of ``run``, but for ``check``."""

        input: bytes | str | None
        timeout: float | None
        env: Mapping[str, str | None] | None
        cwd: Path | None
        max_output: int | str | None
        on_stdout: Callback | None
        on_stderr: Callback | None
        text: bool
        encoding: str | None
        errors: str


class Run:
    """As a context manager it closes what is open, and on an error ends what runs."""

    __slots__ = (
        "_encoding",
        "_errors",
        "_executed",
        "_holder",
        "_ooms",
        "_program",
        "_started",
        "args",
        "deadline",
        "late",
        "process",
        "stdio",
    )

    def __init__(
        self, holder: Holder, argv: Sequence[Path], wishes: Wishes, *, timeout: float | None, max_output: int
    ) -> None:
        """``timeout`` and ``max_output`` are the sandbox's own, where the wishes have none."""
        self._started = self._executed = time.monotonic()
        self._holder = holder
        self._ooms = 0
        self.process: Process | None = None
        self.late = False
        unknown = wishes.keys() - _WISHES
        if unknown:
            raise TypeError(f"run() got an unexpected keyword argument {min(unknown)!r}")
        text = named("text", wishes.get("text", False), values.flag)
        self._encoding = named("encoding", wishes.get("encoding"), _encoding) or ("utf-8" if text else None)
        self._errors = named("errors", wishes.get("errors", "replace"), partial(_error_handler, self._encoding))
        for name in ("on_stdout", "on_stderr"):
            named(name, wishes.get(name), _callback)
        if wishes.get("timeout") is not None:
            timeout = named("timeout", wishes["timeout"], _seconds)
        self.deadline = None if timeout is None else self._started + timeout
        if wishes.get("max_output") is not None:
            max_output = named("max_output", wishes["max_output"], values.amount)
        task = spec.process(holder.spec, argv, env=wishes.get("env"), cwd=wishes.get("cwd"))
        self.args = task["args"]
        self.stdio = Stdio(holder.uid)
        try:
            self._feed(wishes.get("input"))
            self.stdio.capture(max_output, wishes.get("on_stdout"))
            self.stdio.capture(max_output, wishes.get("on_stderr"))
            self._program = held.program(task, null=self.stdio.null)
        except BaseException:
            self.stdio.close()
            raise

    def _feed(self, given: bytes | str | None) -> None:
        if given is None:
            self.stdio.add_null()
        elif isinstance(given, str):
            encoding = self._encoding or "utf-8"
            self.stdio.feed(named("input", given, lambda text: _encoded(text, encoding)))
        else:
            self.stdio.feed(named("input", given, as_bytes))

    def start(self) -> bool:
        """Have the program executed; False when the deadline came first."""
        try:
            with self.starting() as starting:
                starting.wait()
        except TimedOut:
            return self.started(None)
        return self.started(starting)

    def starting(self) -> Starting:
        """Ask for the program."""
        self._ooms = self._holder.oom_kills()
        return Starting(self._holder.first, self.args, self._program, self.stdio.theirs, self.deadline)

    def started(self, starting: Starting | None) -> bool:
        """What came of that, None when the deadline came first; whether the program was executed."""
        self.process = starting.process if starting else None
        self.late = starting is None
        self._executed = time.monotonic()
        self.stdio.close_theirs()
        return not self.late

    def serve(self) -> None:
        """Wait for the end of the program or of its time, and serve its streams meanwhile."""
        assert self.process is not None
        self.late = not self.stdio.pump(self.process.fileno(), self.deadline)

    def result(self) -> Completed:
        """After the end: collect it; after the deadline: kill everything in the sandbox, and collect that."""
        if self.late:
            try:
                self._holder.first.end_all()
            except PyruncError:
                # It did not answer, and was killed for that, or it was closed: whoever uses it again is told.
                self._holder.kill()
        returncode = -9
        if self.process is not None and (not self.late or self._is_over(self.process)):
            returncode = self.process.collect()
        usage = Usage() if self.process is None else self.process.usage
        ended = time.monotonic()
        self.stdio.drain()
        out, err = self.stdio.sinks
        return Completed(
            self.args,
            returncode,
            stdout=self._text(out.data),
            stderr=self._text(err.data),
            truncated=out.truncated or err.truncated,
            timed_out=self.late and returncode == -9,  # it may have come to its end at the last moment
            oom_killed=self._holder.oom_kills() > self._ooms,
            spawn=self._executed - self._started,
            run=ended - self._executed,
            usage=usage,
        )

    def _is_over(self, process: Process) -> bool:
        """Whether a program that was killed has ended: what hangs in the kernel is left to itself."""
        try:
            process.wait(_KILL_SECONDS)
        except TimeoutError:
            return False
        return True

    def _text(self, data: bytearray) -> bytes | str:
        return bytes(data) if self._encoding is None else data.decode(self._encoding, self._errors)

    def abandon(self) -> None:
        """End the program, of which nobody wants to know any more, and what it has started.

        All of that where nothing else runs in the sandbox; otherwise what has stayed in its process group.
        """
        try:
            self._holder.first.end(self.process)
        except StateError:
            return  # the sandbox itself is gone

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # What pyrunc itself refuses has not come to run.
            if error is not None and not (self.process is None and isinstance(error, PyruncError)):
                self.abandon()
        finally:
            self.stdio.close()


_KILL_SECONDS = 10

_WISHES = frozenset(
    ("input", "timeout", "env", "cwd", "max_output", "on_stdout", "on_stderr", "text", "encoding", "errors")
)


def _seconds(value: object) -> float | None:
    return None if value == float("inf") else values.seconds(value)


def _encoding(value: object) -> str | None:
    """None, or the name of an encoding that Python has."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("expected the name of an encoding")
    import codecs

    try:
        found = codecs.lookup(value)
    except LookupError:
        raise ValueError("no such encoding") from None
    if not found._is_text_encoding:  # rot13, base64 and the like
        raise ValueError("no encoding of text")
    return found.name


def _error_handler(encoding: str | None, value: object) -> str:
    if value == "replace" and encoding in (None, "utf-8"):
        return "replace"
    import codecs

    try:
        codecs.lookup_error(value)  # type: ignore[arg-type]
    except (LookupError, TypeError):
        raise ValueError("no such way to handle errors of an encoding") from None
    try:
        codecs.decode(b"", encoding or "utf-8", str(value))
    except UnicodeError:
        raise ValueError(f"not for {encoding}, which does not go on after an error") from None
    return str(value)


def _callback(value: object) -> object:
    if value is not None and not callable(value):
        raise ValueError("expected a function that takes bytes")
    return value


def _encoded(value: object, encoding: str) -> bytes:
    try:
        return str(value).encode(encoding)
    except UnicodeEncodeError as error:
        raise ValueError(f"cannot be written in {encoding}: {error.reason}") from None


def as_bytes(value: object) -> bytes:
    """str is written in UTF-8."""
    if isinstance(value, str):
        return _encoded(value, "utf-8")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise ValueError("expected bytes or str")
