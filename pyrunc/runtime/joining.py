"""Puts one more process into a container: exec, without what a command line adds to it."""

from __future__ import annotations

import posix

from pyrunc.errors import StateError, UsageError
from pyrunc.host import execute, files, helper, probe, process
from pyrunc.plan.exec import SLOT_PIDFD
from pyrunc.plan.exec import execute as plan_exec
from pyrunc.plan.kernel import NAMESPACES
from pyrunc.plan.ops import SLOT_ROOT
from pyrunc.plan.wire import encode
from pyrunc.runtime import bundle as bundles
from pyrunc.runtime import inherited
from pyrunc.runtime import state as states
from pyrunc.runtime.conversation import Conversation, split
from pyrunc.spec.jsontext import dumps
from pyrunc.spec.mount_checks import normal
from pyrunc.state import machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.plan.facts import CgroupFacts, Unit
    from pyrunc.spec.types import Process, Spec
    from pyrunc.state.store import Record, State


def join(
    record: Record,
    state: State,
    spec: Spec,
    task: Process,
    *,
    warn: Callable[[str], None],
    rootless: str | None = None,
    preserve_fds: int = 0,
    cgroups: Sequence[str] = (),
    stdio: Sequence[int] = (0, 1, 2),
    serves_terminal: bool = False,
    terminal_size: tuple[int, int] | None = None,
) -> Conversation:
    """Start ``task`` in the container; returns when it has been executed.  The process is our child.

    ``cgroups`` are ``[CONTROLLER,…:]PATH`` below the container's own.  Raises OpFailed, and nothing is left then.
    """
    inherited.check_descriptors(preserve_fds)
    facts = bundles.facts(rootless)
    request = bundles.request(
        record.id,
        state["bundle"],
        record.directory,
        no_new_keyring=state["no_new_keyring"],
        preserve_fds=preserve_fds,
        cgroup_manager=state["cgroup_manager"],
        serves_terminal=serves_terminal,
        terminal_size=terminal_size,
    )
    try:
        pidfd = process.open_pidfd(state["pid"], state["start_time"])
    except ProcessLookupError:
        raise StateError(machine.REFUSALS["exec", machine.STOPPED]) from None
    slots, opened = {SLOT_PIDFD: pidfd}, [pidfd]
    try:
        if state.get("joined_mounts"):
            slots[SLOT_ROOT] = files.held(
                posix.open, f"/proc/{state['pid']}/root", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC
            )
            opened.append(slots[SLOT_ROOT])
            if process.state(state["pid"], state["start_time"]) != "running":
                raise StateError(machine.REFUSALS["exec", machine.STOPPED])
        joined = directories(state["cgroups"], cgroups) if cgroups else _possible(state)
        plan = plan_exec(
            spec,
            task,
            facts,
            request,
            namespaces=_foreign_namespaces(state["pid"]),
            cgroups=joined,
            setgroups_denied=_setgroups_denied(state["pid"]),
            chrooted=bool(state.get("joined_mounts")),
            attach=attachment(state, joined, facts["cgroup"]),
        )
        for warning in plan.warnings:
            warn(str(warning))
        root = record.directory.rpartition("/")[0]
        plan.set_filter(bundles.filter_of(spec, root + "/.seccomp", facts["machine"]))
        _, program, after = split(plan)
        talk = Conversation(program, warn)
        text = dumps(states.document(state, machine.RUNNING, state["pid"]))
        context = execute.Context(lambda: text, state["bundle"], warn)
        try:
            init = helper.Init(encode(program), stdio=stdio, preserve_fds=preserve_fds, slots=slots)
            context.cloner = init.pid

            def on_cloned() -> None:
                context.pid = talk.pid

            def on_sync(op: int) -> None:
                for todo in after.get(op, ()):
                    execute.execute(todo, context)

            def on_listener(fd: int) -> None:
                from pyrunc.runtime import notify

                notify.send(spec, state, machine.RUNNING, talk.pid, fd)

            talk.listener = on_listener
            talk.run(init, on_cloned, on_sync)
            if not talk.pid:
                raise talk.died()
            init.close()
            files.close(opened)
        except BaseException:
            talk.abort()
            raise
        return talk
    finally:
        if opened:
            files.close(opened)


