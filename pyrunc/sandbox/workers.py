"""Threads for what would keep an event loop waiting: few, of this library alone, and only while there is work.

The loop's own executor is shared with everything else in the program, and sandboxes that take long to end would keep
it from that.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future
from threading import Lock, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Result = TypeVar("Result")

#: More than processors, since what they do is mostly to wait for the kernel.
LIMIT = 16


class Workers:
    """Calls beyond ``LIMIT`` wait for their turn.  A thread ends when no call is left."""

    __slots__ = ("_calls", "_lock", "_threads")

    def __init__(self) -> None:
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock = Lock()
        self._threads = 0

    def submit(self, call: Callable[[], Result]) -> Future[Result]:
        """RuntimeError where no thread can be started."""
        future: Future[Result] = Future()
        with self._lock:
            if self._threads < LIMIT:
                Thread(target=self._work, name="pyrunc").start()
                self._threads += 1
            self._calls.append((future, call))
        return future

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._calls:
                    self._threads -= 1
                    return
                future, call = self._calls.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # noqa: BLE001  # it is the caller's
                    future.set_exception(error)
            del future, call  # nothing of them is kept while this waits for the lock


_workers = Workers()


def submit(call: Callable[[], Result]) -> Future[Result]:
    return _workers.submit(call)


def _forget() -> None:
    """In a forked child, which has none of the threads."""
    global _workers
    _workers = Workers()


os.register_at_fork(after_in_child=_forget)
