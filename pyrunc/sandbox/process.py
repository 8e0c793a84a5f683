"""One program that runs in a sandbox, from its start to its end.

Its parent is the sandbox's first process, which reaps it and says how it ended.
"""

from __future__ import annotations

import _signal
import _thread
import errno
import posix
import select
import time
from _struct import unpack

from pyrunc.host import files
from pyrunc.sandbox.problems import named
from pyrunc.sandbox.result import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO
    from types import TracebackType
    from typing import Self

#: struct report of native/hold.c: wait status, padding, user and system time as struct timeval, kilobytes.
_REPORT = "=iiqqqqq"
_REPORT_SIZE = 48


#: pidfd_send_signal(2): PIDFD_SIGNAL_PROCESS_GROUP.
_PROCESS_GROUP = 4

#: Seconds of one poll(2), which counts milliseconds in 31 bits.
_AT_ONCE = 2_000_000.0


class Process:
    """A running program.  ``args`` is its command line; ``stdin``, ``stdout`` and ``stderr`` are unbuffered binary
    files where PIPE was asked for, else None.

    ``returncode`` is None until the end was waited for, then the exit status, or -N when signal N ended it.
    As a context manager it closes its files and waits.
    """

    __slots__ = (
        "__weakref__",
        "_lock",
        "_pidfd",
        "_report",
        "args",
        "number",
        "returncode",
        "stderr",
        "stdin",
        "stdout",
        "usage",
    )

    def __init__(self, args: list[str], number: int, pidfd: int, report: int) -> None:
        self._pidfd = self._report = -1
        self.args = args
        self.number = number  # its pid in the sandbox
        self.returncode: int | None = None
        self.usage = Usage()
        self.stdin: FileIO | None = None
        self.stdout: FileIO | None = None
        self.stderr: FileIO | None = None
        self._lock = _thread.allocate_lock()
        # Last: what is interrupted before has none.
        self._pidfd = pidfd
        self._report = report

    @property
    def pid(self) -> int:
        """Its pid on the host; 0 when it has ended."""
        with self._lock:
            if self._pidfd < 0:
                return 0
            return pid_behind(self._pidfd)

    def fileno(self) -> int:
        """A descriptor that becomes readable when the program has ended; closed once that was collected."""
        return self._report

    def has_ended(self) -> bool:
        """As it is now.  Nothing is collected: whoever waits for ``fileno`` still has it."""
        with self._lock:
            if self._report < 0:
                return True
            poller = select.poll()
            poller.register(self._report, select.POLLIN)
            return bool(poller.poll(0))

    def poll(self) -> int | None:
        """``returncode`` as it is now, without waiting."""
        return self.returncode if self._ends(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, at most ``timeout`` seconds (TimeoutError).  Returns ``returncode``."""
        if not self._ends(timeout):
            raise TimeoutError(f"{self.args[0]} still runs after {timeout} s")
        assert self.returncode is not None
        return self.returncode

    def _ends(self, timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + named("timeout", timeout, _seconds)
        while self.returncode is None:
            report = -1
            try:
                with self._lock:
                    if self._report < 0:
                        break
                    # A copy: another thread may collect the end meanwhile, and the number be used again.
                    report = files.held(posix.dup, self._report)
                poller = select.poll()
                poller.register(report, select.POLLIN)
                left = None if deadline is None else deadline - time.monotonic()
                if not poller.poll(None if left is None else min(max(0.0, left), _AT_ONCE) * 1000):
                    if left is not None and left <= _AT_ONCE:
                        return False
                    continue
            finally:
                if report >= 0:
                    posix.close(report)
            self.collect()
        return True

    def collect(self) -> int:
        """Take how the program ended, once ``fileno`` is readable.  Returns ``returncode``."""
        with self._lock:
            if self.returncode is None:
                data = files.held(posix.read, self._report, _REPORT_SIZE)
                if len(data) == _REPORT_SIZE:
                    status, _, seconds, micros, system, system_micros, rss = unpack(_REPORT, data)
                    self.usage = Usage(seconds + micros / 1e6, system + system_micros / 1e6, rss << 10)
                    self.returncode = posix.waitstatus_to_exitcode(status)
                else:
                    # The first process of the sandbox has gone, and the kernel has killed all others.
                    self.returncode = -int(_signal.SIGKILL)
                self._close()
            return self.returncode

    def send_signal(self, signal: int, *, group: bool = False) -> None:
        """Send a signal to the program alone, or to its process group; nothing happens when it has ended."""
        number = named("signal", signal, _number)
        with self._lock:
            if self._pidfd >= 0:
                try:
                    if group:
                        _signal_group(self._pidfd, number)
                    else:
                        _signal.pidfd_send_signal(self._pidfd, number)
                except ProcessLookupError:
                    return

    def terminate(self) -> None:
        self.send_signal(_signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(_signal.SIGKILL)

    def _close(self) -> None:
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            posix.close(pidfd)
        report, self._report = self._report, -1
        if report >= 0:
            posix.close(report)

    def close(self) -> None:
        """Close the files, without waiting for the program."""
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self.wait()

    def __del__(self) -> None:
        if hasattr(self, "_report"):
            try:
                self._close()
            finally:
                self._close()  # what a handler raises here goes nowhere, and nobody would come back

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.args!r}: {'running' if self.returncode is None else self.returncode}>"


def _signal_group(pidfd: int, number: int) -> None:
    try:
        _signal.pidfd_send_signal(pidfd, number, None, _PROCESS_GROUP)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Before Linux 6.9.  A program leads its group, and keeps its number until it is reaped.
        pid = pid_behind(pidfd)
        if pid:
            posix.killpg(pid, number)


def _seconds(value: object) -> float:
    """0 and less: as it is now."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:  # NaN
        raise ValueError("expected seconds, or None")
    return float(value)


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _signal.NSIG:
        raise ValueError("expected the number of a signal, or 0")
    return int(value)


def pid_behind(pidfd: int) -> int:
    """The pid on the host of the process that a pidfd stands for; 0 when it was reaped."""
    with open(f"/proc/self/fdinfo/{pidfd}", "rb", buffering=0) as file:
        text = file.read()
    return max(0, int(text.partition(b"\nPid:")[2].split(None, 1)[0]))
