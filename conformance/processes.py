"""Processes: found by a cookie in their environment, waited for by descriptor, reaped.

A test's process is the subreaper of what the runtime under test leaves behind, as a container manager is: it learns the
exit status of a container's first process, and no zombie stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The variable that marks what a test started.  Its value is the test's token, a dot and the number of the call.
COOKIE = "CONFORMANCE"

_PR_SET_CHILD_SUBREAPER = 36
#: Seconds for a process that was sent SIGKILL to go away.
PATIENCE = 10.0

#: Is every child that this process has its own, or one of the tests'?
_subreaper = False


def become_subreaper() -> None:
    """Orphans below this process become its children (prctl(2))."""
    global _subreaper
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")
    _subreaper = True


def marked(cookie: str) -> list[int]:
    """The live processes in whose environment COOKIE is ``cookie``, or starts with it and a dot."""
    needle = f"{COOKIE}={cookie}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            environment = _read(f"/proc/{name}/environ")
        except OSError:
            continue  # it has ended, or is somebody else's
        if needle not in environment:
            continue
        if any(entry == needle or entry.startswith(needle + b".") for entry in environment.split(b"\0")):
            found.append(int(name))
    return [pid for pid in found if pid != os.getpid()]


def mentioning(token: str) -> list[int]:
    """The live processes with ``token`` in their environment or their arguments.

    A runtime's own processes may have a new environment, but they are told where the container's state or bundle is.
    """
    needle = token.encode()
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and any(needle in _read(f"/proc/{name}/{file}") for file in ("environ", "cmdline")):
                found.append(int(name))
    return [pid for pid in found if pid != os.getpid()]


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def describe(pid: int) -> str:
    """``12 (name: its arguments)``."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return f"{pid} (gone)"
    return f"{pid} ({name}: {arguments[:100]})"


def alive(pid: int) -> bool:
    """Is there such a process, and is it no zombie?"""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def reap() -> None:
    """Forget the zombies among our children.

    No other command may run meanwhile: its status would be forgotten, too.
    """
    with contextlib.suppress(ChildProcessError):
        while _subreaper and os.waitpid(-1, os.WNOHANG)[0]:
            pass


class Watched:
    """A process that is held by a descriptor, so that its number cannot come to mean another one."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError when there is no such process."""
        self.pid = pid
        self.fd = os.pidfd_open(pid)
        self.status: int | None = None

    def wait(self, seconds: float) -> bool:
        """Has it ended ``seconds`` from now?  Reaps it when it is a child of ours."""
        if self.fd < 0:
            return True
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return True

    def kill(self) -> None:
        if self.fd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.fd, signal.SIGKILL)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
