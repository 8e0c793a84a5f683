"""Who a process is: its pid and its start time together, and the pidfd that holds it while in use.

A pid alone may be another process by now (pid reuse), so nothing here acts on one without the start time
or a pidfd.
"""

from __future__ import annotations

import _signal
import errno
import posix

from pyrunc.host import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    State = Literal["running", "zombie", "gone"]


#: PF_FORKNOEXEC of the kernel, in field 9 of proc_pid_stat(5); ps(1) shows it as flag 1, "forked but didn't exec".
_FORKED = 0x40


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third (state) on, or None if there is no such process."""
    try:
        fd = files.held(posix.open, f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        text = posix.read(fd, 4096)
    except ProcessLookupError:  # reaped between open and read
        return None
    finally:
        posix.close(fd)
    # The second field, the name, is in parentheses and may hold anything, parentheses too.
    return text[text.rindex(b")") + 2 :].decode("ascii").split()


def file_system_ids(pid: int) -> tuple[int, int]:
    """Uid and gid, as this process's user namespace has them, of what it makes (proc_pid_status(5))."""
    fd = files.held(posix.open, f"/proc/{pid}/status", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        text = posix.read(fd, 4096)
    finally:
        posix.close(fd)
    fields = text[text.index(b"\nUid:") :].split(maxsplit=10)
    return int(fields[4]), int(fields[9])


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to its start (field 22 of proc_pid_stat(5)); None without such a process."""
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def state(pid: int, started: int) -> State:
    """Whether the process with this identity runs, waits to be reaped, or is gone."""
    return look(pid, started)[0]


def look(pid: int, started: int) -> tuple[State, bool]:
    """Its state, and whether it is one that was forked and has executed no program since.

    That is the kernel's to say: no process can make it true again.
    """
    fields = _stat(pid)
    if fields is None or int(fields[19]) != started or fields[0] in "Xx":
        return "gone", False
    return "zombie" if fields[0] == "Z" else "running", bool(int(fields[6]) & _FORKED)


def pidfd_open(pid: int) -> int:
    """pidfd_open(2); ProcessLookupError if there is none.  The caller closes it."""
    try:
        return files.held(posix.pidfd_open, pid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # While the process is being reaped its number is still there, and belongs to no task any more.
        raise ProcessLookupError(errno.ESRCH, posix.strerror(errno.ESRCH)) from None


def open_pidfd(pid: int, started: int) -> int:
    """A pidfd of exactly this process; ProcessLookupError if it is gone.  The caller closes it."""
    fd = pidfd_open(pid)
    try:
        # Checked after the open: from here on the pidfd keeps its meaning, whatever happens to the number.
        if state(pid, started) == "gone":
            raise ProcessLookupError(3, posix.strerror(3))
    except BaseException:
        posix.close(fd)
        raise
    return fd


def signal(pid: int, started: int, number: int) -> None:
    """Send a signal (0: only probe) to exactly this process; ProcessLookupError if it is gone."""
    fd = open_pidfd(pid, started)
    try:
        _signal.pidfd_send_signal(fd, number)
    finally:
        posix.close(fd)
