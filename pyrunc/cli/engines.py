"""The verbs about the engines that call pyrunc, and the machine that it is to work on: setup, doctor."""

from __future__ import annotations

import os

from pyrunc.cli import arguments
from pyrunc.cli.output import escaped, out
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.cli.lean import Line


def setup(line: Line) -> int:
    from pyrunc.setup import change as changes

    given: dict[str, Any] = line.options
    engine = line.arguments[0]
    wish = _wish(line)
    change = changes.plan(engine, wish, remove=given["remove"])
    if not change.needed:
        out(f"nothing to {'remove' if given['remove'] else 'do'}: {change.path}\n")
        if not given["dry-run"]:
            change.apply()  # a record that has become meaningless
        return 0
    if given["dry-run"]:
        out(change.diff())
        return 0
    change.apply()
    out(change.diff())
    out(f"{'removed' if change.after is None else 'written'}: {change.path}\n")
    out("".join(f"{note}\n" for note in changes.notes(engine, wish, change, remove=given["remove"])))
    return 0


def _wish(line: Line) -> Any:
    from pyrunc.setup import wish

    given: dict[str, Any] = line.options
    for name in ("sysroot", "config", "runtime"):
        if given[name] == "":
            raise UsageError(f"--{name}: must not be empty")
    if given["user"] and given["sysroot"] is not None:
        raise UsageError("--user and --sysroot contradict one another: a sysroot has no user of yours")
    if given["remove"] and given["default"]:
        raise UsageError("--remove takes everything out, also the default: give it without --default")
    sysroot = arguments.absolute(given["sysroot"]).rstrip("/") if given["sysroot"] is not None else ""
    if sysroot and not os.path.isdir(sysroot):
        raise UsageError(f"--sysroot: {sysroot} is no directory")
    config = given["config"] or ""
    if config:
        if sysroot and not config.startswith("/"):
            raise UsageError(
                f"--config: {config!r} is not absolute", hint="it is below the sysroot, so start it with /"
            )
        config = arguments.absolute(config)
    return wish.Wish(
        "" if given["remove"] else wish.runtime(given["runtime"], sysroot),
        default=given["default"],
        home=wish.config_home(os.environ) if given["user"] else "",
        sysroot=sysroot,
        config=config,
        systemd=bool(line.globals["systemd-cgroup"]) or line.globals["cgroup-manager"] == "systemd",
    )


def doctor(line: Line) -> int:
    from pyrunc.doctor import examine, finding
    from pyrunc.host import site
    from pyrunc.runtime import version
    from pyrunc.spec import jsontext

    site.add()  # jeepney, to speak to systemd
    found = examine.findings(os.environ)
    if line.options["format"] == "json":
        out(escaped(jsontext.dumps_pretty(finding.document(found, version.VERSION))) + "\n")
    else:
        out(finding.text(found))
    return 1 if finding.worst(found) == "problem" else 0


VERBS: dict[str, Callable[[Line], int]] = {"setup": setup, "doctor": doctor}
