"""Lazy pages: memory that follows while the restored container runs already.

checkpoint --lazy-pages             criu lazy-pages                     restore --lazy-pages
CRIU serves the pages      ◀─TCP──  fetches each, asked for or not ◀──  lazy-pages.socket: a userfaultfd of each process
"""

from __future__ import annotations

import _signal
import fcntl
import posix
from _stat import S_ISSOCK

from pyrunc.errors import HostError, UsageError
from pyrunc.host import criu, failure, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.criu.mounts import External
    from pyrunc.runtime.images import Directories

OPTION = "--lazy-pages"
#: Where ``criu lazy-pages`` listens, in its working directory, which has to be that of the restore.
SOCKET = "lazy-pages.socket"
#: CRIU's word for: the images are complete but for the pages, and these are served.
READY = "status-ready"


def require(program: str, path: str) -> None:
    """HostError unless this kernel and CRIU can do it."""
    hint = "the kernel needs userfaultfd with its events; criu check --feature uffd-noncoop tells"
    criu.require_feature(program, path, "lazy_pages", OPTION, hint)


def require_daemon(socket: str) -> None:
    """HostError unless ``criu lazy-pages`` has made its socket: CRIU itself would fail late."""
    try:
        found = S_ISSOCK(posix.stat(socket).st_mode)
    except FileNotFoundError:
        found = False
    if not found:
        raise HostError(
            f"no lazy-pages daemon: there is no socket {socket}",
            where=OPTION,
            hint="start criu lazy-pages before, with --images-dir of the images and the --work-dir of the restore",
        )


def check_status_fd(fd: int) -> None:
    """UsageError unless it can be written to.  No program that is started from here on gets it."""
    where = f"--status-fd {fd}"
    try:
        mode = fcntl.fcntl(fd, fcntl.F_GETFL) & posix.O_ACCMODE
    except OSError as error:
        raise UsageError("invalid --status-fd argument: " + failure.reason(error), where=where) from None
    if mode == posix.O_RDONLY:
        raise UsageError("invalid --status-fd argument: not writable", where=where)
    posix.set_inheritable(fd, False)


class Serving:
    """A dump whose pages are served.  As the restore happens meanwhile, what it reads beside CRIU's files is there when
    CRIU is ready, and goes again if the dump fails: then there is no memory for it."""

    __slots__ = ("_descriptors", "_directories", "_external", "_ready", "_status_fd")

    def __init__(
        self, directories: Directories, descriptors: Sequence[str], external: External, status_fd: int
    ) -> None:
        self._directories = directories
        self._descriptors = descriptors
        self._external = external
        self._status_fd = status_fd
        self._ready = False

    def notices(self, service: criu.Service) -> criu.Notice:
        def notice(script: str, _pid: int, _fd: int) -> None:
            if script == READY:
                self._begin(service)

        return notice

    def _begin(self, service: criu.Service) -> None:
        """HostError where nobody reads the status.

        CRIU waits from here on, perhaps for nobody: a signal that is to end us ends it, and the container goes on.
        """
        self._ready = True
        self._directories.save(self._descriptors, self._external)
        for signal in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
            _signal.signal(signal, lambda _number, _frame: service.stop())
        fd, self._status_fd = self._status_fd, -1
        if fd >= 0:
            try:
                files.held(posix.write, fd, b"\0")
            except OSError as error:
                raise HostError(failure.reason(error), where=f"--status-fd {fd}") from None
            posix.close(fd)

    def failed(self) -> None:
        if self._ready:
            self._directories.forget()
