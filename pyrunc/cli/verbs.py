"""From a parsed command line to the runtime's function, one adapter a command, and from its result to output.

The lifecycle is here; what only people and engines' reports need is in modules that are imported when it is asked for.
"""

from __future__ import annotations

from pyrunc.cli import arguments
from pyrunc.cli.output import out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.cli.lean import Line


def run(line: Line) -> int:
    """Run the command of ``line``; returns the exit status."""
    if line.globals["log"]:
        arguments.log(line).check()
    arguments.isolation(line)  # malformed values are refused whatever the command
    arguments.cgroup_manager(line)
    if line.globals["debug"]:
        arguments.log(line).debug("command", name=line.command.name, arguments=line.arguments, options=line.options)
    status: int = VERBS[line.command.name](line)
    if line.globals["debug"]:
        arguments.log(line).debug("done", status=status)
    return status


def create(line: Line) -> int:
    from pyrunc.runtime import create as verb

    verb.create(root=arguments.root(line), id=line.arguments[0], **arguments.creation(line))
    return 0


def run_(line: Line) -> int:
    from pyrunc.runtime import run as verb

    return verb.run(
        root=arguments.root(line),
        id=line.arguments[0],
        detach=bool(line.options["detach"]),
        keep=bool(line.options["keep"]),
        no_subreaper=bool(line.options["no-subreaper"]),
        **arguments.creation(line),
    )


def start(line: Line) -> int:
    from pyrunc.runtime import start as verb

    verb.start(arguments.root(line), line.arguments[0], arguments.notify_socket())
    return 0


def state(line: Line) -> int:
    from pyrunc.runtime import state as verb
    from pyrunc.spec import jsontext

    out(jsontext.dumps_pretty(verb.state(arguments.root(line), line.arguments[0])) + "\n")
    return 0


def kill(line: Line) -> int:
    from pyrunc.runtime import kill as verb

    signal = line.arguments[1] if len(line.arguments) > 1 else "SIGTERM"
    verb.kill(arguments.root(line), line.arguments[0], signal, all=bool(line.options["all"]))
    return 0


def delete(line: Line) -> int:
    from pyrunc.runtime import delete as verb

    verb.delete(arguments.root(line), line.arguments[0], force=bool(line.options["force"]), warn=arguments.warner(line))
    return 0


def exec_(line: Line) -> int:
    from pyrunc.runtime import exec as verb

    given: dict[str, Any] = line.options
    return verb.exec_(
        arguments.root(line),
        line.arguments[0],
        process=arguments.process(given["process"]),
        args=line.arguments[1:],
        cwd=given["cwd"],
        env=given["env"],
        user=arguments.user(given["user"]),
        additional_gids=given["additional-gids"],
        caps=given["cap"],
        no_new_privs=given["no-new-privs"],
        apparmor=given["apparmor"],
        process_label=given["process-label"],
        tty=given["tty"],
        detach=given["detach"],
        pid_file=given["pid-file"],
        pidfd_socket=given["pidfd-socket"],
        console_socket=given["console-socket"],
        preserve_fds=given["preserve-fds"],
        cgroups=given["cgroup"],
        ignore_paused=given["ignore-paused"],
        rootless=str(line.globals["rootless"]),
        warn=arguments.warner(line),
    )


def sandbox(line: Line) -> int:
    from pyrunc.sandbox import command

    if line.options["print-config"]:
        root, manager = arguments.root(line), arguments.cgroup_manager(line)
        out(command.config(line.options, line.arguments, root=root, cgroup_manager=manager))
        return 0
    return command.run(
        line.options,
        line.arguments,
        root=arguments.root(line),
        cgroup_manager=arguments.cgroup_manager(line),
        warn=arguments.warner(line),
    )


def _changes(line: Line) -> int:
    from pyrunc.cli import changes

    return changes.VERBS[line.command.name](line)


def _resources(line: Line) -> int:
    from pyrunc.cli import resources

    return resources.VERBS[line.command.name](line)


def _checkpoints(line: Line) -> int:
    from pyrunc.cli import checkpoints

    return checkpoints.VERBS[line.command.name](line)


def _reports(line: Line) -> int:
    from pyrunc.cli import reports

    return reports.VERBS[line.command.name](line)


def _engines(line: Line) -> int:
    from pyrunc.cli import engines

    return engines.VERBS[line.command.name](line)


VERBS: dict[str, Callable[[Line], int]] = {
    "create": create,
    "start": start,
    "run": run_,
    "state": state,
    "kill": kill,
    "delete": delete,
    "exec": exec_,
    "sandbox": sandbox,
    **dict.fromkeys(("pause", "resume", "update", "events"), _resources),
    **dict.fromkeys(("diff", "commit"), _changes),
    **dict.fromkeys(("checkpoint", "restore"), _checkpoints),
    **dict.fromkeys(("setup", "doctor"), _engines),
    **dict.fromkeys(("list", "ps", "spec", "validate", "plan", "features", "completion", "explain"), _reports),
}
