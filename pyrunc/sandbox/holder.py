"""The container behind a sandbox and the talk with its first process, which starts programs (docs/internals.md).

The container is one like any other: ``pyrunc list`` shows it, ``pyrunc delete --force`` removes it.  Its first
process ends when the socket to it does, and the kernel then ends all others: closed or killed, this program leaves
nothing behind that runs.
"""

from __future__ import annotations

import _signal
import _socket
import _thread
import fcntl
import posix
import select
import time
import weakref
from _struct import pack
from itertools import count

from pyrunc.errors import HostError, PyruncError, StateError
from pyrunc.host import cgroups, files, helper, process, unmount
from pyrunc.host.cgroups import tree
from pyrunc.plan.wire import encode
from pyrunc.runtime import destroy
from pyrunc.runtime.conversation import Conversation
from pyrunc.runtime.creation import Options
from pyrunc.sandbox.making import Making
from pyrunc.sandbox.process import Process
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyrunc.plan.ops import Op
    from pyrunc.spec.types import Spec
    from pyrunc.state.store import State

#: Requests, as in native/hold.c.
_START, _END_ALL, _END_GROUP = 1, 2, 3
#: Seconds that the kernel may take to end what was killed.
_END_SECONDS = 10
#: The index of a failure that is not one of the program's operations.
_NO_OP = 0xFFFFFFFF

#: Numbers of END_ALL requests.
_numbers = count(1)

_ETOOMANYREFS = 109
#: unix(7): they are counted for each user, and held against the limit of whoever sends one more.
_IN_FLIGHT = "processes of its user on the host have more of them in sockets than RLIMIT_NOFILE allows"


class TimedOut(Exception):
    """The deadline came before the program was executed."""


