"""``state``: the state document of runtime-spec runtime.md, with runc's additions and order."""

from __future__ import annotations

from pyrunc.host import cgroups, files, process
from pyrunc.state import machine
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.state.store import State


def state(root: str, id: str) -> dict[str, Any]:
    record = Record(root, id)
    found = record.load()
    current = status(record, found)
    return document(found, current, 0 if current == machine.STOPPED else found["pid"])


def document(state: State, status: str, pid: int) -> dict[str, Any]:
    """The keys in runc's order; ``annotations`` only where there are some."""
    found: dict[str, Any] = {
        "ociVersion": state["ociVersion"],
        "id": state["id"],
        "pid": pid,
        "status": status,
        "bundle": state["bundle"],
        "rootfs": state["rootfs"],
        "created": state["created"],
    }
    if state["annotations"]:
        found["annotations"] = state["annotations"]
    found["owner"] = state["owner"]
    return found


def status(record: Record, state: State) -> str:
    """What the container is right now; a process is its pid and its start time.

    The FIFO is there until `start` has met the init, or for ever when a `start` was killed then: that does not matter
    once the program is executed.
    """
    if state["status"] == machine.CREATING:
        # The creator holds the lock as long as it lives.
        if record.lock(wait=False):
            record.close()
            return machine.STOPPED
        return machine.CREATING
    life, forked = process.look(state["pid"], state["start_time"])
    if life != "running":
        return machine.STOPPED
    if cgroups.frozen(state["cgroups"]):
        return machine.PAUSED
    return machine.CREATED if forked and files.exists(record.fifo) else machine.RUNNING


def current(record: Record) -> tuple[State, str]:
    """State and status for a verb that holds the lock already."""
    found = record.load()
    if found["status"] == machine.CREATING:
        return found, machine.STOPPED
    return found, status(record, found)


def hold(record: Record, verb: str) -> State:
    """Take the lock for a verb that changes the container; StateError unless its status allows the verb."""
    machine.require(verb, status(record, record.load()), record.id)
    record.lock()
    found, now = current(record)
    machine.require(verb, now, record.id)
    return found
