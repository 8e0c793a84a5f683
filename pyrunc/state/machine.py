"""PURE.  The life of a container as a table: which verb is legal in which status, and what runc says otherwise.

runtime-spec runtime.md "State" and "Lifecycle".  A pair that is not in the table changes nothing.
"""

from __future__ import annotations

from pyrunc.errors import StateError

CREATING = "creating"
CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
STOPPED = "stopped"

#: verb -> statuses in which it is legal
LEGAL = {
    "start": (CREATED,),
    "kill": (CREATED, RUNNING, PAUSED),
    "exec": (CREATED, RUNNING),
    "delete": (CREATED, STOPPED),
    "ps": (CREATED, RUNNING, PAUSED, STOPPED),
}

#: (verb, status) -> the reason, in runc's words where callers look for them
REFUSALS = {
    ("start", CREATING): "cannot start a container that is still being created",
    ("start", RUNNING): "cannot start an already running container",
    ("start", PAUSED): "cannot start a container in the paused state",
    ("start", STOPPED): "cannot start a container that has stopped",
    ("kill", CREATING): "container not running",
    ("kill", STOPPED): "container not running",
    ("exec", CREATING): "cannot exec in a container that is still being created",
    ("exec", PAUSED): "cannot exec in a paused container",
    ("exec", STOPPED): "cannot exec in a stopped container",
    ("ps", CREATING): "container not running",
}


def require(verb: str, status: str, id: str) -> None:
    """Raise StateError unless ``verb`` is legal in ``status``."""
    if status in LEGAL[verb]:
        return
    reason = REFUSALS.get((verb, status))
    if reason is None:  # the one text with the id in it
        reason = f"cannot delete container {id} that is not stopped: {status}"
    hint = {
        ("exec", PAUSED): "use --ignore-paused to override",
        ("delete", RUNNING): "kill it first, or use --force",
        ("delete", PAUSED): "resume and kill it first, or use --force",
        ("delete", CREATING): "use --force if its creator is gone",
    }.get((verb, status), "")
    raise StateError(reason, hint=hint)
