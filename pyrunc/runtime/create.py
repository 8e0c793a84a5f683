"""``create``: a container that waits for start; its pid file is the last thing to appear."""

from __future__ import annotations

from pyrunc.errors import HostError
from pyrunc.runtime.creation import Creation, close
from pyrunc.state.store import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.runtime.creation import Options


def create(
    *,
    root: str,
    id: str,
    bundle: str,
    options: Options,
    pid_file: str | None,
    pidfd_socket: str | None,
    warn: Callable[[str], None],
) -> None:
    creation = Creation(root, id, options, warn)
    creation.create(bundle)
    try:
        announce(creation.talk.pid, creation.talk.pidfd, pid_file, pidfd_socket)
    except BaseException:
        from pyrunc.runtime.destroy import destroy

        destroy(creation.record, creation.state, warn)
        raise
    finally:
        close(creation)


def announce(pid: int, pidfd: int, pid_file: str | None, pidfd_socket: str | None) -> None:
    """Tell the caller's side who the process is.  conmon takes a missing pid file for a failed runtime,
    and one that exists for a complete one."""
    if pidfd_socket:
        from pyrunc.host import agent

        agent.send_descriptor(pidfd_socket, b"pidfd", pidfd, where="--pidfd-socket")
    if pid_file:
        try:
            replace(pid_file, b"%d" % pid, 0o644)
        except OSError as error:
            import posix

            raise HostError(posix.strerror(error.errno or 0).lower(), where=f"--pid-file {pid_file}") from None
