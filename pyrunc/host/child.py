"""Runs one program of the host to its end: hooks, newuidmap and newgidmap.

The child is made by posix_spawn, never fork, so that programs with threads may use pyrunc as a library.
It inherits nothing but its stdio; its signal mask and dispositions are the defaults.
"""

from __future__ import annotations

import _signal
import posix
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


class Environment:
    """An environment exactly as listed, duplicates and order included, in the shape posix.posix_spawn takes."""

    __slots__ = ("_pairs",)

    def __init__(self, entries: Sequence[str]) -> None:
        self._pairs = []
        for entry in entries:
            key, equals, value = entry.partition("=")
            if not key or not equals:
                raise ValueError(f"environment entry {entry!r} is not KEY=VALUE")
            self._pairs.append((key, value))

    def keys(self) -> list[str]:
        return [key for key, _ in self._pairs]

    def values(self) -> list[str]:
        return [value for _, value in self._pairs]

    def __len__(self) -> int:
        return len(self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __getitem__(self, key: str) -> str:
        return dict(self._pairs)[key]


def run(path: str, args: Sequence[str], env: Sequence[str], stdin: bytes = b"", timeout: float | None = None) -> Ended:
    """Run a program to its end.  Raises OSError when it cannot be started, ValueError for a bad env.

    ``timeout`` is in seconds; at its end the program is killed and reaped.  Processes that it leaves
    behind are not waited for, even when they hold its output open.
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
        pid = _spawn(path, args, env, (given, out_child, err_child))
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


def _spawn(path: str, args: Sequence[str], env: Sequence[str], stdio: tuple[int, int, int]) -> int:
    actions: list[tuple[int, int, int]] = []
    for target, fd in enumerate(stdio):
        if fd < 3:
            # The caller runs without some stdio; a dup2 onto itself would keep close-on-exec.
            fd = _above_stdio(fd)
        actions.append((posix.POSIX_SPAWN_DUP2, fd, target))
    try:
        return posix.posix_spawn(
            path,
            list(args),
            Environment(env),  # type: ignore[arg-type]
            file_actions=actions,
            setsigmask=(),
            # The interpreter ignores these two; ignored signals survive execve.
            setsigdef=(_signal.SIGPIPE, _signal.SIGXFSZ),
        )
    finally:
        for action, given in zip(actions, stdio, strict=True):
            if action[1] != given:
                posix.close(action[1])


def _above_stdio(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)


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
