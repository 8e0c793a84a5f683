"""The layers of a container that is alive, where they are not mounted on the host: without privilege they are in its
own mount namespace alone."""

from __future__ import annotations

import contextlib
import os

from pyrunc.errors import StateError
from pyrunc.host import files, process
from pyrunc.host.layers import source
from pyrunc.plan.kernel import CLONE_NEWNS, CLONE_NEWUSER
from pyrunc.plan.ops import SLOT_ROOT
from pyrunc.plan.view import SLOT_PIDFD, view
from pyrunc.runtime import state as states
from pyrunc.runtime.conversation import perform
from pyrunc.state import machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.state.store import Record, State


@contextlib.contextmanager
def views(record: Record, state: State) -> Iterator[dict[str, int]]:
    """What the container sees at each layer's destination, by that; nothing where the layers themselves can be had.

    StateError when they cannot and the container is not running: its first process holds the mounts, and lets itself
    be looked at when it runs a program.  The descriptors are closed at the end.
    """
    if all(source.on_host(layer) for layer in state["layers"]):
        yield {}
        return
    status = states.status(record, state)
    if status not in (machine.RUNNING, machine.PAUSED):
        raise source.unreachable(state["layers"][0], status)
    found = _fetch(state)
    try:
        for index, layer in enumerate(state["layers"]):
            source.check_view(found[index], layer)
        yield {layer["destination"]: found[index] for index, layer in enumerate(state["layers"])}
    finally:
        files.close(list(found.values()))


def _fetch(state: State) -> dict[int, int]:
    slots: dict[int, int] = {}
    try:
        slots[SLOT_PIDFD] = process.open_pidfd(state["pid"], state["start_time"])
        path = f"/proc/{state['pid']}"
        slots[SLOT_ROOT] = files.held(os.open, f"{path}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        own = os.stat("/proc/self/ns/user").st_ino == os.stat(f"{path}/ns/user").st_ino
        program = view([layer["destination"] for layer in state["layers"]], CLONE_NEWNS | (0 if own else CLONE_NEWUSER))
        # The number may have become another's before it was opened.
        if process.state(state["pid"], state["start_time"]) != "running":
            raise StateError("the container has ended", where=state["id"])
        return perform(program, _no_warning, slots)
    except ProcessLookupError:
        raise StateError("the container has ended", where=state["id"]) from None
    finally:
        files.close(list(slots.values()))


def _no_warning(_: str) -> None:
    """No op of this program has one."""
