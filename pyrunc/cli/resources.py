"""The verbs about what a running container may use, and what it uses: pause, resume, update, events."""

from __future__ import annotations

import posix

from pyrunc.cli import arguments
from pyrunc.cli.output import out, reason
from pyrunc.errors import HostError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.cli.lean import Line
    from pyrunc.spec.types import Resources

#: Reads of the file of --resources: 16 MiB at least, which is more than any has.
RESOURCES = 256


def pause(line: Line) -> int:
    from pyrunc.runtime import pause as verb

    verb.pause(arguments.root(line), line.arguments[0])
    return 0


def resume(line: Line) -> int:
    from pyrunc.runtime import pause as verb

    verb.resume(arguments.root(line), line.arguments[0])
    return 0


def update(line: Line) -> int:
    from pyrunc.runtime import update as verb

    given = _given(line)
    if line.options["plan"]:
        from pyrunc.plan import describe
        from pyrunc.plan.builder import Plan

        change = verb.preview(arguments.root(line), line.arguments[0], given)
        out(describe.text(Plan(change.ops + change.told, {}, change.warnings)))
    else:
        verb.update(arguments.root(line), line.arguments[0], given, warn=arguments.warner(line))
    return 0


def _given(line: Line) -> Resources:
    from pyrunc.cli import limits
    from pyrunc.runtime import update as verb
    from pyrunc.spec.jsontext import dumps

    file = line.options["resources"]
    if file is None:
        return verb.read(dumps(limits.resources(line.options)).encode(), "the options")
    limits.refuse_beside(line.options)
    if file == "-":
        return verb.read(_all(0, "standard input"), "standard input")
    try:
        fd = posix.open(str(file), posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        raise HostError(reason(error), where=f"--resources {file}") from None
    try:
        return verb.read(_all(fd, str(file)), str(file))
    finally:
        posix.close(fd)


def _all(fd: int, name: str) -> bytes:
    parts = []
    try:
        while part := posix.read(fd, 1 << 16):
            parts.append(part)
            if len(parts) > RESOURCES:
                raise UsageError(f"--resources: {name}: too long to be linux.resources")
    except OSError as error:
        raise HostError(reason(error), where=f"--resources {name}") from None
    return b"".join(parts)


def events(line: Line) -> int:
    from pyrunc.runtime import events as verb
    from pyrunc.spec.jsontext import dumps

    interval = _interval(str(line.options["interval"]))
    root, id = arguments.root(line), line.arguments[0]
    if line.options["stats"]:
        out(dumps(verb.stats(root, id)) + "\n")
        return 0
    for event in verb.stream(root, id, interval, warn=arguments.warner(line)):
        out(dumps(event) + "\n")
    return 0


def _interval(text: str) -> float:
    from pyrunc.cli import durations

    try:
        interval = durations.seconds(text)
    except ValueError:
        raise UsageError(f'invalid value "{text}" for flag -interval: parse error', hint="as 5s or 100ms") from None
    if interval <= 0:
        raise UsageError("duration interval must be greater than 0")
    return interval


VERBS: dict[str, Callable[[Line], int]] = {"pause": pause, "resume": resume, "update": update, "events": events}
