"""Tells a seccomp agent of a new filter: the listener and whose it is (config-linux.md "Container Process State")."""

from __future__ import annotations

from pyrunc.host import agent
from pyrunc.plan.security import listener_path
from pyrunc.runtime.state import document
from pyrunc.spec.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.types import Spec
    from pyrunc.state.store import State


def send(spec: Spec, state: State, status: str, pid: int, fd: int) -> None:
    """Hand over the listener ``fd`` of process ``pid``, which is the container's first or one of exec."""
    message = {
        "ociVersion": spec["ociVersion"],
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": spec["linux"]["seccomp"].get("listenerMetadata", ""),
        "state": document(state, status, state["pid"]),
    }
    agent.send_descriptor(
        listener_path(spec),
        dumps(message).encode("utf-8", "backslashreplace"),
        fd,
        where="linux.seccomp.listenerPath",
        hint="the seccomp agent must listen there",
    )
