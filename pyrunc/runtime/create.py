"""``create``: a container that waits for start; its pid file is the last thing to appear."""

from __future__ import annotations

import posix

from pyrunc.errors import HostError
from pyrunc.host import files
from pyrunc.runtime.creation import Creation, close

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
        where = f"--pid-file {pid_file}"
        try:
            if _is_special(pid_file):
                raise HostError("not a regular file", where=where, hint="it would be replaced by one")
            files.replace(pid_file, b"%d" % pid, 0o644)
        except OSError as error:
            raise HostError(posix.strerror(error.errno or 0).lower(), where=where) from None


def _is_special(path: str) -> bool:
    """Whether there is something that a rename would destroy: /dev/null, /dev/stdout, a FIFO that somebody reads."""
    try:
        kind = posix.lstat(path).st_mode & 0o170000
    except FileNotFoundError:
        return False
    return kind not in (0o100000, 0o040000)  # rename(2) itself refuses a directory
