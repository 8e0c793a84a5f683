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
    "pause": (CREATED, RUNNING),
    "resume": (PAUSED,),
    "update": (CREATED, RUNNING, PAUSED),
    "events": (CREATED, RUNNING, PAUSED),
    "exec": (CREATED, RUNNING),
    "delete": (CREATED, STOPPED),
    "ps": (CREATED, RUNNING, PAUSED, STOPPED),
    "checkpoint": (RUNNING, PAUSED),
}

_NOT_RUNNING = "container not running"
_NOT_PAUSED = "container not paused"
_NOT_STOPPED = "cannot delete container {id} that is not stopped: {status}"
_NO_CHECKPOINT = "Container cannot be checkpointed in {status} state"

#: (verb, status) -> the reason, in runc's words where callers look for them
REFUSALS = {
    ("start", CREATING): "cannot start a container that is still being created",
    ("start", RUNNING): "cannot start an already running container",
    ("start", PAUSED): "cannot start a container in the paused state",
    ("start", STOPPED): "cannot start a container that has stopped",
    ("kill", CREATING): _NOT_RUNNING,
    ("kill", STOPPED): _NOT_RUNNING,
    ("pause", CREATING): _NOT_RUNNING,
    ("pause", PAUSED): _NOT_RUNNING,
    ("pause", STOPPED): _NOT_RUNNING,
    ("resume", CREATING): _NOT_PAUSED,
    ("resume", CREATED): _NOT_PAUSED,
    ("resume", RUNNING): _NOT_PAUSED,
    ("resume", STOPPED): _NOT_PAUSED,
    ("update", CREATING): _NOT_RUNNING,
    ("update", STOPPED): _NOT_RUNNING,
    ("events", CREATING): "container with id {id} is not running",
    ("events", STOPPED): "container with id {id} is not running",
    ("exec", CREATING): "cannot exec in a container that is still being created",
    ("exec", PAUSED): "cannot exec in a paused container",
    ("exec", STOPPED): "cannot exec in a stopped container",
    ("delete", CREATING): _NOT_STOPPED,
    ("delete", RUNNING): _NOT_STOPPED,
    ("delete", PAUSED): _NOT_STOPPED,
    ("ps", CREATING): _NOT_RUNNING,
    ("checkpoint", CREATING): _NO_CHECKPOINT,
    ("checkpoint", CREATED): _NO_CHECKPOINT,
    ("checkpoint", STOPPED): _NO_CHECKPOINT,
}

#: (verb, status) -> what to do about it
_HINTS = {
    ("pause", PAUSED): "it is paused already",
    ("exec", PAUSED): "use --ignore-paused to override",
    ("delete", RUNNING): "kill it first, or use --force",
    ("delete", PAUSED): "resume and kill it first, or use --force",
    ("delete", CREATING): "use --force if its creator is gone",
}


def require(verb: str, status: str, id: str) -> None:
    """Raise StateError unless ``verb`` is legal in ``status``."""
    if status not in LEGAL[verb]:
        reason = REFUSALS[verb, status].format(id=id, status=status)
        raise StateError(reason, hint=_HINTS.get((verb, status), ""))
