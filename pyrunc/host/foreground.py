"""Stays with the container's process until its end: forwards signals, serves its terminal, reaps it.

For ``run`` and ``exec`` without --detach.  Signal handlers are a matter of the whole program, so this runs
in the main thread of the command line only; the Python API never calls it.

The handlers do nothing.  CPython's own C handler writes the signal's number into the wakeup pipe, and the
loop reads it there beside everything else that it waits for.
"""

from __future__ import annotations

import _signal
import posix
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from pyrunc.host.cgroups.oom import Watch
    from pyrunc.host.terminal import Terminal

PR_SET_CHILD_SUBREAPER = 36

#: Not forwarded.  SIGKILL and SIGSTOP cannot be caught; SIGCHLD and SIGWINCH are answered here; SIGURG is
#: used by language runtimes among themselves.  SIGPIPE would be our own stdout.  SIGTTIN and SIGTTOU must
#: stop a background job, or it would spin on its terminal.  The faults would come back at once.
_KEPT = frozenset(
    (
        _signal.SIGKILL,
        _signal.SIGSTOP,
        _signal.SIGCHLD,
        _signal.SIGWINCH,
        _signal.SIGURG,
        _signal.SIGPIPE,
        _signal.SIGTTIN,
        _signal.SIGTTOU,
        _signal.SIGSEGV,
        _signal.SIGBUS,
        _signal.SIGFPE,
        _signal.SIGILL,
    )
)


def forwarded() -> frozenset[int]:
    """The signals that go on to the container's process."""
    return frozenset(int(number) for number in _signal.valid_signals()) - _KEPT


def hold() -> None:
    """Block what will be forwarded until ``wait`` has its handlers: the program may run from now on."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, forwarded())


def wait(pid: int, pidfd: int, master: int = -1, watch: Watch | None = None) -> int:
    """Serve the child ``pid`` until it ends, and reap it; its exit status, 128+N for a signal.

    ``master`` is the pty's, -1 without a terminal.  The caller's terminal is raw meanwhile, and is restored
    however this ends.  ``watch`` looks at its cgroup whenever that has something to tell.
    """
    terminal = None
    if master >= 0:
        from pyrunc.host.terminal import Terminal

        terminal = Terminal(master)
    with Wakeup(forwarded() | {_signal.SIGCHLD, _signal.SIGWINCH}) as wakeup:
        if terminal is None:
            status = _loop(pid, pidfd, wakeup, None, watch)
        else:
            with terminal:
                status = _loop(pid, pidfd, wakeup, terminal, watch)
                terminal.relay.drain()
    code = posix.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _loop(pid: int, pidfd: int, wakeup: Wakeup, terminal: Terminal | None, watch: Watch | None) -> int:
    """The wait status of ``pid``."""
    _reap_adopted(pid)  # their SIGCHLD may have come before there was a handler
    while True:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.register(wakeup.fd, select.POLLIN)
        for fd, events in terminal.relay.interests().items() if terminal else ():
            poller.register(fd, events)
        if watch and watch.fd >= 0:
            poller.register(watch.fd, select.POLLIN)
        ready = dict(poller.poll())
        if watch and ready.pop(watch.fd, 0):
            watch.struck()
        for fd, events in ready.items():
            if terminal is not None and fd not in (pidfd, wakeup.fd):
                terminal.relay.handle(fd, events)
        for number in wakeup.numbers():
            if number == _signal.SIGCHLD:
                _reap_adopted(pid)
            elif number == _signal.SIGWINCH:
                if terminal is not None:
                    terminal.resize()
            else:
                if number == _signal.SIGCONT and terminal is not None:
                    terminal.take()  # the shell took it back while this was stopped
                _forward(pidfd, number)
        if pidfd in ready:
            return posix.waitpid(pid, 0)[1]


def _forward(pidfd: int, number: int) -> None:
    try:
        _signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return  # it has just ended; the loop sees that next


def _reap_adopted(pid: int) -> None:
    """Reap what was reparented to this subreaper; the container's process itself is left for the loop."""
    while True:
        try:
            found = posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
        except ChildProcessError:
            return
        if found is None or found.si_pid == pid:
            return
        posix.waitpid(found.si_pid, 0)


class Wakeup:
    """Turns signals into numbers on a pipe, and gives the handlers back at the end."""

    __slots__ = ("_before", "_numbers", "_old_fd", "_write", "fd")

    def __init__(self, numbers: frozenset[int]) -> None:
        self._numbers = numbers
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self.fd, self._write = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC)
        self._old_fd = _signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in self._numbers:
            self._before[number] = _signal.signal(number, _do_nothing)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, self._numbers)
        return self

    def numbers(self) -> bytes:
        try:
            return posix.read(self.fd, 4096)
        except BlockingIOError:
            return b""

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None: set by something that is not Python; it cannot be given back, the default can.
            _signal.signal(number, _signal.SIG_DFL if handler is None else handler)
        _signal.set_wakeup_fd(self._old_fd)
        posix.close(self.fd)
        posix.close(self._write)


def _do_nothing(_number: int, _frame: object) -> None:
    return


def become_subreaper() -> None:
    """Orphans of the container without a pid namespace of its own come to this process (prctl(2)).

    CPython has no prctl.  Its C module ``_ctypes`` can call it without the package around it.
    """
    import _ctypes

    program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # NULL is this program
    address = _ctypes.dlsym(program, "prctl")
    if _ctypes.call_function(address, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) != 0:
        raise OSError(22, posix.strerror(22))  # the only error that prctl(2) names for this call
