"""poststart and poststop hooks: those that belong to other verbs than create (config.md "POSIX-platform Hooks")."""

from __future__ import annotations

from pyrunc.errors import PyruncError
from pyrunc.host import hooks
from pyrunc.plan.hooks import arguments
from pyrunc.runtime.state import document
from pyrunc.spec.jsontext import dumps
from pyrunc.state import machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.state.store import State


def poststart(state: State) -> None:
    """Run them in order; the first failure is raised."""
    text = dumps(document(state, machine.RUNNING, state["pid"]))
    for index, hook in enumerate(state["hooks"].get("poststart") or ()):
        hooks.run("poststart", *arguments(hook), text, state["bundle"], f"hooks.poststart[{index}]")


def poststop(state: State, warn: Callable[[str], None]) -> None:
    """Run them in order; a failure is a warning, and those behind it still run."""
    text = dumps(document(state, machine.STOPPED, 0))
    for index, hook in enumerate(state["hooks"].get("poststop") or ()):
        try:
            hooks.run("poststop", *arguments(hook), text, state["bundle"], f"hooks.poststop[{index}]")
        except PyruncError as error:
            warn(str(error))
