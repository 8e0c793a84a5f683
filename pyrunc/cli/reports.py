"""The verbs that tell about containers, bundles and pyrunc itself: from the runtime's answer to output."""

from __future__ import annotations

from pyrunc.cli import arguments
from pyrunc.cli.output import out
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.cli.lean import Line


def list_(line: Line) -> int:
    from pyrunc.runtime import listing

    root = line.globals["root"]
    containers = listing.containers(arguments.root(line), explicit=root is not None, warn=arguments.warner(line))
    if line.options["quiet"]:
        out("".join(f"{container['id']}\n" for container in containers))
    elif line.options["format"] == "json":
        from pyrunc.spec import jsontext

        out(jsontext.dumps(containers or None) + "\n")  # null for none, as Go encodes it
    else:
        out(listing.table(containers))
    return 0


def ps(line: Line) -> int:
    from pyrunc.runtime import ps as verb

    if line.options["format"] == "json":
        from pyrunc.spec import jsontext

        out(jsontext.dumps(verb.pids(arguments.root(line), line.arguments[0]) or None) + "\n")
    else:
        out(verb.table(arguments.root(line), line.arguments[0], line.arguments[1:]))
    return 0


def spec(line: Line) -> int:
    from pyrunc.runtime import spec_file

    spec_file.write(arguments.bundle(line), rootless=bool(line.options["rootless"]))
    return 0


def validate(line: Line) -> int:
    from pyrunc.runtime import validate as verb

    violations, warnings = verb.violations(arguments.bundle(line))
    warn = arguments.warner(line)
    for warning in warnings:
        warn(str(warning))
    out("".join(f"{violation}\n" for violation in violations))
    return 1 if violations else 0


def plan(line: Line) -> int:
    from pyrunc.runtime import preview

    bundle = line.arguments[0] if line.arguments else line.options["bundle"]
    if line.arguments and line.options["bundle"]:
        raise UsageError("the bundle is given twice, by --bundle and as an argument")
    root = arguments.root(line, needed=False)
    before = preview.plan(arguments.absolute(str(bundle or ".")), root, **arguments.planning(line))
    json = line.options["format"] == "json"
    if line.options["diff"] is None:
        out(preview.json(before) if json else preview.text(before))
        return 0
    after = preview.plan(arguments.absolute(str(line.options["diff"])), root, **arguments.planning(line))
    out(preview.difference_json(before, after) if json else preview.difference(before, after))
    return 0


def features(line: Line) -> int:  # noqa: ARG001
    from pyrunc.runtime import features as verb
    from pyrunc.spec import jsontext

    out(jsontext.dumps_pretty(verb.document()) + "\n")
    return 0


def completion(line: Line) -> int:
    from pyrunc.cli.completion.shells import SCRIPTS

    shell = line.arguments[0]
    if shell not in SCRIPTS:
        raise UsageError(f"{shell}: not a shell that is known", hint=f"choose {' or '.join(SCRIPTS)}")
    out(SCRIPTS[shell]())
    return 0


def explain(line: Line) -> int:
    import sys

    from pyrunc.cli import explain

    out(explain.explain(line.arguments, sys.stdin.read() if line.arguments == ["-"] else ""))
    return 0


VERBS: dict[str, Callable[[Line], int]] = {
    "list": list_,
    "ps": ps,
    "spec": spec,
    "validate": validate,
    "plan": plan,
    "features": features,
    "completion": completion,
    "explain": explain,
}
