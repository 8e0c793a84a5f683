"""The verbs about what a running container may use, and what it uses: pause, resume, update, events."""

from __future__ import annotations

from pyrunc.cli import arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.cli.lean import Line


def pause(line: Line) -> int:
    from pyrunc.runtime import pause as verb

    verb.pause(arguments.root(line), line.arguments[0])
    return 0


def resume(line: Line) -> int:
    from pyrunc.runtime import pause as verb

    verb.resume(arguments.root(line), line.arguments[0])
    return 0


VERBS: dict[str, Callable[[Line], int]] = {"pause": pause, "resume": resume}