class Holder:
    """A running container without a program of its own.  Threads may use it at the same time."""

    __slots__ = (
        "_closing", "_memory", "_removing", "_running", "_socket", "_starting", "_talking", "_warn", "layers", "owner",
        "record", "removed", "spec", "state",
    )  # fmt: skip

    def __init__(self, root: str, id: str, spec: Spec, warn: Callable[[str], None]) -> None:
        """Nothing happens yet: whoever is interrupted while ``create`` is at work has what can be closed."""
        self.spec = spec
        self.state: State
        self.record = Record(root, id)
        self.owner = _owner(spec)
        self.removed = True  # nothing of it is on the host
        self.layers: dict[int, int] = {}
        self._warn = warn
        self._memory = ""
        self._running: weakref.WeakSet[Process] = weakref.WeakSet()
        self._starting = 0  # programs that were asked for and are not executed yet
        self._socket: _socket.socket | None = None
        self._closing = _thread.allocate_lock()
        self._talking = _thread.allocate_lock()
        self._removing = _thread.allocate_lock()

    def create(self, data: bytes, *, cgroup_manager: str) -> None:
        """``data`` is the text of the config, which is valid.  Raises SpecError, OpFailed, HostError."""
        if _signal.getsignal(_signal.SIGCHLD) == _signal.SIG_IGN:
            raise HostError(
                "this program ignores SIGCHLD, and the kernel would not tell it how its processes end",
                hint="signal.signal(signal.SIGCHLD, signal.SIG_DFL)",
            )
        null = _null()
        try:
            options = Options(stdio=(null, null, null), cgroup_manager=cgroup_manager, pass_layers=True, hold=True)
            creation = Making(files.parent(self.record.directory), self.record.id, options, self._warn)
            try:
                creation.create(self.record.directory, (self.spec, data))
                self._take(creation)
            except PyruncError:
                raise  # it has taken back what it had made
            except BaseException:
                if hasattr(creation, "state"):
                    creation.talk.abort()
                    self.record, self.state, self.removed = creation.record, creation.state, False
                    self.close()
                raise
        finally:
            posix.close(null)

    def _take(self, creation: Making) -> None:
        self.record, self.state = creation.record, creation.state
        self.removed = False
        talk = creation.talk
        assert talk.init is not None
        self._memory = _memory_events(self.spec, self.state["cgroups"])
        self.layers, talk.layers = talk.layers, {}
        self._socket = talk.init.socket
        talk.close()
        self.record.close()

    @property
    def alive(self) -> bool:
        """Whether programs can be started; that its first process was killed shows only at the next start."""
        return self._socket is not None

    def start(
        self, args: list[str], program: list[Op], stdio: Sequence[int], deadline: float | None = None
    ) -> tuple[Process, int]:
        """Let a new process run ``program``; returns when that has been executed, or has come to its end.

        The second of the result is a descriptor that the program has sent, -1 without one.  Raises OpFailed,
        StateError when the sandbox has ended, TimedOut.
        """
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        report, their_report = posix.pipe2(posix.O_CLOEXEC)
        started = None
        try:
            try:
                memfd = helper.sealed("program", encode(program))
                try:
                    rights = pack("=6i", theirs.fileno(), their_report, memfd, *stdio)
                    with self._closing:
                        self._send(pack("=2i", _START, 0), rights)
                        self._starting += 1
                finally:
                    posix.close(memfd)
            finally:
                theirs.close()
                posix.close(their_report)
            try:
                number, pidfd, sent = self._hear(ours, program, deadline)
                started = Process(args, number, pidfd, report)
            finally:
                with self._closing:
                    self._starting -= 1
                    if started is not None:
                        self._running.add(started)
        finally:
            ours.close()
            if started is None:
                posix.close(report)
        return started, sent

    def _send(self, request: bytes, rights: bytes = b"") -> None:
        """Ask the first process for something; the caller holds ``_closing``."""
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if rights else []
        if self._socket is None:
            raise self.ended()
        try:
            self._socket.sendmsg([request], ancillary, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
        except (BrokenPipeError, ConnectionResetError):
            raise self.ended() from None
        except BlockingIOError:
            raise HostError("its first process does not take requests", where=self.record.id) from None
        except OSError as error:
            if error.errno != _ETOOMANYREFS:
                raise
            raise HostError(
                _reason("descriptors in flight", error.errno), where=self.record.id, hint=_IN_FLIGHT
            ) from None

    def _hear(self, talk: _socket.socket, program: list[Op], deadline: float | None) -> tuple[int, int, int]:
        """Pid in the sandbox and pidfd of the new process, and what it has sent."""
        number, pidfd, sent = 0, -1, -1
        try:
            while True:
                if deadline is not None:
                    _await(talk.fileno(), deadline)
                message = helper.receive(talk)
                if message is None:
                    break
                if message.kind == helper.CLONED:
                    number, pidfd = message.value, message.fd
                elif message.kind == helper.FILE:
                    sent = message.fd
                elif message.kind == helper.FAILED:
                    raise _failure(program, message)
                else:
                    raise HostError(f"pyrunc-init sent a message of kind {message.kind}; is it from another version?")
            if not number:
                raise self.ended()
        except BaseException as error:
            if not number and not isinstance(error, PyruncError):
                number, pidfd = _told(talk)
            for fd in (pidfd, sent):
                if fd >= 0:
                    posix.close(fd)
            if number and not isinstance(error, PyruncError):
                with self._closing:
                    self._send(pack("=2i", _END_GROUP, number))
            raise
        return number, pidfd, sent

    def ended(self) -> StateError:
        return StateError("the sandbox is closed" if self._socket is None else "the sandbox has ended: its first "
                          "process was killed", where=self.record.id)  # fmt: skip

    def end(self, program: Process | None) -> None:
        """Kill a program and what it has started: everything, unless another one runs or is being started."""
        with self._talking:
            with self._closing:
                others = [other for other in self._running if other is not program]
                alone = not self._starting and all(other.poll() is not None for other in others)
                if alone:
                    # A program that is asked for from now on is started when this is done.
                    number = self._ask_for_all()
                elif program is not None:
                    self._send(pack("=2i", _END_GROUP, program.number))
            if alone:
                self._wait_for_all(number)

    def end_all(self) -> None:
        """Kill every process but the first; returns when they are gone.  StateError if the sandbox has ended."""
        with self._talking:
            with self._closing:
                number = self._ask_for_all()
            self._wait_for_all(number)

    def _ask_for_all(self) -> bytes:
        """Ask for the end of every process but the first; the answer that it will give."""
        number = next(_numbers) & 0x7FFFFFFF
        self._send(pack("=2i", _END_ALL, number))
        return pack("=i", number)

    def _wait_for_all(self, answer: bytes) -> None:
        """Until the first process has answered; the caller holds ``_talking``, so that it is not closed meanwhile.

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
                self.kill()
                raise HostError("its processes did not end when they were killed", where=self.record.id,
                                hint="the sandbox was killed as a whole")  # fmt: skip
            try:
                answered = talk.recv(len(answer))
            except ConnectionResetError:
                answered = b""
            if not answered:
                raise self.ended()

    def kill(self) -> None:
        """Kill the first process, and with it all others.  ``close`` has to follow.

        Those of its cgroups first: it ends them itself while it ends, and they may leave it no time for that.
        """
        cgroups.signal_all(self.state["cgroups"], _signal.SIGKILL)
        try:
            process.signal(self.state["pid"], self.state["start_time"], _signal.SIGKILL)
        except ProcessLookupError:
            return

    def close(self) -> None:
        """End everything, and remove what the container was made of.

        Idempotent; interrupted or failed it can be repeated.
        """
        with self._talking, self._closing:
            self._let_go()
        with self._removing:
            if not self.removed:
                self._remove()
                self.removed = True

    def _remove(self) -> None:
        self._reap()
        self.record.close()  # of an earlier attempt
        if not files.is_directory(self.record.directory):
            return  # somebody has deleted it
        try:
            self.record.lock()
        except StateError:
            return
        try:
            for layer in reversed(self.state["layers"]):
                unmount.detach(layer["path"])  # destroy looks for those that are left, and spawns pyrunc-init for them
            destroy.destroy(self.record, self.state, self._warn)
        finally:
            self.record.close()

    def _reap(self) -> None:
        """Wait for the end of the first process: the kernel lets it go when all others in its namespace have."""
        pid = self.state["pid"]
        if not pid:
            return
        try:
            pidfd = process.open_pidfd(pid, self.state["start_time"])
        except ProcessLookupError:
            return
        try:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            if not poller.poll(destroy.KILL_SECONDS * 1000):
                raise HostError(f"process {pid} does not end", where=self.record.id,
                                hint="it may hang in the kernel: see /proc/PID/stack")  # fmt: skip
            posix.waitpid(pid, 0)
        except ChildProcessError:
            return  # this program ignores SIGCHLD, or reaps by itself
        finally:
            posix.close(pidfd)

    def oom_kills(self) -> int:
        """How often the kernel has killed something in the container because the memory limit was reached."""
        if self._memory:
            for line in tree.read(self._memory).split("\n"):
                if line.startswith("oom_kill "):
                    return int(line[9:])
        return 0

    def forget(self) -> None:
        """In a child of the program that made it: give up what is open and nothing else."""
        # Threads that held them are not in the child.
        self._closing, self._talking = _thread.allocate_lock(), _thread.allocate_lock()
        self._removing = _thread.allocate_lock()
        self.removed = True  # it is the parent's
        self.record.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()  # an interruption from here on finds it closed, and the first process ends
            self._socket = None
        while self.layers:
            posix.close(self.layers.popitem()[1])


def _null() -> int:
    """The null device, above the standard streams: a program may have closed those, and what is open on the number
    that it is to have is not passed on."""
    fd = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    if fd > 2:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        posix.close(fd)


def _owner(spec: Spec) -> int | None:
    """The uid of the sandbox's user on the host; None for this program's own."""
    uid = spec["process"]["user"]["uid"]
    for mapping in (spec["linux"].get("uidMappings")) or ():
        if mapping["containerID"] <= uid < mapping["containerID"] + mapping["size"]:
            uid += mapping["hostID"] - mapping["containerID"]
            break
    return None if uid == posix.geteuid() else uid


def _memory_events(spec: Spec, directories: Mapping[str, str]) -> str:
    """The file that counts what was killed; "" without a limit."""
    if not (spec["linux"].get("resources") or {}).get("memory"):
        return ""
    on_v1 = "memory" in directories
    return directories["memory"] + "/memory.oom_control" if on_v1 else directories[""] + "/memory.events"


def _told(talk: _socket.socket) -> tuple[int, int]:
    """What CLONED says, if it was sent; afterwards it cannot be, and the first process ends what it has started."""
    talk.shutdown(_socket.SHUT_RDWR)
    while message := helper.receive(talk):
        if message.kind == helper.CLONED:
            return message.value, message.fd
        if message.fd >= 0:
            posix.close(message.fd)
    return 0, -1


def _await(fd: int, deadline: float) -> None:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimedOut


def _failure(program: list[Op], message: helper.Message) -> PyruncError:
    if message.op == _NO_OP or message.op >= len(program):
        hint = "pids may be too small" if message.detail == "fork" else ""
        if message.errno == _ETOOMANYREFS:
            hint = _IN_FLIGHT
        return HostError(_reason(message.detail, message.errno), hint=hint)
    return Conversation(program, _no_warning).failure(message)


def _reason(what: str, errno: int) -> str:
    reason = posix.strerror(errno)
    return f"{what}: {reason[:1].lower()}{reason[1:]}"


def _no_warning(_: str) -> None:
    """A program of a sandbox has none."""
