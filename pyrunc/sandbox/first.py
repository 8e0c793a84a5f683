"""What the first process of a sandbox is asked for, and who runs in the sandbox (docs/internals.md, "A sandbox").

It starts programs (``starting`` follows one on its way), and ends them.
"""

from __future__ import annotations

import _socket
import _thread
import posix
import select
import time
import weakref
from _struct import pack
from itertools import count

from pyrunc.errors import HostError, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.sandbox.process import Process
    from pyrunc.sandbox.starting import Starting

#: Requests, as in native/hold.c.
_START, _END_ALL, _END_GROUP = 1, 2, 3
#: Seconds that the kernel may take to end what was killed.
_END_SECONDS = 10

#: Numbers of END_ALL requests.
_numbers = count(1)

ETOOMANYREFS = 109
#: unix(7): they are counted for each user, and held against the limit of whoever sends one more.
IN_FLIGHT = "processes of its user on the host have more of them in sockets than RLIMIT_NOFILE allows"


class FirstProcess:
    """The socket to it.  Threads may use it at the same time."""

    __slots__ = ("_changing", "_kill", "_running", "_socket", "_starting", "_talking", "id")

    def __init__(self, id: str) -> None:
        self.id = id
        self._kill: Callable[[], None]
        self._running: weakref.WeakSet[Process] = weakref.WeakSet()
        self._starting: weakref.WeakSet[Starting] = weakref.WeakSet()
        self._socket: _socket.socket | None = None
        self._new_locks()

    def _new_locks(self) -> None:
        self._changing = _thread.allocate_lock()  # the socket, and who runs
        self._talking = _thread.allocate_lock()  # held from a request to its answer

    def take(self, socket: _socket.socket, kill: Callable[[], None]) -> None:
        """``kill`` ends the sandbox as a whole, where this process does not answer."""
        self._socket = socket
        self._kill = kill

    @property
    def alive(self) -> bool:
        """Whether there is a socket; that the process was killed shows only at the next request."""
        return self._socket is not None

    def ended(self) -> StateError:
        return StateError("the sandbox is closed" if self._socket is None else "the sandbox has ended: its first "
                          "process was killed", where=self.id)  # fmt: skip

    def start(self, starting: Starting, descriptors: bytes) -> None:
        """Ask for a program, with its descriptors as native/hold.c wants them; ``started`` has to follow."""
        with self._changing:
            self._starting.add(starting)
            self._send(pack("=2i", _START, 0), descriptors)

    def started(self, starting: Starting) -> None:
        """It is not on its way any more: it runs, or was not executed."""
        with self._changing:
            if starting.process is not None:
                self._running.add(starting.process)
            self._starting.discard(starting)

    def end_group(self, number: int) -> None:
        """Kill the process group of a program, by its pid in the sandbox."""
        with self._changing:
            self._send(pack("=2i", _END_GROUP, number))

    def end(self, program: Process | None) -> None:
        """Kill a program and what it has started: everything, unless another one runs or is being started."""
        with self._talking:
            with self._changing:
                others = [other for other in self._running if other is not program]
                alone = not self._starting and all(other.has_ended() for other in others)
                if alone:
                    # A program that is asked for from now on is started when this is done.
                    number = self._ask_for_all()
                elif program is not None:
                    self._send(pack("=2i", _END_GROUP, program.number))
            if alone:
                self._wait_for_all(number)

    def end_all(self) -> None:
        """Kill every process but this; returns when they are gone.  StateError if the sandbox has ended."""
        with self._talking:
            with self._changing:
                number = self._ask_for_all()
            self._wait_for_all(number)

    def _ask_for_all(self) -> bytes:
        """Ask for the end of every process but this; the answer that it will give."""
        number = next(_numbers) & 0x7FFFFFFF
        self._send(pack("=2i", _END_ALL, number))
        return pack("=i", number)

    def _wait_for_all(self, answer: bytes) -> None:
        """Until it has answered; the caller holds ``_talking``, so that the socket is not closed meanwhile.

        Answers to others come before that are late: who had asked for them was interrupted.
        """
        talk = self._socket
        assert talk is not None
        poller = select.poll()
        poller.register(talk.fileno(), select.POLLIN)
        deadline = time.monotonic() + _END_SECONDS
        answered = None
        while answered != answer:
            if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                # A process that hangs in the kernel, or a first process that a payload keeps from running.
                self._kill()
                raise HostError("its processes did not end when they were killed", where=self.id,
                                hint="the sandbox was killed as a whole")  # fmt: skip
            try:
                answered = talk.recv(len(answer))
            except ConnectionResetError:
                answered = b""
            if not answered:
                raise self.ended()

    def _send(self, request: bytes, descriptors: bytes = b"") -> None:
        """The caller holds ``_changing``."""
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)] if descriptors else []
        if self._socket is None:
            raise self.ended()
        try:
            self._socket.sendmsg([request], ancillary, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
        except (BrokenPipeError, ConnectionResetError):
            raise self.ended() from None
        except BlockingIOError:
            raise HostError("its first process does not take requests", where=self.id) from None
        except OSError as error:
            if error.errno != ETOOMANYREFS:
                raise
            raise HostError(reason("descriptors in flight", error.errno), where=self.id, hint=IN_FLIGHT) from None

    def close(self) -> None:
        """Let it go: it ends, and the kernel ends all others."""
        with self._talking, self._changing:
            self._let_go()

    def forget(self) -> None:
        """In a child of the program that made it: threads that held the locks are not there."""
        self._new_locks()
        self._let_go()

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()  # an interruption from here on finds it closed, and the first process ends
            self._socket = None


def reason(what: str, errno: int) -> str:
    text = posix.strerror(errno)
    return f"{what}: {text[:1].lower()}{text[1:]}"
