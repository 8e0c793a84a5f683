"""``delete``: removes a stopped or a merely created container; with force, any, and what an interrupted one left."""

from __future__ import annotations

import _signal

from pyrunc.errors import StateError
from pyrunc.host import files, process
from pyrunc.runtime import state as states
from pyrunc.runtime.destroy import destroy, detach_layers, remove_mount_points
from pyrunc.state import machine
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def delete(root: str, id: str, *, force: bool, warn: Callable[[str], None]) -> None:
    with Record(root, id) as record:
        if force and not files.is_directory(record.directory):
            return
        if not force:
            record.load()  # says best what is wrong with a directory that is no container
        if force and not record.lock(wait=False):
            _kill_first(record)
        if not record.locked:
            record.lock()
        remove(record, force=force, warn=warn)


def remove(record: Record, *, force: bool, warn: Callable[[str], None]) -> None:
    """Delete a container whose lock the caller holds."""
    try:
        found, status = states.current(record)
    except StateError as error:
        if not force:
            raise
        # The creation was interrupted before it had anything but the directory, or the state is damaged.
        if files.exists(record.directory + "/state.json"):
            warn(f"{error.where}: {error.message}; its processes and cgroups are not known any more")
        detach_layers(record.directory, warn)
        for text in remove_mount_points(files.parent(record.directory), record.id, []):
            warn(text)
        record.remove()
        return
    if not force:
        machine.require("delete", status, record.id)
    destroy(record, found, warn)


def _kill_first(record: Record) -> None:
    """Somebody holds the lock: a creation or a start that may wait for a process that is stopped or hangs."""
    try:
        found = record.load()
        if found["pid"]:
            process.signal(found["pid"], found["start_time"], _signal.SIGKILL)
    except (StateError, ProcessLookupError):
        return  # there is no process yet, or no more: the lock will be given back
