"""``run``: create and start, and unless detached, wait, delete and exit as the process did."""

from __future__ import annotations

from pyrunc.errors import StateError
from pyrunc.host import files
from pyrunc.runtime import attached, destroy, start
from pyrunc.runtime.create import announce
from pyrunc.runtime.creation import Creation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.host.cgroups.oom import Watch
    from pyrunc.runtime.creation import Options
    from pyrunc.runtime.sd_notify import Passing

#: The exit status of a process that SIGKILL has ended.
KILLED = 128 + 9


def run(
    *,
    root: str,
    id: str,
    bundle: str,
    options: Options,
    pid_file: str | None,
    pidfd_socket: str | None,
    detach: bool,
    keep: bool,
    no_subreaper: bool,
    warn: Callable[[str], None],
) -> int:
    options.serves_terminal = not detach and not options.console_socket
    creation = Creation(root, id, options, warn)
    creation.create(bundle)
    talk, record = creation.talk, creation.record
    watch = None
    try:
        try:
            announce(talk.pid, talk.pidfd, pid_file, pidfd_socket)
            if not detach:
                from pyrunc.host import foreground

                foreground.hold()
                if not no_subreaper and not creation.state["own_pid_namespace"]:
                    foreground.become_subreaper()
                watch = _watch(creation)
            passing = _passing(creation)
            start.release(record, creation.state)
        except BaseException:
            discard(creation, warn)
            raise
        record.close()  # others may use the container while it runs
        if passing:
            from pyrunc.runtime import sd_notify

            if detach:
                passing.pass_on(creation.state, talk.pid)
            else:
                sd_notify.beside(passing, creation.state, warn)
        if detach:
            return 0
        status = attached.attend(talk, watch)
        if status == KILLED:
            _report_oom(creation, watch, warn)
        if keep:
            destroy.stop(creation.state)
        else:
            delete(creation, warn)
        return status
    finally:
        if watch:
            watch.close()
        talk.close()
        record.close()


def _passing(creation: Creation) -> Passing | None:
    if not creation.options.notify_socket:
        return None
    from pyrunc.runtime import sd_notify

    return sd_notify.Passing(creation.record.directory, creation.options.notify_socket)


def _watch(creation: Creation) -> Watch | None:
    """Where systemd removes the cgroup as soon as it is empty, who looks after the end may be too late."""
    if not creation.state["unit"]:
        return None
    from pyrunc.host.cgroups import oom

    cgroups = creation.state["cgroups"]
    return oom.Watch(cgroups) if oom.counts(cgroups) else None


def _report_oom(creation: Creation, watch: Watch | None, warn: Callable[[str], None]) -> None:
    """Who sees the status alone cannot tell this from a kill."""
    from pyrunc.host.cgroups import oom

    cgroups = creation.state["cgroups"]
    if watch:
        watch.struck()
    kills = max(oom.kills(cgroups), watch.kills if watch else 0)
    if kills:
        limit = oom.limit(cgroups) or (watch.limit if watch else 0)  # that of the config may have been updated
        reason = f" (its memory limit is {limit} bytes)" if limit else ""
        warn(f"the kernel's OOM killer has ended {kills} of the container's processes{reason}")


def discard(creation: Creation, warn: Callable[[str], None]) -> None:
    """The container did not come to run; our lock is still held."""
    destroy.stop(creation.state)
    creation.talk.wait()
    destroy.destroy(creation.record, creation.state, warn)


def delete(creation: Creation, warn: Callable[[str], None]) -> None:
    """The process has ended.  Somebody may have deleted the container meanwhile."""
    if not files.is_directory(creation.record.directory):
        return
    try:
        creation.record.lock()
    except StateError:
        return
    destroy.destroy(creation.record, creation.state, warn)
