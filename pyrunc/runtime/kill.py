"""``kill``: a signal for the container's first process, or for every process in its cgroups."""

from __future__ import annotations

import _signal
import posix
import select

from pyrunc.errors import StateError
from pyrunc.host import cgroups, process, signals
from pyrunc.runtime.state import status
from pyrunc.state import machine
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.state.store import State

#: How long kill waits for a killed process; nothing depends on it.
END_MILLISECONDS = 1000


def kill(root: str, id: str, signal: str = "SIGTERM", *, all: bool = False) -> None:
    """``signal`` is a name with or without SIG in any case, or a number; 0 only asks whether it could be sent."""
    number = signals.number(signal)
    record = Record(root, id)
    found = record.load()
    current = status(record, found)
    if all:
        # As in runc: what a stopped container has left in its cgroups is signalled, too, and nothing is no error.
        cgroups.signal_all(found["cgroups"], number)
        if not found["cgroups"]:
            machine.require("kill", current, id)
            send(found, number)
        return
    machine.require("kill", current, id)
    send(found, number)
    if number != _signal.SIGKILL:
        return
    # Nobody else ends the others when the first process goes without a pid namespace to die with it.  And what is
    # frozen, by us or by itself, ends only when it is thawed, which this does.
    if current == machine.PAUSED or not found["own_pid_namespace"] or not _ends(found):
        cgroups.signal_all(found["cgroups"], number)
        _ends(found)


def send(state: State, number: int) -> None:
    try:
        process.signal(state["pid"], state["start_time"], number)
    except ProcessLookupError:
        raise StateError("container not running") from None


def _ends(state: State) -> bool:
    """Give the kernel the moment that it needs, so that a delete right behind finds the container stopped."""
    try:
        pidfd = process.open_pidfd(state["pid"], state["start_time"])
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        return bool(poller.poll(END_MILLISECONDS))
    finally:
        posix.close(pidfd)
