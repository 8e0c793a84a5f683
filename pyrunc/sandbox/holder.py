"""The container behind a sandbox, from its creation to its removal.

It is one like any other: ``pyrunc list`` shows it, ``pyrunc delete --force`` removes it.  Its first process (``first``)
ends when the socket to it does, and the kernel then ends all others: closed or killed, this program leaves nothing
behind that runs.
"""

from __future__ import annotations

import _signal
import _thread
import fcntl
import posix
import select
from functools import partial

from pyrunc.errors import HostError, PyruncError, StateError
from pyrunc.host import cgroups, files, process
from pyrunc.host.cgroups import tree
from pyrunc.runtime import destroy
from pyrunc.runtime.creation import Options
from pyrunc.sandbox import owner
from pyrunc.sandbox.first import FirstProcess
from pyrunc.sandbox.making import Making
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyrunc.spec.types import Spec
    from pyrunc.state.store import State


class Holder:
    """A running container without a program of its own.  Threads may use it at the same time."""

    __slots__ = (
        "_memory", "_owner", "_removing", "_warn", "first", "layers", "record", "removed", "spec", "state", "uid",
    )  # fmt: skip

    def __init__(self, root: str, spec: Spec, warn: Callable[[str], None]) -> None:
        """Nothing happens yet: whoever is interrupted while ``create`` is at work has what can be closed."""
        self.spec = spec
        self.state: State
        self._owner = owner.of(root)
        self.record = Record(root, self._owner.new_id())
        self.uid = _uid(spec)
        self.first = FirstProcess(self.record.id)
        self.removed = True  # nothing of it is on the host
        self.layers: dict[int, int] = {}
        self._warn = warn
        self._memory = ""
        self._removing = _thread.allocate_lock()

    def create(self, data: bytes, *, cgroup_manager: str) -> None:
        """``data`` is the text of the config, which is valid.  Raises SpecError, OpFailed, HostError."""
        if _signal.getsignal(_signal.SIGCHLD) == _signal.SIG_IGN:
            raise HostError(
                "this program ignores SIGCHLD, and the kernel would not tell it how its processes end",
                hint="signal.signal(signal.SIGCHLD, signal.SIG_DFL)",
            )
        null = _null()
        try:
            self._owner.enter(self.record.id, self._warn)
            options = Options(stdio=(null, null, null), cgroup_manager=cgroup_manager, pass_layers=True, hold=True)
            creation = Making(files.parent(self.record.directory), self.record.id, options, self._warn)
            try:
                creation.create(self.record.directory, (self.spec, data))
                self._take(creation)
            except PyruncError:
                raise  # it has taken back what it had made
            except BaseException:
                if hasattr(creation, "state"):
                    creation.talk.abort()
                    self.record, self.state, self.removed = creation.record, creation.state, False
                    self.close()
                raise
        except BaseException:
            if self.removed:
                self._owner.leave(self.record.id)
            raise
        finally:
            posix.close(null)

    def _take(self, creation: Making) -> None:
        self.record, self.state = creation.record, creation.state
        self.removed = False
        talk = creation.talk
        assert talk.init is not None
        self._memory = _memory_events(self.spec, self.state["cgroups"])
        self.layers, talk.layers = talk.layers, {}
        self.first.take(talk.init.socket, partial(_kill, self.state))
        talk.close()
        self.record.close()

    def kill(self) -> None:
        """Kill the first process, and with it all others.  ``close`` has to follow."""
        _kill(self.state)

    def close(self) -> None:
        """End everything, and remove what the container was made of.

        Idempotent; interrupted or failed it can be repeated.
        """
        self.first.close()
        self._close_layers()
        with self._removing:
            if not self.removed:
                self._remove()
                self.removed = True
        self._owner.leave(self.record.id)

    def _remove(self) -> None:
        self._reap()
        self.record.close()  # of an earlier attempt
        if not files.is_directory(self.record.directory):
            return  # somebody has deleted it
        try:
            self.record.lock()
        except StateError:
            return
        try:
            destroy.destroy(self.record, self.state, self._warn)
        finally:
            self.record.close()

    def _reap(self) -> None:
        """Wait for the end of the first process: the kernel lets it go when all others in its namespace have."""
        pid = self.state["pid"]
        if not pid:
            return
        try:
            pidfd = process.open_pidfd(pid, self.state["start_time"])
        except ProcessLookupError:
            return
        try:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            if not poller.poll(destroy.KILL_SECONDS * 1000):
                raise HostError(f"process {pid} does not end", where=self.record.id,
                                hint="it may hang in the kernel: see /proc/PID/stack")  # fmt: skip
            posix.waitpid(pid, 0)
        except ChildProcessError:
            return  # this program ignores SIGCHLD, or reaps by itself
        finally:
            posix.close(pidfd)

    def oom_kills(self) -> int:
        """How often the kernel has killed something in the container because the memory limit was reached."""
        if self._memory:
            for line in tree.read(self._memory).split("\n"):
                if line.startswith("oom_kill "):
                    return int(line[9:])
        return 0

    def forget(self) -> None:
        """In a child of the program that made it: give up what is open and nothing else."""
        self._removing = _thread.allocate_lock()  # a thread that held it is not in the child
        self.removed = True  # it is the parent's
        self.record.close()
        self.first.forget()
        self._close_layers()

    def _close_layers(self) -> None:
        while self.layers:
            posix.close(self.layers.popitem()[1])


def _kill(state: State) -> None:
    """Those of its cgroups first: the first process ends them itself while it ends, and they may leave it no time for
    that."""
    cgroups.signal_all(state["cgroups"], _signal.SIGKILL)
    try:
        process.signal(state["pid"], state["start_time"], _signal.SIGKILL)
    except ProcessLookupError:
        return


def _null() -> int:
    """The null device, above the standard streams: a program may have closed those, and what is open on the number
    that it is to have is not passed on."""
    fd = files.held(posix.open, "/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    if fd > 2:
        return fd
    try:
        return files.held(fcntl.fcntl, fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        posix.close(fd)


def _uid(spec: Spec) -> int | None:
    """The uid of the sandbox's user on the host; None for this program's own."""
    uid = spec["process"]["user"]["uid"]
    for mapping in (spec["linux"].get("uidMappings")) or ():
        if mapping["containerID"] <= uid < mapping["containerID"] + mapping["size"]:
            uid += mapping["hostID"] - mapping["containerID"]
            break
    return None if uid == posix.geteuid() else uid


def _memory_events(spec: Spec, directories: Mapping[str, str]) -> str:
    """The file that counts what was killed; "" without a limit."""
    if not (spec["linux"].get("resources") or {}).get("memory"):
        return ""
    on_v1 = "memory" in directories
    return directories["memory"] + "/memory.oom_control" if on_v1 else directories[""] + "/memory.events"
