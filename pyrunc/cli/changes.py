"""The verbs about what a container has changed in its private layers."""

from __future__ import annotations

from pyrunc.cli import arguments
from pyrunc.cli.output import escaped, out, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from pyrunc.cli.lean import Line
    from pyrunc.host.layers.changes import Change

#: Kind of a change -> its name in JSON, as podman diff has it.
CHANGES = {"C": "changed", "A": "added", "D": "deleted"}

#: Characters that a long output is written in.
OUTPUT = 1 << 16


def diff(line: Line) -> int:
    from pyrunc.runtime import diff as verb

    changes = verb.each(arguments.root(line), line.arguments[0], warn=arguments.warner(line))
    if line.options["format"] == "json":
        _out_lines(escaped(piece) for piece in _diff_json(list(changes)))
    else:
        _out_lines(f"{change.kind} {shown(change.path)}\n" for change in changes)
    return 0


def _diff_json(changes: list[Change]) -> Iterator[str]:
    from pyrunc.spec.jsontext import dumps

    for number, (kind, name) in enumerate(CHANGES.items()):
        yield f"{',' if number else '{'}{dumps(name)}:["
        for index, change in enumerate(change for change in changes if change.kind == kind):
            yield "," * bool(index) + dumps(change.path)
        yield "]"
    yield "}\n"


def commit(line: Line) -> int:
    from pyrunc.runtime import commit as verb

    id, dest = line.arguments  # DEST is not made absolute: a slash at its end means a directory, - standard output
    given: dict[str, Any] = line.options
    verb.commit(arguments.root(line), id, dest, layer=given["layer"], warn=arguments.warner(line))
    return 0


def _out_lines(lines: Iterable[str]) -> None:
    """A part at a time: the paths of a deep tree are much longer than what makes them."""
    part, size = [], 0
    for line in lines:
        part.append(line)
        size += len(line)
        if size > OUTPUT:
            out("".join(part))
            part, size = [], 0
    out("".join(part))


VERBS: dict[str, Callable[[Line], int]] = {"diff": diff, "commit": commit}
