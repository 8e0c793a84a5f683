"""``list``: all containers of a root."""

from __future__ import annotations

import os

from pyrunc.errors import HostError, NoContainer, PyruncError
from pyrunc.runtime import state as states
from pyrunc.state.machine import STOPPED
from pyrunc.state.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.state.store import Record

HEADER = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")

# What runc gives to Go's tabwriter: the least width of a column, and the space behind its longest cell.
COLUMN = 12
PADDING = 3


def containers(root: str, *, explicit: bool, warn: Callable[[str], None]) -> list[dict[str, Any]]:
    """A document for each container, with runc's keys in runc's order, sorted by id.

    A default root that does not exist holds no containers; an ``explicit`` one is an error.  What cannot be
    read is left out with a warning, so that one broken container hides no other.
    """
    store = Store(root)
    try:
        ids = store.ids()
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(error, FileNotFoundError) and not explicit:
            return []
        raise HostError(f"open {root}: {(error.strerror or '').lower()}") from None
    found = []
    for id in ids:
        try:
            found.append(_document(store, id))
        except NoContainer:
            continue  # deleted while we looked, or being made
        except PyruncError as error:
            if os.path.isdir(f"{root}/{id}"):
                warn(f"load container {id}: {error}")
    return found


def _document(store: Store, id: str) -> dict[str, Any]:
    record = store.record(id)
    state = record.load()
    status = states.status(record, state)
    document = states.document(state, status, 0 if status == STOPPED else state["pid"])
    document["owner"] = _owner(record)
    return document


def _owner(record: Record) -> str:
    """The name of the user who made the container; ``#UID`` where the host has no name for it."""
    import pwd

    try:
        uid = os.stat(record.directory).st_uid
    except FileNotFoundError:
        raise record.missing() from None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def table(documents: list[dict[str, Any]]) -> str:
    """The documents as runc prints them: columns as wide as their longest cell asks for."""
    rows = [HEADER, *(tuple(str(document[name.lower()]) for name in HEADER) for document in documents)]
    widths = [max(COLUMN, *(len(row[i]) + PADDING for row in rows)) for i in range(len(HEADER) - 1)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)) + row[-1] + "\n"
        for row in rows
    )
