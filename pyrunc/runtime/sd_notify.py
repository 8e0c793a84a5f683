"""NOTIFY_SOCKET (sd_notify(3)): the container tells the caller's service manager that it is ready, as with runc.

The container gets a socket of its own, in a directory of its state that is mounted read-only at /run/notify.  Whoever
starts it listens there until one message has READY=, passes that line on, and says which process is the service.
Imported only where NOTIFY_SOCKET is set.
"""

from __future__ import annotations

import _socket
import posix
import select
from _struct import pack

from pyrunc.errors import HostError
from pyrunc.host import failure, files, process
from pyrunc.runtime.exec import override

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.spec.types import Spec
    from pyrunc.state.store import State

VARIABLE = "NOTIFY_SOCKET"
INSIDE = "/run/notify"

#: Of the container's directory; and the name of the socket in it.
DIRECTORY, NAME = "/notify", "/notify.sock"

#: How long the service manager may take to work through what it was told, as in libsystemd's callers.
BARRIER_MILLISECONDS = 30_000

_MESSAGE = 4096


def with_socket(spec: Spec, directory: str) -> Spec:
    """``spec`` with the mount and the variable; ``directory`` is that of the container's state."""
    mount = {
        "destination": INSIDE,
        "type": "bind",
        "source": directory + DIRECTORY,
        "options": ["bind", "nosuid", "noexec", "nodev", "ro"],
    }
    task = spec["process"]
    env = override(task.get("env") or [], [f"{VARIABLE}={INSIDE}{NAME}"])
    changed: Any = {**spec, "mounts": [*(spec.get("mounts") or ()), mount], "process": {**task, "env": env}}
    return changed  # type: ignore[no-any-return]


def make_directory(directory: str) -> None:
    """Before the container is made, which mounts it."""
    posix.mkdir(directory + DIRECTORY)
    posix.chmod(directory + DIRECTORY, 0o755)  # whatever the umask has left of it


class Passing:
    """Listens for the container, and is connected to the service manager at ``host``."""

    __slots__ = ("_inside", "_outside")

    def __init__(self, directory: str, host: str) -> None:
        self._outside = _datagrams()
        self._inside = _datagrams()
        try:
            self._outside.connect("\0" + host[1:] if host.startswith("@") else host)
        except OSError as error:
            self.close()
            raise HostError(f"{host}: {failure.reason(error)}", where=VARIABLE) from None
        try:
            self._bind(directory + DIRECTORY)
        except BaseException:
            self.close()
            raise

    def _bind(self, directory: str) -> None:
        """By way of a descriptor: the path may be longer than an address can be (unix(7))."""
        folder = files.held(posix.open, directory, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            self._inside.bind(f"/proc/self/fd/{folder}{NAME}")
            posix.chmod(directory + NAME, 0o777)  # the process may be any user
        finally:
            posix.close(folder)

    def close(self) -> None:
        self._outside.close()
        self._inside.close()

    def pass_on(self, state: State, main: int) -> None:
        """Returns when READY= has been passed on with ``main`` as the main process, or the container has ended."""
        try:
            ready = self._ready(state)
            if ready:
                self._outside.send(ready + b"\n")
                self._outside.send(b"MAINPID=%d\n" % main)
                self._barrier()
        except OSError as error:
            raise HostError(f"the service manager cannot be told: {failure.reason(error)}", where=VARIABLE) from None
        finally:
            self.close()

    def _ready(self, state: State) -> bytes:
        try:
            pidfd = process.open_pidfd(state["pid"], state["start_time"])
        except ProcessLookupError:
            return b""
        try:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            poller.register(self._inside.fileno(), select.POLLIN)
            while True:
                found = dict(poller.poll())
                if self._inside.fileno() in found:
                    said: bytes = self._inside.recv(_MESSAGE)
                    for line in said.split(b"\n"):
                        if line.startswith(b"READY="):
                            return line
                elif pidfd in found:
                    return b""
        finally:
            posix.close(pidfd)

    def _barrier(self) -> None:
        """Wait until the manager has read all of it: from then on it knows the main process (sd_notify_barrier(3))."""
        ours, theirs = posix.pipe2(posix.O_CLOEXEC)
        try:
            try:
                self._outside.sendmsg([b"BARRIER=1"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pack("=i", theirs))])
            finally:
                posix.close(theirs)
            poller = select.poll()
            poller.register(ours, 0)  # its end alone
            poller.poll(BARRIER_MILLISECONDS)
        finally:
            posix.close(ours)


def beside(passing: Passing, state: State, warn: Callable[[str], None]) -> None:
    """``pass_on`` while this process stays with the container in the foreground, and so is the service itself."""
    import _thread

    def work() -> None:
        try:
            passing.pass_on(state, posix.getpid())
        except HostError as error:
            warn(str(error))

    _thread.start_new_thread(work, ())


def _datagrams() -> Any:
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
