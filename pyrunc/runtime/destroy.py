"""The end of a container: its processes, its cgroups, its poststop hooks, its directory."""

from __future__ import annotations

import _signal
import posix
import select

from pyrunc.errors import HostError, PyruncError
from pyrunc.host import cgroups, files, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.host.residue import Entry
    from pyrunc.state.store import Record, State

#: How long the kernel may take to end a killed process: with the last one of a mount namespace, millions of files go.
KILL_SECONDS = 60
#: Below the root: the mount points that deletions had to leave to later ones.
LEFT = "/.mount-points"


def stop(state: State) -> None:
    """Kill everything that belongs to the container and wait until its first process has ended."""
    try:
        cgroups.signal_all(state["cgroups"], _signal.SIGKILL)
    except (PyruncError, OSError):
        # Whatever the container has made of its cgroups: its first process ends, and a pid namespace with it.
        stop_first(state)
        raise
    stop_first(state)


def stop_first(state: State, seconds: float = KILL_SECONDS) -> None:
    """Kill its first process, and with it a pid namespace; HostError when it has not ended by then."""
    if not state["pid"]:
        return
    try:
        pidfd = process.open_pidfd(state["pid"], state["start_time"])
    except ProcessLookupError:
        return
    try:
        _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if not poller.poll(seconds * 1000):
            raise HostError(
                f"process {state['pid']} does not end",
                where=state["id"],
                hint="it may hang in the kernel: see /proc/PID/stack",
            )
    except ProcessLookupError:
        return  # reaped meanwhile
    finally:
        posix.close(pidfd)


def destroy(record: Record, state: State, warn: Callable[[str], None]) -> None:
    """Remove what is left of a stopped container; the caller holds its lock.

    The directory goes last, so that an interrupted deletion can be repeated.
    """
    if state.get("unit"):
        _end_unit(state)
    ended = not state["pid"] or process.state(state["pid"], state["start_time"]) != "running"
    if not (ended and cgroups.remove_empty(state["cgroups"])):
        stop(state)
        cgroups.remove(state["cgroups"])
    joined = state.get("joined_mounts")
    if joined:
        from pyrunc.runtime import joined_mounts

        joined_mounts.detach(joined, state["rootfs"], warn)
    detach_layers(record.directory, warn)
    for text in remove_mount_points(files.parent(record.directory), record.id, state.get("made") or []):
        warn(text)
    poststop(state, warn)
    record.remove()


def _end_unit(state: State) -> None:
    """systemd's part.  Cgroups that belong to somebody else's unit of that name are not the container's any more."""
    from pyrunc.host.systemd import units

    assert state["unit"]
    try:
        if not units.end(state["unit"], lambda: stop(state)):
            state["cgroups"] = {}
    except HostError:
        # Without systemd it is not known whose the cgroups are by now; the first process is the container's.
        stop_first(state)
        raise


def detach_layers(directory: str, warn: Callable[[str], None]) -> None:
    """Unmount what is mounted in the container's directory; most containers have nothing there."""
    if files.exists(directory + "/layers"):
        from pyrunc.runtime import layers

        layers.detach(directory, warn)


def remove_mount_points(root: str, id: str, made: Sequence[Entry]) -> list[str]:
    """Remove what had to be made on the host's files, if anything was, and what earlier deletions had to leave.

    Returns what could not be removed, a text each.
    """
    if not made and not files.exists(root + LEFT):
        return []
    from pyrunc.runtime import removal

    return removal.remove(root, id, made)


def poststop(state: State, warn: Callable[[str], None]) -> None:
    if state["hooks"].get("poststop"):
        from pyrunc.runtime import hooks

        hooks.poststop(state, warn)
