"""Runs one program of the host to its end: hooks, newuidmap and newgidmap.

The child inherits nothing but its stdio; its signal mask and dispositions are the defaults.
"""

from __future__ import annotations

import _signal
import posix
import select
import time

from pyrunc.host import helper
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
    opened: list[int] = []
    try:
        given = _input(stdin)
        opened.append(given)
        out, out_child = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        opened += (out, out_child)
        err, err_child = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        opened += (err, err_child)
        posix.set_blocking(out_child, True)
        posix.set_blocking(err_child, True)
        pid = _spawn(path, args, env, cwd, (given, out_child, err_child))
        for fd in (out_child, err_child):
            posix.close(fd)
            opened.remove(fd)
        return _watch(pid, out, err, deadline)
    finally:
        for fd in opened:
            posix.close(fd)


def _input(data: bytes) -> int:
    """A descriptor at the start of the data.  A memfd: nobody has to write while the program runs."""
    fd = posix.memfd_create("stdin", posix.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[posix.write(fd, view) :]
    posix.lseek(fd, 0, 0)
    return fd


def _spawn(path: str, args: Sequence[str], env: Sequence[str], cwd: str, stdio: tuple[int, int, int]) -> int:
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


def _watch(pid: int, out: int, err: int, deadline: float | None) -> Ended:
    pidfd = posix.pidfd_open(pid)
    output = {out: bytearray(), err: bytearray()}
    poller = select.poll()
    for fd in (pidfd, out, err):
        poller.register(fd, select.POLLIN)
    timed_out = False
    try:
        while True:
            left = None if deadline is None else max(0, deadline - time.monotonic()) * 1000
            ready = [fd for fd, _ in poller.poll(left)]
            for fd in ready:
                if fd in output and not _collect(fd, output[fd]):
                    poller.unregister(fd)
            if pidfd in ready:
                break
            if not ready and deadline is not None and time.monotonic() >= deadline:
                _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
                timed_out, deadline = True, None
    finally:
        posix.close(pidfd)
        status = posix.waitpid(pid, 0)[1]
    for fd, kept in output.items():
        while _collect(fd, kept) and len(kept) < OUTPUT_LIMIT:
            pass
    return Ended(posix.waitstatus_to_exitcode(status), timed_out, bytes(output[out]), bytes(output[err]))


def _collect(fd: int, kept: bytearray) -> bool:
    """Read once; False at the end of the file or when there is nothing to read."""
    try:
        data = posix.read(fd, 65536)
    except BlockingIOError:
        return False
    kept += data[: OUTPUT_LIMIT - len(kept)]
    return bool(data)
