"""Runs one program of the host to its end: hooks, newuidmap and newgidmap.

The child inherits nothing but its stdio; its signal mask and dispositions are the defaults.
"""

from __future__ import annotations

import _signal
import posix
import select
import time

from pyrunc.host import files, helper
from pyrunc.plan.ops import Op
from pyrunc.plan.wire import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: What is kept of a program's output; the rest is read and dropped, so that it never blocks.
OUTPUT_LIMIT = 8192


class Ended:
    """How a child ended: ``code`` as posix.waitstatus_to_exitcode gives it (a negative one is a signal)."""

    __slots__ = ("code", "stderr", "stdout", "timed_out")

    def __init__(self, code: int, timed_out: bool, stdout: bytes, stderr: bytes) -> None:
        self.code = code
        self.timed_out = timed_out
        self.stdout = stdout.decode("utf-8", "backslashreplace").strip()
        self.stderr = stderr.decode("utf-8", "backslashreplace").strip()

    @property
    def how(self) -> str:
        """``exit status 3`` or ``signal 9``."""
        return f"exit status {self.code}" if self.code >= 0 else f"signal {-self.code}"


def run(
    path: str,
    args: Sequence[str],
    env: Sequence[str],
    stdin: bytes = b"",
    timeout: float | None = None,
    cwd: str = "/",
) -> Ended:
    """Run a program to its end.  Raises OSError when it cannot be started.

    ``env`` is the whole environment, entry by entry as it stands.  ``timeout`` is in seconds; at its end the
    program is killed and reaped.  Processes that it leaves behind are not waited for, even when they hold its
    output open.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    ours: list[int] = []
    theirs: list[int] = []
    try:
        given = _input(stdin)
        theirs.append(given)
        for _ in range(2):
            ends = files.held(posix.pipe2, posix.O_CLOEXEC | posix.O_NONBLOCK)
            ours += ends[:1]
            theirs += ends[1:]
            posix.set_blocking(theirs[-1], True)
        pid = _spawn(path, args, env, cwd, theirs)
        try:
            files.close(theirs)
            timed_out = _watch(pid, output := {fd: bytearray() for fd in ours}, deadline)
        except BaseException:
            posix.kill(pid, _signal.SIGKILL)
            raise
        finally:
            status = posix.waitpid(pid, 0)[1]
        for fd, kept in output.items():
            while _collect(fd, kept) and len(kept) < OUTPUT_LIMIT:
                pass
        return Ended(posix.waitstatus_to_exitcode(status), timed_out, *map(bytes, output.values()))
    finally:
        files.close(theirs)
        files.close(ours)


def _input(data: bytes) -> int:
    """A descriptor at the start of the data.  A memfd: nobody has to write while the program runs."""
    fd = files.held(posix.memfd_create, "stdin", posix.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[posix.write(fd, view) :]
        posix.lseek(fd, 0, 0)
    except BaseException:
        posix.close(fd)
        raise
    return fd


def _spawn(path: str, args: Sequence[str], env: Sequence[str], cwd: str, stdio: Sequence[int]) -> int:
    """Through pyrunc-init: posix_spawn has no working directory, and inherits what others left inheritable."""
    program = [
        Op("chdir", (cwd, 0), ""),
        Op("find_executable", (path, ()), ""),
        Op("execve", (tuple(args), tuple(env)), ""),
    ]
    init = helper.Init(encode(program), stdio=stdio)
    message = init.receive()
    init.close()
    if message is None:
        return init.hand_over()
    init.reap()
    raise OSError(message.errno, posix.strerror(message.errno), path)


def _watch(pid: int, output: dict[int, bytearray], deadline: float | None) -> bool:
    """Collect what it writes until it ends; whether it had to be killed for that, at the deadline."""
    timed_out = False
    pidfd = files.held(posix.pidfd_open, pid)
    try:
        poller = select.poll()
        for fd in (pidfd, *output):
            poller.register(fd, select.POLLIN)
        while True:
            left = None if deadline is None else max(0, deadline - time.monotonic()) * 1000
            ready = [fd for fd, _ in poller.poll(left)]
            for fd in ready:
                if fd in output and not _collect(fd, output[fd]):
                    poller.unregister(fd)
            if pidfd in ready:
                return timed_out
            if not ready and deadline is not None and time.monotonic() >= deadline:
                _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
                timed_out, deadline = True, None
    finally:
        posix.close(pidfd)


def _collect(fd: int, kept: bytearray) -> bool:
    """Read once; False at the end of the file or when there is nothing to read."""
    try:
        data = posix.read(fd, 65536)
    except BlockingIOError:
        return False
    kept += data[: OUTPUT_LIMIT - len(kept)]
    return bool(data)
