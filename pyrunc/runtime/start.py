"""``start``: opens the exec FIFO, and stays until the program runs or says why it does not.

The init writes one byte when the FIFO opens and keeps it open, close-on-exec.  Its end without a record
behind that byte means that execve has succeeded.
"""

from __future__ import annotations

import posix
import select

from pyrunc.errors import OpFailed, PyruncError
from pyrunc.host import files, process
from pyrunc.host import message as messages
from pyrunc.plan.ops import Op
from pyrunc.runtime import destroy
from pyrunc.runtime import state as states
from pyrunc.state import machine
from pyrunc.state.store import Record, wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.state.store import State

#: One byte, and one record at most.
RECORD_LIMIT = 1 + messages.LIMIT
#: What the init writes first.
_CAME = b"0"


def start(root: str, id: str, notify_socket: str | None = None) -> None:
    """``notify_socket``: wait until a container that was created with one is ready, and tell who listens there."""
    passing = None
    with Record(root, id) as record:
        record.lock()
        found, status = states.current(record)
        machine.require("start", status, id)
        if notify_socket and files.is_directory(record.directory + "/notify"):
            from pyrunc.runtime import sd_notify

            passing = sd_notify.Passing(record.directory, notify_socket)
        release(record, found)
    if passing:
        passing.pass_on(found, found["pid"])


def release(record: Record, state: State) -> None:
    """Let a created container go; the caller holds its lock and knows that it is created.

    To open the FIFO is to start it, and its name goes when the init has come: whoever is killed before leaves a
    container that is created, or whose program runs.
    """
    try:
        pidfd = process.open_pidfd(state["pid"], state["start_time"])
    except ProcessLookupError:
        raise _died() from None
    try:
        fifo = files.held(posix.open, record.fifo, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
        try:
            data = _read(fifo, pidfd, record.fifo, state)
        finally:
            posix.close(fifo)
    except OSError as error:
        raise wrap(error, record.fifo) from None
    finally:
        posix.close(pidfd)
    message = messages.record(data.removeprefix(_CAME))  # one that was killed may have read that
    if message is not None:
        raise _failure(state, message)
    if not data:
        raise _died()
    _poststart(state)


def _died() -> OpFailed:
    return OpFailed("the container's first process died before it was started", op="wait_start")


def _read(fifo: int, pidfd: int, name: str, state: State) -> bytes:
    """All that the init writes until it closes the FIFO or dies; the FIFO's ``name`` is removed when it has come."""
    poller = select.poll()
    poller.register(fifo, select.POLLIN)
    poller.register(pidfd, select.POLLIN)
    data = b""
    ended = False
    while True:
        part = _available(fifo)
        if part:
            if not data:
                posix.unlink(name)
            data += part
            if len(data) > RECORD_LIMIT:
                return data
        elif ended or (part == b"" and data):
            return data
        elif part == b"" and _has_executed(state):
            # Another `start` has released it, and was killed before it could remove the name.
            posix.unlink(name)
            return _CAME
        ended = any(fd == pidfd for fd, _ in poller.poll())


def _has_executed(state: State) -> bool:
    life, forked = process.look(state["pid"], state["start_time"])
    return life != "gone" and not forked


def _available(fifo: int) -> bytes | None:
    """What can be read now; b"" without any writer, None with a writer that has nothing to say."""
    try:
        return posix.read(fifo, 65536)
    except BlockingIOError:
        return None


def _failure(state: State, message: messages.Message) -> PyruncError:
    from pyrunc.plan.failure import explain

    for index, name, where in state["start_ops"]:
        if index == message.op:
            reason = posix.strerror(message.errno)
            return explain(Op(name, (), where), message.errno, message.detail, reason[:1].lower() + reason[1:])
    return OpFailed(message.detail or posix.strerror(message.errno), op="", errno=message.errno)


def _poststart(state: State) -> None:
    """config.md "Poststart": a failure is an error, and the container is stopped."""
    if not state["hooks"].get("poststart"):
        return
    from pyrunc.runtime import hooks

    try:
        hooks.poststart(state)
    except PyruncError:
        destroy.stop(state)
        raise
