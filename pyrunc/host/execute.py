"""Executes the runtime's half of a plan: the ops of ``plan.ops.RUNTIME``, one function each.

The functions translate an op's arguments into calls of the module that knows the matter; nothing is
decided here.  Every failure is an OpFailed that carries the op's config path.
"""

from __future__ import annotations

import errno
import posix

from pyrunc.errors import HostError, PyruncError
from pyrunc.host import failure, files
from pyrunc.host.cgroups import making

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.host.cgroups.restoring import Found
    from pyrunc.host.netdev import Moved
    from pyrunc.host.systemd.units import Property
    from pyrunc.plan.facts import Unit
    from pyrunc.plan.ops import Op


class Context:
    """What ops need beyond their arguments, and what they leave to be undone.

    ``pid`` is the container's first process as the runtime sees it, 0 before it exists; ``state_json``
    gives the OCI state for hooks at the moment of the call; ``warn`` takes a text for the user.  ``cloner`` is the
    process that will clone it, ``unit`` the one of systemd that is the container's, ``properties`` are those that it is
    to have.  ``found`` are the cgroups that were there before, where there are such.  ``moved`` are network devices.
    """

    __slots__ = (
        "bundle",
        "cloner",
        "created_cgroups",
        "found",
        "moved",
        "pid",
        "properties",
        "state_json",
        "unit",
        "warn",
    )

    def __init__(self, state_json: Callable[[], str], bundle: str, warn: Callable[[str], None]) -> None:
        self.pid = 0
        self.bundle = bundle
        self.state_json = state_json
        self.warn = warn
        self.created_cgroups: list[str] = []
        self.found: Found | None = None
        self.moved: list[Moved] = []
        self.cloner = 0
        self.unit: Unit | None = None
        self.properties: list[Property] = []


def execute(op: Op, context: Context) -> None:
    """Perform one op of the RUNTIME table; OpFailed on failure, KeyError for any other op."""
    if context.found:
        context.found.note(op)
    OPS[op.name](op, context)


def undo(context: Context) -> list[str]:
    """Take back what ops have made outside of the container; returns what could not be, as texts."""
    failures = _devices_back(context)
    if context.unit:
        from pyrunc.host.systemd import units

        try:
            units.end(context.unit)
        except HostError as error:
            failures.append(str(error))
    failures += making.undo(context.created_cgroups)
    return failures + (context.found.put_back() if context.found else [])


def settle(context: Context) -> None:
    """There is a container: what ops have made stays."""
    while context.moved:
        context.moved.pop().close()


def _devices_back(context: Context) -> list[str]:
    failures = []
    while context.moved:
        from pyrunc.host import netdev

        device = context.moved.pop()
        try:
            netdev.give_back(device)
        except PyruncError as error:
            failures.append(str(error))
        finally:
            device.close()
    return failures


def _make_directory(op: Op, _: Context) -> None:
    args: Any = op.args
    path = args[0]
    try:
        files.make_directories(path, 0o700)
    except OSError as error:
        raise failure.op_failed(error, f"mkdir {path}", op=op.name, where=op.where) from error


def _cgroup_create(op: Op, context: Context) -> None:
    args: Any = op.args
    made = making.create(args[0], context.created_cgroups, op.where, cloner=context.cloner)
    if not made and not context.unit:  # what is there in a unit is systemd's
        from pyrunc.host.cgroups import restoring

        context.found = context.found or restoring.Found()
        context.found.directories.append(args[0])


def _cgroup_copy(op: Op, _: Context) -> None:
    args: Any = op.args
    making.copy(args[0], args[1], op.where)


def _cgroup_write(op: Op, _: Context) -> None:
    args: Any = op.args
    making.write(args[0], args[1], op.where)


def _cgroup_write_if_there(op: Op, _: Context) -> None:
    args: Any = op.args
    making.write_if_there(args[0], args[1], op.where)


def _cgroup_write_either(op: Op, _: Context) -> None:
    args: Any = op.args
    making.write_either(*args, where=op.where)


