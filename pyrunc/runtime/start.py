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

    The FIFO loses its name first: should this process be killed now, nobody takes the container for one that
    can still be started.
    """
    opened = record.fifo + ".opened"
    try:
        pidfd = process.open_pidfd(state["pid"], state["start_time"])
    except ProcessLookupError:
        raise OpFailed("the container's first process died before it was started", op="wait_start") from None
    try:
        posix.rename(record.fifo, opened)
        fifo = files.held(posix.open, opened, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
        posix.unlink(opened)
        try:
            data = _read(fifo, pidfd)
        finally:
            posix.close(fifo)
    except OSError as error:
        raise wrap(error, record.fifo) from None
    finally:
        posix.close(pidfd)
    message = messages.record(data[1:])
    if message is not None:
        raise _failure(state, message)
    if not data:
        raise OpFailed("the container's first process died before it was started", op="wait_start")
    _poststart(state)


def _read(fifo: int, pidfd: int) -> bytes:
    """All that the init writes until it closes the FIFO or dies."""
    poller = select.poll()
    poller.register(fifo, select.POLLIN)
    poller.register(pidfd, select.POLLIN)
    data = b""
    while True:
        ready = dict(poller.poll())
        part = _available(fifo)
        if part:
            data += part
            if len(data) > RECORD_LIMIT:
                return data
        elif part is None and pidfd not in ready:
            # Nothing to read yet: no writer has come, or it is still at work.
            continue
        elif data or pidfd in ready:
            return data


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
