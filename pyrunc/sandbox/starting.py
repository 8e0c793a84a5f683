"""One program on its way from the request to its execve.

How long that takes is in the hands of who runs in the sandbox already: as the same user they may stop the new
process.  So it is bounded, also where the program itself has all the time in the world.
"""

from __future__ import annotations

import _socket
import posix
import select
import time
from _struct import pack

from pyrunc.errors import HostError, PyruncError
from pyrunc.host import files, helper, probe
from pyrunc.host import message as messages
from pyrunc.plan.wire import encode
from pyrunc.runtime.conversation import Conversation
from pyrunc.sandbox.first import ETOOMANYREFS, IN_FLIGHT, reason
from pyrunc.sandbox.process import Process, pid_behind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from pyrunc.plan.ops import Op
    from pyrunc.sandbox.first import FirstProcess

#: A start takes a millisecond, and on a machine that is short of everything a few seconds.  What takes longer than this
#: is being held up, or waits for a file system that does not answer.
SECONDS = 30
#: No kind of message.
_NONE = 0
#: The index of a failure that is not one of the program's operations.
_NO_OP = 0xFFFFFFFF

#: State of a process (proc_pid_stat(5)) -> why nothing comes of it.
_STATES = {
    "T": "was stopped, by another program of the sandbox",
    "t": "is being traced, by another program of the sandbox",
    "D": "hangs in the kernel: a file system does not answer, or the sandbox is paused",
}


class TimedOut(Exception):
    """The caller's deadline came before the program was executed."""


class Starting:
    """As a context manager it closes what is open, and left with an error it ends what was started.

    ``process`` and ``sent``, a descriptor that the program has sent or -1, are there when ``step`` or ``wait`` say so;
    who takes the descriptor leaves -1 in its place.
    """

    __slots__ = (
        "__weakref__", "_args", "_deadline", "_first", "_inbox", "_number", "_passed", "_patient", "_pidfd", "_program",
        "_report", "_talk", "process", "sent",
    )  # fmt: skip

    def __init__(
        self,
        first: FirstProcess,
        args: list[str],
        program: list[Op],
        stdio: Sequence[int],
        deadline: float | None = None,
    ) -> None:
        """Ask for it.  Raises StateError when the sandbox has ended, HostError."""
        self._passed: list[int] = []
        self._number, self._pidfd, self._report, self.sent = 0, -1, -1, -1
        self.process: Process | None = None
        self._talk, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        self._inbox = helper.Inbox(self._talk)
        self._first = first
        self._args = args
        self._program = program
        bound = time.monotonic() + SECONDS
        self._patient = deadline is None or deadline > bound
        self._deadline = bound if deadline is None else min(deadline, bound)
        try:
            self._report, their_report = files.held(posix.pipe2, posix.O_CLOEXEC)
            self._passed.append(their_report)
            memfd = helper.sealed("program", encode(program))
            self._passed.append(memfd)
            first.start(self, pack("=6i", theirs.fileno(), their_report, memfd, *stdio))
        except BaseException as error:
            self._leave(error)
            raise
        finally:
            theirs.close()
            files.close(self._passed)

    def fileno(self) -> int:
        """Readable when there is something for ``step``."""
        return self._talk.fileno()

    def left(self) -> float:
        """Seconds; when they are over call ``overdue``."""
        return max(0.0, self._deadline - time.monotonic())

    def wait(self) -> None:
        """Until the program was executed, or has come to its end.  Raises OpFailed, HostError, StateError, TimedOut."""
        poller = select.poll()
        poller.register(self._talk.fileno(), 0)  # its end alone: what was said is read at once then
        if not poller.poll(self.left() * 1000):
            self.overdue()
        while not self.step():
            pass

    def step(self) -> bool:
        """Take one message; True when the program was executed, or has come to its end.  Raises as ``wait``."""
        message = self._inbox.receive()
        if message is None:
            if not self._number:
                raise self._first.ended()
            self.process = Process(self._args, self._number, self._pidfd, self._report)
            return True
        if message.kind == messages.CLONED:
            self._number, self._pidfd = message.value, message.fd
        elif message.kind == messages.FILE:
            self.sent = message.fd
        elif message.kind == messages.FAILED:
            raise _failure(self._program, message)
        else:
            raise HostError(f"pyrunc-init sent a message of kind {message.kind}; is it from another version?")
        return False

    def overdue(self) -> None:
        """Raises TimedOut where the time was the caller's, or else HostError, which says what holds it up."""
        if not self._patient:
            raise TimedOut
        self._hear_the_rest()
        raise _Overdue(f"was not started within {SECONDS} s: {self._cause()}", where=self._args[0],
                       hint="Sandbox.kill() ends all programs of the sandbox")  # fmt: skip

    def _cause(self) -> str:
        if not self._number:
            return "the first process of the sandbox does not answer: it is stopped, or the sandbox paused"
        try:
            fields = probe.read(f"/proc/{pid_behind(self._pidfd)}/stat").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return "its process was killed"
        return f"its process {_STATES.get(fields[0], 'got too little time to run')}"

    def _hear_the_rest(self) -> None:
        """What CLONED says, if it was sent; afterwards it cannot be, and the first process ends what it has started."""
        self._talk.shutdown(_socket.SHUT_RDWR)
        message = self._inbox.last(_NONE if self._number else messages.CLONED)
        if message is not None:
            self._number, self._pidfd = message.value, message.fd

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        try:
            # What pyrunc-init itself has refused has ended.
            if self.process is None and (not isinstance(error, PyruncError) or isinstance(error, _Overdue)):
                self._hear_the_rest()
                if self._number:
                    self._first.end_group(self._number)
        finally:
            self._first.started(self)
            self._close()

    def _close(self) -> None:
        self._talk.close()
        files.close(self._passed)
        opened = [self.sent] if self.process is not None else [self.sent, self._pidfd, self._report]
        self._pidfd = self.sent = self._report = -1
        files.close([fd for fd in opened if fd >= 0])

    def __del__(self) -> None:
        """Whoever was to leave it was interrupted before.  No lock may be waited for here."""
        if hasattr(self, "_talk"):
            self._close()


class _Overdue(HostError):
    """The process may be there still."""


def _failure(program: list[Op], message: messages.Message) -> PyruncError:
    if message.op == _NO_OP or message.op >= len(program):
        hint = "pids, or nproc of rlimits, may be too small" if message.detail == "fork" else ""
        if message.errno == ETOOMANYREFS:
            hint = IN_FLIGHT
        return HostError(reason(message.detail, message.errno), hint=hint)
    return Conversation(program, _no_warning).failure(message)


def _no_warning(_: str) -> None:
    """A program of a sandbox has none."""
