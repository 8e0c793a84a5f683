"""From a parsed command line to the runtime's function, one adapter a command, and from its result to output.

Nothing is decided here: what an option means to a container is the runtime's business.
"""

from __future__ import annotations

import posix

from pyrunc.cli.output import escaped, out, reason, shown
from pyrunc.errors import HostError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from pyrunc.cli.commands import Value
    from pyrunc.cli.lean import Line
    from pyrunc.host.layers.changes import Change
    from pyrunc.spec.types import Process

#: Kind of a change -> its name in JSON, as podman diff has it.
CHANGES = {"C": "changed", "A": "added", "D": "deleted"}

#: Characters that a long output is written in.
OUTPUT = 1 << 16

UID_LIMIT = 0xFFFFFFFE  # 2^32-1 means "leave it" to setresuid(2)


def run(line: Line) -> int:
    """Run the command of ``line``; returns the exit status."""
    if line.globals["systemd-cgroup"]:
        raise UsageError("--systemd-cgroup: not implemented by pyrunc yet")
    if line.globals["cgroup-manager"] == "systemd":
        raise UsageError("--cgroup-manager=systemd: not implemented by pyrunc yet")
    if line.globals["log"]:
        _log(line).check()
    _isolation(line)  # malformed values are refused whatever the command
    if line.globals["debug"]:
        _log(line).debug("command", name=line.command.name, arguments=line.arguments, options=line.options)
    status: int = VERBS[line.command.name](line)
    if line.globals["debug"]:
        _log(line).debug("done", status=status)
    return status


def create(line: Line) -> int:
    from pyrunc.runtime import create as verb

    verb.create(root=_root(line), id=line.arguments[0], **_creation(line))
    return 0


def run_(line: Line) -> int:
    from pyrunc.runtime import run as verb

    return verb.run(
        root=_root(line),
        id=line.arguments[0],
        detach=bool(line.options["detach"]),
        keep=bool(line.options["keep"]),
        no_subreaper=bool(line.options["no-subreaper"]),
        **_creation(line),
    )


def start(line: Line) -> int:
    from pyrunc.runtime import start as verb

    verb.start(_root(line), line.arguments[0])
    return 0


def state(line: Line) -> int:
    from pyrunc.runtime import state as verb
    from pyrunc.spec import jsontext

    out(jsontext.dumps_pretty(verb.state(_root(line), line.arguments[0])) + "\n")
    return 0


def kill(line: Line) -> int:
    from pyrunc.runtime import kill as verb

    signal = line.arguments[1] if len(line.arguments) > 1 else "SIGTERM"
    verb.kill(_root(line), line.arguments[0], signal, all=bool(line.options["all"]))
    return 0


def delete(line: Line) -> int:
    from pyrunc.runtime import delete as verb

    verb.delete(_root(line), line.arguments[0], force=bool(line.options["force"]), warn=_warner(line))
    return 0


def exec_(line: Line) -> int:
    from pyrunc.runtime import exec as verb

    given: dict[str, Any] = line.options
    return verb.exec_(
        _root(line),
        line.arguments[0],
        process=_process(given["process"]),
        args=line.arguments[1:],
        cwd=given["cwd"],
        env=given["env"],
        user=_user(given["user"]),
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
        warn=_warner(line),
    )


def diff(line: Line) -> int:
    from pyrunc.runtime import diff as verb

    changes = verb.each(_root(line), line.arguments[0], warn=_warner(line))
    if line.options["format"] == "json":
        _out_lines(escaped(piece) for piece in _diff_json(list(changes)))
    else:
        _out_lines(f"{change.kind} {shown(change.path)}\n" for change in changes)
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
    verb.commit(_root(line), id, dest, layer=given["layer"], warn=_warner(line))
    return 0


def sandbox(line: Line) -> int:
    from pyrunc.sandbox import command

    if line.options["print-config"]:
        out(command.config(line.options, line.arguments, root=_root(line)))
        return 0
    return command.run(
        line.options,
        line.arguments,
        root=_root(line),
        cgroup_manager=str(line.globals["cgroup-manager"]),
        warn=_warner(line),
    )


def list_(line: Line) -> int:
    from pyrunc.runtime import listing

    root = line.globals["root"]
    containers = listing.containers(_root(line), explicit=root is not None, warn=_warner(line))
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

        out(jsontext.dumps(verb.pids(_root(line), line.arguments[0]) or None) + "\n")
    else:
        out(verb.table(_root(line), line.arguments[0], line.arguments[1:]))
    return 0


def spec(line: Line) -> int:
    from pyrunc.runtime import spec_file

    spec_file.write(_bundle(line), rootless=bool(line.options["rootless"]))
    return 0


def validate(line: Line) -> int:
    from pyrunc.runtime import validate as verb

    violations, warnings = verb.violations(_bundle(line))
    warn = _warner(line)
    for warning in warnings:
        warn(str(warning))
    out("".join(f"{violation}\n" for violation in violations))
    return 1 if violations else 0


