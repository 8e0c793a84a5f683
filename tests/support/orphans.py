"""Processes that lose their parent become children of the test, as they become conmon's or a shim's: nothing that a
runtime leaves behind goes unseen, and how each ends is known."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from typing import TYPE_CHECKING

from tests.support.interruptions import children

if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_CHILD_SUBREAPER = 36
_DEADLINE = 60.0


@contextlib.contextmanager
def adopted() -> Iterator[None]:
    """For the length of a with block, this process is the subreaper of its descendants; in the end nothing is left of
    them: what still runs has a minute to end, and is a failure."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = children()
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
        deadline = time.monotonic() + _DEADLINE
        while left := children() - before:
            for pid in left:
                ended(pid)
            assert time.monotonic() < deadline, f"still there: {described(left)}"
            time.sleep(0.01)
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def ended(pid: int) -> int | None:
    """Reap a child that has ended: its exit status, negative for a signal; None while it runs."""
    reaped, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if reaped else None


def described(pids: set[int]) -> list[str]:
    """Their command lines, for a message."""
    found = []
    for pid in sorted(pids):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/cmdline") as file:
            found.append(f"{pid} {file.read()!r}")
    return found
