"""What the OOM killer does in a container: how often it struck, and the moment when it does.

kernel: cgroup-v1/memory.rst "OOM Control", cgroup-v2.rst "memory.events".
"""

from __future__ import annotations

import posix
import select

from pyrunc.errors import HostError
from pyrunc.host import failure, files
from pyrunc.host.cgroups import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """``fd`` is to be polled for ``events``; then ``struck`` says whether it was that.

    HostError where there is no memory controller.
    """

    __slots__ = ("_file", "_kills", "_open", "_path", "_v1", "events", "fd")

    def __init__(self, cgroups: Mapping[str, str]) -> None:
        self._open: list[int] = []
        self.fd = self._file = -1
        self._v1 = "memory" in cgroups
        self._path = _file(cgroups)
        try:
            self._open.append(files.held(posix.open, self._path, posix.O_RDONLY | posix.O_CLOEXEC))
            self._file = self._open[0]
            self._kills = _kills(posix.pread(self._file, 4096, 0).decode())
            if self._v1:
                self._register()
            else:
                self.fd, self.events = self._file, select.POLLPRI
        except OSError as error:
            self.close()
            hint = "" if files.exists(self._path) else "its cgroup does not have the memory controller"
            raise HostError(f"no OOM events: {failure.reason(error)}", where=self._path, hint=hint) from error
        except BaseException:
            self.close()
            raise

    def _register(self) -> None:
        """The kernel is told which eventfd(2) to signal for which file."""
        self._open.append(files.held(posix.eventfd, 0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK))
        self.fd, self.events = self._open[1], select.POLLIN
        tree.write(files.parent(self._path) + "/cgroup.event_control", f"{self.fd} {self._file}")

    def struck(self) -> bool:
        """Whether there was no memory left since the last call.  It need not have been polled before: what the kernel
        signals late can be seen already."""
        if self._v1:
            return self._signalled()
        try:
            before, self._kills = self._kills, _kills(posix.pread(self._file, 4096, 0).decode())
        except OSError:  # ENODEV: the cgroup is gone
            return False
        return self._kills > before

    def _signalled(self) -> bool:
        try:
            posix.eventfd_read(self.fd)
        except BlockingIOError:
            return False
        return files.exists(self._path)  # the removal of the cgroup is an event, too

    def close(self) -> None:
        """Interrupted, it can be called again."""
        files.close(self._open)
        self.fd = self._file = -1


class Witness:
    """Remembers what happened in a cgroup that goes with its last process, as systemd removes those of its units.

    ``look`` is to be called whenever ``fd`` has ``events``; ``fd`` is -1 when the cgroup has gone.
    """

    __slots__ = ("_cgroups", "_watch", "kills", "limit")

    def __init__(self, cgroups: Mapping[str, str]) -> None:
        self._cgroups = cgroups
        self.kills = 0
        self.limit = limit(cgroups)
        self._watch = Watch(cgroups)

    @property
    def fd(self) -> int:
        return self._watch.fd

    @property
    def events(self) -> int:
        return self._watch.events

    def look(self) -> None:
        if self._watch.struck():
            # The numbers may be gone between the signal and the look at them.
            self.kills = max(kills(self._cgroups), self.kills, 1)
            self.limit = limit(self._cgroups) or self.limit
        if not files.is_directory(files.parent(_file(self._cgroups))):
            self.close()

    def close(self) -> None:
        self._watch.close()
