"""What the OOM killer does in a container: how often it struck, and the moment when it does.

kernel: cgroup-v1/memory.rst "OOM Control", cgroup-v2.rst "memory.events".
"""

from __future__ import annotations

import posix
import select
from errno import ENODEV

from pyrunc.errors import HostError
from pyrunc.host import failure, files
from pyrunc.host.cgroups import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: v1 has pages as many as fit into a signed number for no limit; nothing real comes near.
_NO_LIMIT = 1 << 62


def counts(cgroups: Mapping[str, str]) -> bool:
    """Whether it is counted at all: there is a memory controller."""
    return files.exists(_file(cgroups))


def kills(cgroups: Mapping[str, str]) -> int:
    """How many processes of the container it has killed so far; on v1 from Linux 4.13 on, without cgroups below."""
    return _kills(tree.read(_file(cgroups)))


def limit(cgroups: Mapping[str, str]) -> int:
    """Bytes that the container may use, 0 without a limit of its own."""
    v1 = "memory" in cgroups
    file = cgroups["memory"] + "/memory.limit_in_bytes" if v1 else cgroups.get("", "") + "/memory.max"
    text = tree.read(file).strip()
    return int(text) if text.isdecimal() and int(text) < _NO_LIMIT else 0


def _file(cgroups: Mapping[str, str]) -> str:
    return cgroups["memory"] + "/memory.oom_control" if "memory" in cgroups else cgroups.get("", "") + "/memory.events"


def _kills(text: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)


class Watch:
    """``fd`` is to be polled for POLLIN; then, and at the end, ``struck`` says whether it was that.

    ``kills`` and ``limit`` stand when the cgroup is gone, as those of systemd's units are with their last process;
    ``fd`` is -1 then.  On cgroup2 the cgroup above counts for those in it, and does so still when they are gone
    (cgroup-v2.rst, "memory.events": hierarchical), but for the root, which counts nothing.

    HostError where there is no memory controller.
    """

    __slots__ = ("_above", "_cgroups", "_epoll", "_file", "_open", "_others", "_v1", "fd", "kills", "limit")

    def __init__(self, cgroups: Mapping[str, str]) -> None:
        self._cgroups = cgroups
        self._open: list[int] = []
        self._epoll: select.epoll | None = None
        self.fd = self._file = self._above = -1
        self._v1 = "memory" in cgroups
        path = _file(cgroups)
        try:
            self._file = self._held(posix.open, path, posix.O_RDONLY | posix.O_CLOEXEC)
            self.kills = _count(self._file) or 0
            self.limit = limit(cgroups)
            #: Killed above it, and not in it.
            self._others = 0
            if self._v1:
                self._register(path)
            else:
                self._register_both(files.parent(files.parent(path)) + "/memory.events")
        except OSError as error:
            self.close()
            hint = "" if files.exists(path) else "its cgroup does not have the memory controller"
            raise HostError(f"no OOM events: {failure.reason(error)}", where=path, hint=hint) from error
        except BaseException:
            self.close()
            raise

    def _held(self, open_: Callable[..., int], *arguments: object) -> int:
        self._open.append(files.held(open_, *arguments))
        return self._open[-1]

    def _register(self, path: str) -> None:
        """The kernel is told which eventfd(2) to signal for which file."""
        self.fd = self._held(posix.eventfd, 0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        tree.write(files.parent(path) + "/cgroup.event_control", f"{self.fd} {self._file}")

    def _register_both(self, above: str) -> None:
        """With the mount option memory_localevents the one above hears nothing of this one."""
        self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)
        self._epoll.register(self._file, select.EPOLLPRI)
        if files.exists(above):
            self._above = self._held(posix.open, above, posix.O_RDONLY | posix.O_CLOEXEC)
            self._epoll.register(self._above, select.EPOLLPRI)
            self._compare()
        self.fd = self._epoll.fileno()

    def struck(self) -> bool:
        """Whether there was no memory left since the last call.  It need not have been polled before: what the kernel
        signals late can be seen already."""
        if self.fd < 0:
            return False
        found, gone = self._signalled() if self._v1 else self._compare()
        self.limit = limit(self._cgroups) or self.limit
        if gone:
            self.close()
        return found

    def _signalled(self) -> tuple[bool, bool]:
        try:
            signals = posix.eventfd_read(self.fd)
        except BlockingIOError:
            signals = 0
        gone = not files.exists(_file(self._cgroups))
        if not signals or gone:  # the removal of the cgroup is one, too
            return False, gone
        self.kills = max(_count(self._file) or 0, self.kills, 1)
        return True, gone

    def _compare(self) -> tuple[bool, bool]:
        before, own = self.kills, _count(self._file)
        while True:  # until both numbers are of one moment
            above = _count(self._above) if self._above >= 0 else None
            again = _count(self._file)
            if again == own:
                break
            own = again
        if own is not None:
            self.kills, self._others = own, (above or 0) - own
        elif above is not None:
            self.kills = max(before, above - self._others)
        return self.kills > before, own is None

    def close(self) -> None:
        """Interrupted, it can be called again."""
        self.fd = self._file = self._above = -1
        if self._epoll:
            self._epoll.close()
        files.close(self._open)


def _count(fd: int) -> int | None:
    """How often it has killed; None when the cgroup is gone."""
    try:
        return _kills(posix.pread(fd, 4096, 0).decode())
    except OSError as error:
        if error.errno != ENODEV:
            raise
        return None