def _possible(state: State) -> dict[str, str]:
    """The container's cgroups; of a cgroup2 that gives controllers to others below it, and so takes no process, that
    in which the container's first process is.  A systemd in it makes it so (runc does the same)."""
    cgroups = state["cgroups"]
    directory = cgroups.get("")
    if directory is None:
        return cgroups
    try:
        if not probe.read(directory + "/cgroup.subtree_control").strip():
            return cgroups
        membership = probe.read(f"/proc/{state['pid']}/cgroup")
    except (FileNotFoundError, ProcessLookupError):
        return cgroups  # it has ended
    own = probe.cgroup_facts(probe.read("/proc/self/mountinfo"), membership)
    first = normal(own["mounts"][""] + own["own"][""])
    # The container may have moved that process, but not to where it has no business.
    return {**cgroups, "": first} if first.startswith(directory + "/") else cgroups


def attachment(state: State, cgroups: dict[str, str], layout: CgroupFacts) -> tuple[Unit, str] | None:
    """The unit that systemd is to move a process into, and where below it, as the caller may not do it itself.

    Who moves between two cgroups has to be able to write to the cgroup.procs of the nearest one above both (cgroups(7)
    "Delegation containment").  The session of a user and the units of the user's systemd have none of the user's.
    """
    unit = state.get("unit")
    if not unit or list(cgroups) != [""]:
        return None
    above = normal(layout["mounts"][""] + layout["own"][""])
    while not (cgroups[""] + "/").startswith(above + "/"):
        above = files.parent(above)
    if posix.access(above + "/cgroup.procs", posix.W_OK):
        return None
    return unit, cgroups[""].removeprefix(state["cgroups"][""])


def _foreign_namespaces(pid: int) -> int:
    """CLONE_NEW* of the namespaces of that process in which we are not (setns(2) refuses one's own user namespace)."""
    flags = 0
    for flag, name in NAMESPACES.values():
        try:
            theirs = posix.stat(f"/proc/{pid}/ns/{name}")
        except FileNotFoundError:
            if not files.exists(f"/proc/{pid}/ns"):
                raise StateError(machine.REFUSALS["exec", machine.STOPPED]) from None
            continue  # a kernel without that kind
        ours = posix.stat(f"/proc/self/ns/{name}")
        if (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino):
            flags |= flag
    return flags


def _setgroups_denied(pid: int) -> bool:
    try:
        return probe.setgroups_denied(pid)
    except (FileNotFoundError, ProcessLookupError):
        raise StateError(machine.REFUSALS["exec", machine.STOPPED]) from None


def directories(cgroups: dict[str, str], choices: Sequence[str]) -> dict[str, str]:
    """The cgroups to join, by controller: the container's, or below them what ``--cgroup`` names; runc's words."""
    chosen = dict(cgroups)
    asked: dict[str, str] = {}
    for choice in choices:
        names, colon, path = choice.partition(":")
        if ":" in path:
            raise UsageError(f"invalid --cgroup argument: {choice}", hint="[CONTROLLER,...:]PATH is expected")
        if not colon and len(choices) > 1:
            raise UsageError(f"invalid --cgroup argument: {choice} (missing <controller>: prefix)")
        for controller in names.split(",") if colon else cgroups:
            if colon and not controller:
                raise UsageError(f"invalid --cgroup argument: {choice} (empty <controller> prefix)")
            if controller in asked:
                raise UsageError(f'invalid --cgroup argument(s): duplicate controller "{controller}"')
            asked[controller] = path if colon else choice
    for controller, path in asked.items():
        chosen |= _below(cgroups, controller, path)
    return chosen


def _below(cgroups: dict[str, str], controller: str, path: str) -> dict[str, str]:
    key = "name=systemd" if controller == "systemd" and controller not in cgroups else controller
    if key not in cgroups:
        raise UsageError(f"unknown controller {controller} in --cgroup", hint="the container has no cgroup with it")
    directory = normal(f"{cgroups[key]}/{path}")
    if not f"{directory}/".startswith(f"{cgroups[key]}/"):
        raise UsageError(f"{path} is not a sub cgroup path", where="--cgroup")
    if not files.is_directory(directory):
        raise UsageError(f"{directory}: no such cgroup", where="--cgroup")
    return {key: directory}