def _cgroup_write_pair(op: Op, _: Context) -> None:
    args: Any = op.args
    making.write_pair(*args, where=op.where)


def _cgroup_usage(op: Op, _: Context) -> None:
    args: Any = op.args
    making.refuse_below_usage(*args, where=op.where)


def _cgroup_enable(op: Op, _: Context) -> None:
    from pyrunc.host.cgroups import controllers

    args: Any = op.args
    controllers.enable(*args, where=op.where)


def _cgroup_own(op: Op, _: Context) -> None:
    from pyrunc.host.cgroups import ownership

    args: Any = op.args
    ownership.give(args[0], args[1], op.where)


def _systemd_property(op: Op, context: Context) -> None:
    args: Any = op.args
    context.properties.append((*args, op.where))


def _systemd_start(op: Op, context: Context) -> None:
    from pyrunc.host.systemd import units

    args: Any = op.args
    unit, socket, directories = args
    for directory in directories:
        making.refuse_populated(directory, op.where)
    properties, context.properties = context.properties, []
    description = next(value for name, value, _ in properties if name == "Description")
    context.unit = {"name": unit, "socket": socket, "description": description}
    units.start(socket, unit, properties, context.cloner, op.where)


def _systemd_set(op: Op, context: Context) -> None:
    from pyrunc.host.systemd import units

    args: Any = op.args
    properties, context.properties = context.properties, []
    units.set_properties(args[1], args[0], properties, op.where)


def _systemd_attach(op: Op, context: Context) -> None:
    from pyrunc.host.systemd import units

    args: Any = op.args
    units.attach(args[1], args[0], args[2], context.cloner, op.where)


def _write_id_maps(op: Op, context: Context) -> None:
    from pyrunc.host import idmap

    args: Any = op.args
    idmap.write(context.pid, args[0], args[1], args[2], op.where)


def _new_id_maps(op: Op, context: Context) -> None:
    from pyrunc.host import idmap

    args: Any = op.args
    idmap.new_maps(context.pid, args[0], args[1], op.where)


def _oom_score_adj(op: Op, context: Context) -> None:
    args: Any = op.args
    path = f"/proc/{context.pid}/oom_score_adj"
    try:
        fd = files.held(posix.open, path, posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(fd, b"%d" % args[0])
        finally:
            posix.close(fd)
    except OSError as error:
        hints = {errno.EACCES: "a value below the caller's own needs CAP_SYS_RESOURCE"}
        what = f'write "{args[0]}" to {path}'
        raise failure.op_failed(error, what, op=op.name, where=op.where, hints=hints) from error


def _move_net_device(op: Op, context: Context) -> None:
    from pyrunc.host import netdev

    args: Any = op.args
    netdev.move(args[0], args[1], context.pid, op.where, context.moved)


def _runtime_hook(op: Op, context: Context) -> None:
    from pyrunc.host import hooks

    args: Any = op.args
    kind, path, argv, env, timeout = args
    hooks.run(kind, path, argv, env, timeout, context.state_json(), context.bundle, op.where)


#: name -> function, for every op of plan.ops.RUNTIME
OPS: dict[str, Callable[[Op, Context], None]] = {
    "make_directory": _make_directory,
    "cgroup_create": _cgroup_create,
    "cgroup_copy": _cgroup_copy,
    "cgroup_enable": _cgroup_enable,
    "cgroup_write": _cgroup_write,
    "cgroup_write_if_there": _cgroup_write_if_there,
    "cgroup_write_either": _cgroup_write_either,
    "cgroup_write_pair": _cgroup_write_pair,
    "cgroup_usage": _cgroup_usage,
    "cgroup_own": _cgroup_own,
    "systemd_property": _systemd_property,
    "systemd_start": _systemd_start,
    "systemd_set": _systemd_set,
    "systemd_attach": _systemd_attach,
    "write_id_maps": _write_id_maps,
    "new_id_maps": _new_id_maps,
    "oom_score_adj": _oom_score_adj,
    "move_net_device": _move_net_device,
    "runtime_hook": _runtime_hook,
}
