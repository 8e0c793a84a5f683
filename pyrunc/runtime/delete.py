"""``delete``: removes a stopped or a merely created container; with force, any, and what an interrupted one left."""

from __future__ import annotations

from pyrunc.errors import StateError
from pyrunc.host import files
from pyrunc.runtime import state as states
from pyrunc.runtime.destroy import destroy
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
        record.lock()
        try:
            found, status = states.current(record)
        except StateError:
            if not force:
                raise
            # The creation was interrupted before it had anything but the directory.
            record.remove()
            return
        if not force:
            machine.require("delete", status, id)
        destroy(record, found, warn)
