"""The talk with one pyrunc-init, from its spawn to its READY; create and exec have it in common.

spawn ─▶ CLONED ─▶ (SYNC ─▶ runtime ops ─▶ go on)* ─▶ READY
"""

from __future__ import annotations

import _signal
import posix

from pyrunc.errors import HostError, OpFailed
from pyrunc.host import helper
from pyrunc.host import message as messages
from pyrunc.plan.ops import INIT
from pyrunc.plan.wire import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from pyrunc.plan.builder import Plan
    from pyrunc.plan.ops import Op


def split(plan: Plan) -> tuple[list[Op], list[Op], dict[int, list[Op]]]:
    """Runtime ops before the spawn, the init's ops, and runtime ops by the init op that waits for them."""
    before: list[Op] = []
    program: list[Op] = []
    after: dict[int, list[Op]] = {}
    for op in plan.ops:
        if op.name in INIT:
            program.append(op)
        elif program:
            after.setdefault(len(program) - 1, []).append(op)
        else:
            before.append(op)
    return before, program, after


if TYPE_CHECKING:

    class Making(Protocol):
        """Takes the MAKING and CREATED messages; ``slot`` is the mount that ``path`` is relative to."""

        def before(self, slot: int, path: str, mode: int, pid: int) -> None:
            """An object of that type and mode is about to be made by that process; when this returns it will be."""

        def after(self, slot: int, path: str, device: int, inode: int, born: int) -> None:
            """It has been made, at that time in ns (0: not known); an inode of 0: by somebody else."""


class Conversation:
    """One pyrunc-init and what it says; shared by create and exec."""

    __slots__ = ("init", "layers", "listener", "making", "master", "pid", "pidfd", "program", "reaped", "warn")

    def __init__(self, program: list[Op], warn: Callable[[str], None]) -> None:
        self.program = program
        self.warn = warn
        self.init: helper.Init | None = None
        self.pid = 0
        self.pidfd = -1
        self.master = -1
        self.reaped = False
        self.listener: Callable[[int], None] | None = None  # takes the seccomp listener to its agent
        self.layers: dict[int, int] = {}  # index in the plan's layers -> descriptor of its file system
        self.making: Making | None = None  # keeps what is created outside of the container's own file systems

    def run(self, init: helper.Init, on_cloned: Callable[[], None], on_sync: Callable[[int], None]) -> bool:
        """Answer messages until READY (True) or the end of the socket (False).  Raises OpFailed."""
        self.init = init
        while True:
            message = init.receive()
            if message is None:
                return False
            kind = message.kind
            if kind == messages.CLONED:
                self.pid, self.pidfd = message.value, message.fd
                init.reap()
                on_cloned()
            elif kind == messages.SYNC:
                on_sync(message.op)
                init.go_on()  # if it has died meanwhile, the next message says so
            elif kind == messages.READY:
                return True
            elif kind == messages.FAILED:
                raise self.failure(message)
            elif kind == messages.PTY:
                self.master = message.fd
            elif kind == messages.LAYER:
                self.layers[message.value] = message.fd
            elif kind == messages.LISTENER:
                try:
                    self._pass_listener(message.fd)
                finally:
                    posix.close(message.fd)
                init.go_on()
            elif kind == messages.MAKING:
                self._note(message)
                init.go_on()
            elif kind == messages.CREATED:
                self._note(message)
            elif kind == messages.WARNING:
                self.warn(f"{self.program[message.op].where}: {message.detail}")
            else:
                raise HostError(f"pyrunc-init sent a message of kind {kind}; is it from another version?")

    def _pass_listener(self, fd: int) -> None:
        if self.listener is None:
            raise HostError("a seccomp listener that nobody has asked for")
        self.listener(fd)

    def _note(self, message: messages.Message) -> None:
        if self.making is None:
            return
        if message.kind == messages.MAKING:
            slot, _, path = message.detail.partition(" ")
            self.making.before(int(slot), path, message.value, self.pid)
        else:
            slot, device, inode, born, path = message.detail.split(" ", 4)
            self.making.after(int(slot), path, int(device), int(inode), int(born))

    def failure(self, message: messages.Message) -> OpFailed:
        from pyrunc.plan.failure import explain

        if message.op >= len(self.program):
            text = message.detail or posix.strerror(message.errno)
            hint = "is pyrunc being updated? try again, or install it again"
            return OpFailed(f"pyrunc-init refuses its program: {text}", op="", errno=message.errno, hint=hint)
        reason = posix.strerror(message.errno)
        reason = reason[:1].lower() + reason[1:]
        return explain(self.program[message.op], message.errno, message.detail, reason)

    def died(self) -> OpFailed:
        """The socket ended too early: say how the process did."""
        status = self.wait() if self.pid else (self.init.reap() if self.init else 0)
        code = posix.waitstatus_to_exitcode(status)
        how = f"exited with status {code}" if code >= 0 else f"was killed by signal {-code}"
        hint = "a memory limit may be too small for it" if code == -9 else ""
        return OpFailed(f"the container's first process {how} before it was ready", op="clone", hint=hint)

    def part(self) -> None:
        """Answer the READY of a process that waits for ``start``: until now it would have ended with this one."""
        assert self.init is not None
        self.init.go_on()
        self.init.close()

    def wait(self) -> int:
        """Reap the container's process; its wait status."""
        status = posix.waitpid(self.pid, 0)[1]
        self.reaped = True
        return status

    def abort(self) -> None:
        """Kill and reap whatever was started, and close what is open.  Interrupted, it can be called again."""
        if self.init is not None and not self.pid:
            # An interruption may have come between the clone and what is said of it.
            message = self.init.cloned()
            if message is not None:
                self.pid, self.pidfd = message.value, message.fd
        if self.pid and not self.reaped:
            try:
                if self.pidfd >= 0:
                    _signal.pidfd_send_signal(self.pidfd, _signal.SIGKILL)
                else:
                    posix.kill(self.pid, _signal.SIGKILL)
                self.wait()
            except (ProcessLookupError, ChildProcessError):  # an interrupted call had come as far as that
                self.reaped = True
        if self.init is not None:
            self.init.close()
            self.init.reap()
        self.close()

    def close(self) -> None:
        """Interrupted, it can be called again."""
        pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            posix.close(pidfd)
        master, self.master = self.master, -1
        if master >= 0:
            posix.close(master)
        for index in tuple(self.layers):
            layer = self.layers[index]
            del self.layers[index]
            posix.close(layer)


def perform(program: list[Op], warn: Callable[[str], None], slots: Mapping[int, int] | None = None) -> dict[int, int]:
    """Let a pyrunc-init of its own run a program without clone and sync; the descriptors that it has sent as layers.

    Raises OpFailed.
    """
    talk = Conversation(program, warn)
    try:
        talk.run(helper.Init(encode(program), slots=slots), _nothing, _no_sync)
        layers, talk.layers = talk.layers, {}
    finally:
        talk.abort()
    return layers


def _nothing() -> None:
    """There is no clone."""


def _no_sync(_: int) -> None:
    """There is no sync."""
