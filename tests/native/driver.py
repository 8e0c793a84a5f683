"""Runs pyrunc-init with a program and records everything that it says.  Nothing of pyrunc's own runtime."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from pyrunc.plan.ops import SLOT_PROC, SLOT_ROOT, Op
from pyrunc.plan.wire import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

CLONED, SYNC, READY, FAILED, PTY, LISTENER, WARNING, STOPPED, CREATED, MAKING, LAYER, FILE = range(1, 13)
ANSWERED = (SYNC, LISTENER, STOPPED, MAKING)
NOT_AN_OP = 0xFFFFFFFF

O_PATH = 0o10000000
O_DIRECTORY = os.O_DIRECTORY
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
OPEN_TREE_CLONE, AT_RECURSIVE = 1, 0x8000
PATH = ("/nonexistent", "/usr/bin", "/bin")

_F_ADD_SEALS = 1033
_SEALS = 0xF


class Message(NamedTuple):
    kind: int
    op: int
    errno: int
    value: int
    detail: str
    fds: tuple[int, ...]


class Outcome:
    """``messages`` in order, exit ``statuses`` by pid (negative: a signal), what it wrote to ``stderr``."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.statuses: dict[int, int] = {}
        self.stderr = ""
        self.stdout = ""
        self.pid = 0  # of the process that was spawned; its first one, before a clone

    @property
    def failure(self) -> Message | None:
        return next((message for message in self.messages if message.kind == FAILED), None)

    def details(self, kind: int) -> list[str]:
        return [message.detail for message in self.messages if message.kind == kind]

    def check(self) -> Outcome:
        """Fail unless the program ran to its end."""
        assert self.failure is None, self.failure
        assert set(self.statuses.values()) == {0}, (self.statuses, self.stderr)
        return self

    def failed(self, errno: int, op: int | None = None) -> str:
        """Fail unless it failed like that; the detail."""
        assert self.failure is not None, (self.messages, self.statuses)
        assert self.failure.errno == errno, self.failure
        assert op is None or self.failure.op == op, self.failure
        assert self.messages[-1] is self.failure
        assert 1 in self.statuses.values()
        return self.failure.detail


def ops(*listed: tuple[object, ...]) -> list[Op]:
    """Ops from tuples of name and arguments."""
    return [Op(name, tuple(args), "") for name, *args in listed]  # type: ignore[arg-type]


def own_mounts() -> tuple[tuple[object, ...], ...]:
    """A mount namespace of its own, and slot PROC."""
    return (("unshare", CLONE_NEWNS), ("propagation", "/", MS_REC | MS_PRIVATE), ("open_proc", SLOT_PROC))


def rooted(rootfs: Path) -> tuple[tuple[object, ...], ...]:
    """A mount namespace of its own, with the rootfs mounted and in slot ROOT."""
    return (
        *own_mounts(),
        ("open_tree", SLOT_ROOT, str(rootfs), OPEN_TREE_CLONE | AT_RECURSIVE),
        ("attach_root", SLOT_ROOT, str(rootfs)),
    )


def shell(script: str, *env: str) -> tuple[tuple[object, ...], ...]:
    """A shell of the host becomes the program."""
    return (("find_executable", "sh", PATH), ("execve", ("sh", "-c", script), env))


def memfd(data: bytes, seals: int = _SEALS) -> int:
    fd = os.memfd_create("program", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, _F_ADD_SEALS, seals)
    return fd


def drive(
    executable: Path,
    program: Sequence[Op] | bytes,
    *extra: str,
    answer: Callable[[Message, Outcome], bool] | None = None,
    seals: int = _SEALS,
    inherit: Mapping[int, int] | None = None,
    env: dict[str, str] | None = None,
) -> Outcome:
    """Run a program.  ``answer`` is called before a message is answered; False hangs up instead.

    ``inherit`` says which descriptors the program gets besides: its number of them -> ours.
    """
    data = program if isinstance(program, bytes) else encode(program)
    outcome = Outcome()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fd = memfd(data, seals)
    out, err = (os.memfd_create(name) for name in ("stdout", "stderr"))
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    # High numbers, so that preserved descriptors have room.
    handed = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 200) for number in (theirs.fileno(), fd)]
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, err, 2)]
    actions += [(os.POSIX_SPAWN_DUP2, number, number) for number in handed]
    actions += [(os.POSIX_SPAWN_DUP2, source, number) for number, source in (inherit or {}).items()]
    try:
        pid = os.posix_spawn(executable, ["pyrunc-init", *map(str, handed), *extra], env or {}, file_actions=actions)
        outcome.pid = pid
        for number in (fd, null, *handed):
            os.close(number)
        theirs.close()
        waits = not isinstance(program, bytes) and any(op.name == "wait_start" for op in program)
        converse(ours, outcome, pid, answer, (*ANSWERED, READY) if waits else ANSWERED)
        outcome.stdout, outcome.stderr = (os.pread(number, 1 << 20, 0).decode() for number in (out, err))
    finally:
        ours.close()
        os.close(out)
        os.close(err)
    return outcome


def converse(
    ours: socket.socket,
    outcome: Outcome,
    pid: int,
    answer: Callable[[Message, Outcome], bool] | None,
    answered: Sequence[int] = ANSWERED,
) -> None:
    pids = [pid]
    while True:
        message = receive(ours)
        if message is None:
            break
        outcome.messages.append(message)
        if message.kind == CLONED:
            pids.append(message.value)
        go_on = answer(message, outcome) if answer else True
        for number in message.fds:
            os.close(number)
        if not go_on:
            ours.close()
            break
        if message.kind in answered:
            ours.send(b"\0")
    for each in pids:
        outcome.statuses[each] = os.waitstatus_to_exitcode(os.waitpid(each, 0)[1])


def receive(ours: socket.socket) -> Message | None:
    try:
        data, ancillary, _, _ = ours.recvmsg(8192, 256)
    except ConnectionResetError:
        return None
    if not data:
        return None
    fds = array.array("i")
    for _, _, payload in ancillary:
        fds.frombytes(payload)
    kind, op, errno, value = struct.unpack_from("<IIiI", data)
    return Message(kind, op, errno, value, data[16:].decode(), tuple(fds))
