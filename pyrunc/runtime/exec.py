"""``exec``: one more process in a running container, waited for unless it is detached."""

from __future__ import annotations

from pyrunc.errors import UsageError
from pyrunc.runtime import inherited
from pyrunc.runtime import state as states
from pyrunc.runtime.create import announce
from pyrunc.runtime.joining import join
from pyrunc.spec.jsontext import loads
from pyrunc.state import machine
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyrunc.spec.types import Process, Spec


def exec_(
    root: str,
    id: str,
    *,
    process: Process | None,
    args: Sequence[str],
    cwd: str | None,
    env: Sequence[str],
    user: tuple[int, int | None] | None,
    additional_gids: Sequence[int],
    caps: Sequence[str],
    no_new_privs: bool | None,
    apparmor: str | None,
    process_label: str | None,
    tty: bool,
    detach: bool,
    pid_file: str | None,
    pidfd_socket: str | None,
    console_socket: str | None,
    preserve_fds: int,
    cgroups: Sequence[str],
    ignore_paused: bool,
    rootless: str | None,
    warn: Callable[[str], None],
) -> int:
    """Returns the exit status of the process (128+N for a signal), 0 when detached."""
    record = Record(root, id)
    found = record.load()
    status = states.status(record, found)
    if not (status == machine.PAUSED and ignore_paused):
        machine.require("exec", status, id)
    config: Any = loads(record.config(), "config.json")
    spec: Spec = config
    task = process
    if task is None:
        if not args:
            raise UsageError("process args cannot be empty", hint="name the program behind the container's id")
        changes: dict[str, Any] = {"args": list(args), "terminal": tty}
        if cwd is not None:
            changes["cwd"] = cwd
        if apparmor is not None:
            changes["apparmorProfile"] = apparmor
        if process_label is not None:
            changes["selinuxLabel"] = process_label
        if no_new_privs is not None:
            changes["noNewPrivileges"] = no_new_privs
        changes["env"] = override(spec["process"].get("env") or [], env)
        task = derive(spec["process"], changes, user, additional_gids, caps, warn)
    terminal = bool(task.get("terminal"))
    here = terminal and not detach and not console_socket
    inherited.check_terminal(terminal, console_socket, here=here)
    if not detach:
        from pyrunc.host import foreground

        foreground.hold()
    talk = join(
        record,
        found,
        spec,
        task,
        warn=warn,
        rootless=rootless,
        preserve_fds=preserve_fds,
        cgroups=cgroups,
        serves_terminal=here,
        terminal_size=inherited.terminal_size() if here else None,
    )
    try:
        if console_socket:
            from pyrunc.host import console

            console.send_master(console_socket, talk.master, "/dev/ptmx")
        announce(talk.pid, talk.pidfd, pid_file, pidfd_socket)
    except BaseException:
        talk.abort()
        raise
    if detach:
        talk.close()
        return 0
    from pyrunc.runtime.attached import attend

    return attend(talk)


def override(base: Sequence[str], changes: Sequence[str]) -> list[str]:
    """``base`` with the variables of ``changes`` replaced in place or added; getenv finds the first of two."""
    wanted = {entry.partition("=")[0]: entry for entry in changes}
    result = [wanted.pop(entry.partition("=")[0], entry) for entry in base]
    return result + list(wanted.values())


def derive(
    base: Process,
    changes: dict[str, Any],
    user: tuple[int, int | None] | None,
    additional_gids: Sequence[int],
    caps: Sequence[str],
    warn: Callable[[str], None],
) -> Process:
    """The container's own process with what the command line changes of it."""
    task: Any = {**base, **changes}
    task.pop("consoleSize", None)
    identity: Any = dict(base.get("user") or {})
    if user is not None:
        identity["uid"] = user[0]
        if user[1] is not None:
            identity["gid"] = user[1]
    if additional_gids:
        identity["additionalGids"] = [*(identity.get("additionalGids") or ()), *additional_gids]
    task["user"] = identity
    if not task["cwd"].startswith("/"):
        raise UsageError(f"--cwd {task['cwd']}: cwd must be an absolute path")
    if caps:
        from pyrunc.plan.capabilities import CAPS

        wanted = []
        for name in caps:
            if name in CAPS:
                wanted.append(name)
            else:
                warn(f"--cap: unknown or unavailable capability {name}, ignored")
        sets: Any = dict(base.get("capabilities") or {})
        # Never into the inheritable set: that is how CVE-2022-29162 came about.
        for kind in ("bounding", "effective", "permitted", "ambient"):
            sets[kind] = [*(sets.get(kind) or ()), *wanted]
        task["capabilities"] = sets
    return task  # type: ignore[no-any-return]
