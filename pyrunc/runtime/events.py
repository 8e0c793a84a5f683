"""``events``: what a container uses, every so often, and when it runs out of memory.  The documents are runc's."""

from __future__ import annotations

import posix
import select
import time

from pyrunc.errors import HostError, StateError
from pyrunc.host import process
from pyrunc.host.cgroups import oom
from pyrunc.host.cgroups import stats as statistics
from pyrunc.runtime import state as states
from pyrunc.state import machine
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pyrunc.state.store import State

#: Milliseconds; poll(2) takes an int.
_LONGEST = (1 << 31) - 1


def stats(root: str, id: str) -> dict[str, Any]:
    """One document of the type stats: ``{"type", "id", "data"}``, see host.cgroups.stats for the data."""
    return _stats(_watched(root, id))


def oom_kills(root: str, id: str) -> int:
    """How many processes of the container the OOM killer has killed; also of one that has stopped."""
    return oom.kills(Record(root, id).load()["cgroups"])


def stream(root: str, id: str, interval: float, *, warn: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Statistics after every ``interval`` seconds, ``{"type": "oom", "id"}`` as it happens; ends with the container.

    Where the container has no memory controller, there is a warning and no such event.
    """
    state = _watched(root, id)
    try:
        pidfd = process.open_pidfd(state["pid"], state["start_time"])
    except ProcessLookupError:
        raise StateError(machine.REFUSALS["events", machine.STOPPED].format(id=id)) from None
    watch = None
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        try:
            watch = oom.Watch(state["cgroups"])
            poller.register(fd := watch.fd, select.POLLIN)
        except HostError as error:
            warn(str(error))
        due = time.monotonic() + interval
        while True:
            ready = dict(poller.poll(min(max(due - time.monotonic(), 0) * 1000, _LONGEST)))
            if watch and watch.struck():
                yield {"type": "oom", "id": id}
            if watch and watch.fd < 0:  # the cgroup is gone
                poller.unregister(fd)
                watch = None
            if pidfd in ready:
                return
            if time.monotonic() >= due:
                yield _stats(state)
                due = max(due + interval, time.monotonic())
    finally:
        if watch:
            watch.close()
        posix.close(pidfd)


def _watched(root: str, id: str) -> State:
    record = Record(root, id)
    state = record.load()
    machine.require("events", states.status(record, state), id)
    if not state["cgroups"]:
        raise HostError("it has no cgroup of its own, which would say what it uses", where=id)
    return state


def _stats(state: State) -> dict[str, Any]:
    return {"type": "stats", "id": state["id"], "data": statistics.read(state["cgroups"])}