def plan(line: Line) -> int:
    from pyrunc.runtime import preview

    bundle = line.arguments[0] if line.arguments else line.options["bundle"]
    if line.arguments and line.options["bundle"]:
        raise UsageError("the bundle is given twice, by --bundle and as an argument")
    root = _root(line, needed=False)
    before = preview.plan(_absolute(str(bundle or ".")), root, **_planning(line))
    json = line.options["format"] == "json"
    if line.options["diff"] is None:
        out(preview.json(before) if json else preview.text(before))
        return 0
    after = preview.plan(_absolute(str(line.options["diff"])), root, **_planning(line))
    out(preview.difference_json(before, after) if json else preview.difference(before, after))
    return 0


def features(line: Line) -> int:  # noqa: ARG001
    from pyrunc.runtime import features as verb
    from pyrunc.spec import jsontext

    out(jsontext.dumps_pretty(verb.document()) + "\n")
    return 0


VERBS: dict[str, Callable[[Line], int]] = {
    "create": create,
    "start": start,
    "run": run_,
    "state": state,
    "kill": kill,
    "delete": delete,
    "diff": diff,
    "commit": commit,
    "exec": exec_,
    "sandbox": sandbox,
    "list": list_,
    "ps": ps,
    "spec": spec,
    "validate": validate,
    "plan": plan,
    "features": features,
}


def _root(line: Line, *, needed: bool = True) -> str:
    from pyrunc.runtime import root

    given = line.globals["root"]
    if given == "":
        raise UsageError("--root: must not be empty")
    if given is None:
        return root.default(posix.environ) if needed else root.expected(posix.environ)
    return _absolute(str(given))


def _creation(line: Line) -> dict[str, Any]:
    """What create and run share.  File names stay relative to the caller's directory, also with --bundle."""
    from pyrunc.runtime.creation import Options

    given: dict[str, Any] = dict(line.options)
    return {
        "bundle": _bundle(line),
        "options": Options(
            console_socket=given["console-socket"],
            no_pivot=given["no-pivot"],
            no_new_keyring=given["no-new-keyring"],
            preserve_fds=given["preserve-fds"],
            **_planning(line),
        ),
        "pid_file": given["pid-file"],
        "pidfd_socket": given["pidfd-socket"],
        "warn": _warner(line),
    }


def _planning(line: Line) -> dict[str, Any]:
    return {
        "cgroup_manager": line.globals["cgroup-manager"],
        "rootless": line.globals["rootless"],
        "isolation": _isolation(line),
    }


def _isolation(line: Line) -> dict[str, str]:
    """The annotations that the global options stand for."""
    given: dict[str, Any] = line.globals
    if (given["private-tmp"], given["workspace"], given["ephemeral-rootfs"], given["cow"]) == (False, None, False, []):
        return {}
    from pyrunc.cli import isolation

    return isolation.asked(given)


def _bundle(line: Line) -> str:
    return _absolute(str(line.options["bundle"] or "."))


def _absolute(path: str) -> str:
    """Absolute, without ``.``, ``..`` and empty components; by its letters, as Go's filepath.Abs does it."""
    try:
        words = path.split("/") if path.startswith("/") else f"{posix.getcwd()}/{path}".split("/")
    except FileNotFoundError:
        raise HostError(
            "the current directory does not exist any more", where=path, hint="give an absolute path"
        ) from None
    kept: list[str] = []
    for word in words:
        if word == "..":
            del kept[-1:]
        elif word not in ("", "."):
            kept.append(word)
    return "/" + "/".join(kept)


def _process(path: Value) -> Process | None:
    if path is None:
        return None
    name = str(path)
    try:
        with open(name, "rb", buffering=0) as file:  # also /dev/fd/N of a pipe: read to its end
            data = file.read()
    except OSError as error:
        raise HostError(reason(error), where=f"--process {name}") from None
    from pyrunc.spec.load import load_process

    try:
        return load_process(data, name)
    except ModuleNotFoundError:  # of the wrong shape: jsonschema lists how
        from pyrunc.host import site

        site.add()
        return load_process(data, name)


def _user(text: Value) -> tuple[int, int | None] | None:
    """``UID`` or ``UID:GID``; the group of the container's own process stays where none is named."""
    if text is None:
        return None
    uid, colon, gid = str(text).partition(":")
    return _identity("uid", uid), _identity("gid", gid) if colon else None


def _identity(kind: str, text: str) -> int:
    # An id that does not fit must never become another one, let alone 0 (CVE-2024-40635).
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= UID_LIMIT):
        raise UsageError(f"--user: {kind} {text!r} is not a number from 0 to {UID_LIMIT}")
    return int(text)


def _log(line: Line) -> Any:
    from pyrunc.cli.log import Log

    return Log(line.globals)


def _warner(line: Line) -> Callable[[str], None]:
    def warn(message: str) -> None:
        _log(line).warning(message)

    return warn
