"""``popen``: a program with streams of the caller's choice, until it runs and is a ``Process``."""

from __future__ import annotations

import fcntl
from functools import partial
from io import FileIO

from pyrunc.host import files
from pyrunc.plan import held
from pyrunc.sandbox import spec
from pyrunc.sandbox.problems import named
from pyrunc.sandbox.starting import Starting
from pyrunc.sandbox.streams import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Protocol, Self, TypedDict

    from pyrunc.sandbox.holder import Holder
    from pyrunc.sandbox.process import Process

    Path = str | os.PathLike[str]

    class HasFileno(Protocol):
        def fileno(self) -> int: ...

    class Streams(TypedDict, total=False):
        """The keyword arguments of ``popen``."""

        stdin: int | HasFileno
        stdout: int | HasFileno
        stderr: int | HasFileno
        env: Mapping[str, str | None] | None
        cwd: Path | None


#: The numbers of subprocess.
PIPE, STDOUT, DEVNULL = -1, -2, -3

_NAMES = ("stdin", "stdout", "stderr")
_WISHES = frozenset((*_NAMES, "env", "cwd"))


class Launch:
    """As a context manager it closes what nobody has taken."""

    __slots__ = ("_holder", "_ours", "_stdio", "_task")

    def __init__(self, holder: Holder, argv: Sequence[Path], wishes: Streams) -> None:
        """UsageError names what is wrong; TypeError for an argument that there is not."""
        unknown = wishes.keys() - _WISHES
        if unknown:
            raise TypeError(f"popen() got an unexpected keyword argument {min(unknown)!r}")
        self._holder = holder
        self._task = spec.process(holder.spec, argv, env=wishes.get("env"), cwd=wishes.get("cwd"))
        wanted = [named(name, wishes.get(name, DEVNULL), partial(_stream, name)) for name in _NAMES]
        self._stdio = Stdio(holder.uid)
        try:
            self._ours = [self._add(name, fd) for name, fd in zip(_NAMES, wanted, strict=True)]
        except BaseException:
            self._stdio.close()
            raise

    def _add(self, name: str, wanted: int) -> int:
        """Our end of the pipe, -1 without one."""
        if wanted == PIPE:
            return self._stdio.pipe_in() if name == "stdin" else self._stdio.pipe_out()
        if wanted == DEVNULL:
            self._stdio.add_null()
        elif wanted == STDOUT:
            self._stdio.given(self._stdio.theirs[1])
        else:
            self._stdio.given(wanted)
        return -1

    def starting(self) -> Starting:
        """Ask for the program."""
        task = self._task
        return Starting(self._holder.first, task["args"], held.program(task, null=self._stdio.null), self._stdio.theirs)

    def process(self, starting: Starting) -> Process:
        """The program that was executed, with this program's ends of its pipes."""
        process = starting.process
        assert process is not None
        process.stdin, process.stdout, process.stderr = map(_file, self._ours, ("wb", "rb", "rb"))
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stdio.close()


def _file(fd: int, mode: str) -> FileIO | None:
    """A file of its own, so that this end has one owner whatever interrupts."""
    return None if fd < 0 else FileIO(str(fd), mode, opener=lambda *_: _copy(fd))


def _copy(fd: int) -> int:
    return files.held(fcntl.fcntl, fd, fcntl.F_DUPFD_CLOEXEC, 3)


def _stream(name: str, value: object) -> int:
    """What a stream is to be; ValueError unless it can be that."""
    if value in (PIPE, DEVNULL) or (value == STDOUT and name == "stderr"):
        return int(value)
    found = value.fileno() if hasattr(value, "fileno") else value
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise ValueError("expected PIPE, DEVNULL, a file or its descriptor")
    try:
        fcntl.fcntl(found, fcntl.F_GETFD)
    except (OSError, OverflowError):
        raise ValueError("this program has no such file descriptor open") from None
    return found
