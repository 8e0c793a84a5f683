"""SIGINT, SIGTERM and SIGHUP end a run: what the tests made is cleared away, and the report says that it is partial.

The handler raises Ended in a phase of a test and where no test runs.  While a workshop is opened or cleared up, and
while pytest makes and sends its reports, it comes again a little later.  Where tests run in workers of pytest-xdist,
these get the signal, and the process above them ends when they have ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
from _thread import start_new_thread  # takes no lock, which the handler might have interrupted
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType, FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Between two looks whether the process may be interrupted, in seconds.
PAUSE = 0.02

_PR_SET_PDEATHSIG = 1


class Ended(KeyboardInterrupt):
    """A signal ends the run; no test and no fixture may take it for a failure."""


class Watch:
    """The signals of this process, from ``begin`` to ``end``."""

    def __init__(self) -> None:
        #: The first that came.
        self.seen: signal.Signals | None = None
        self.raised = False
        self.before: dict[signal.Signals, object] = {}
        #: Whether what the functions call may be interrupted; of several that are active the innermost decides.
        self.rules: dict[CodeType, bool] = {}
        #: The processes that get the signal in the place of this one, as long as there are any.
        self.workers: Callable[[], Iterable[int]] = list

    def protect(self, function: Callable[..., object]) -> None:
        self.rules[function.__code__] = False

    def allow(self, function: Callable[..., object]) -> None:
        """Let a signal interrupt ``function``, though what has called it is protected."""
        self.rules[function.__code__] = True

    def begin(self) -> None:
        """A signal that is ignored, as by nohup(1), stays so."""
        self.seen, self.raised = None, False
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self.before[number] = signal.signal(number, self.come)

    def end(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self.before.clear()
        self.workers = list

    def come(self, number: int, frame: FrameType | None) -> None:
        first = self.seen is None
        self.seen = self.seen or signal.Signals(number)
        workers = list(self.workers()) if first else []
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        if workers:  # a second signal does not wait for them
            return
        if self.raised:
            return
        while frame is not None and frame.f_code not in self.rules:
            frame = frame.f_back
        if frame is not None and not self.rules[frame.f_code]:
            start_new_thread(self.again, (number,))
            return
        self.raised = True
        raise Ended(f"ended by {self.seen.name}")

    def again(self, number: int) -> None:
        time.sleep(PAUSE)
        if self.before:
            os.kill(os.getpid(), number)


#: Of this process.
watch = Watch()


def children() -> list[int]:
    """The processes that this one has started, and those that were left to it (proc(5))."""
    found: list[int] = []
    for file in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended
            found += map(int, file.read_text().split())
    return found


def end_with_parent() -> None:
    """Have the kernel send SIGTERM when the process above this one is killed (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_PDEATHSIG")
