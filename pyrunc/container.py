"""The lifecycle of one container as Python objects, for programs: create, start, wait, exec, kill, delete.

A container that was created here is a child of this program, so ``wait`` knows its exit status.  Only
``posix_spawn`` is used, never fork: any thread may call anything at any time.
"""

from __future__ import annotations

import os
import select

from pyrunc.errors import StateError, UsageError
from pyrunc.host import files
from pyrunc.runtime import delete as delete_verb
from pyrunc.runtime import destroy, joining, root
from pyrunc.runtime import kill as kill_verb
from pyrunc.runtime import start as start_verb
from pyrunc.runtime import state as state_verb
from pyrunc.runtime.creation import Options
from pyrunc.runtime.exec import derive, override
from pyrunc.runtime.repeated import Repeated
from pyrunc.spec.jsontext import dumps, loads
from pyrunc.state import machine
from pyrunc.state.store import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from pyrunc.runtime.conversation import Conversation

    Stream = int | None


class Process:
    """A process of a container that is a child of this program.

    ``pid`` is its pid on the host; ``returncode`` is None until it has been waited for, then the exit status, or
    -N when signal N ended it (as in subprocess).
    """

    __slots__ = ("_lock", "_pidfd", "_status", "pid", "returncode")

    def __init__(self, pid: int) -> None:
        import threading

        self.pid = pid
        self.returncode: int | None = None
        self._pidfd = -1
        self._status: int | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, talk: Conversation) -> Process:
        """The process of a conversation, which is closed."""
        process = cls(talk.pid)
        process._pidfd, talk.pidfd = talk.pidfd, -1
        talk.close()
        return process

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, at most ``timeout`` seconds (TimeoutError).  Returns ``returncode``."""
        with self._lock:
            if self.returncode is None:
                if timeout is not None:
                    poller = select.poll()
                    poller.register(self._pidfd, select.POLLIN)
                    if not poller.poll(timeout * 1000):
                        raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
                if self._status is None:
                    _, self._status = files.held(os.waitpid, self.pid, 0)  # the kernel tells it once
                self.returncode = os.waitstatus_to_exitcode(self._status)
                self._close()
            return self.returncode

    def _close(self) -> None:
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)

    def __del__(self) -> None:
        self._close()


class Container:
    """One container below a runtime root (default: that of the command line, which can be used beside this)."""

    def __init__(self, id: str, *, root: str | None = None) -> None:
        """Refer to an existing container; ``create`` makes one.  Nothing is checked until a verb is called."""
        self._root = os.path.abspath(root) if root is not None else _default_root()
        self.id = id
        self.process: Process | None = None

    @classmethod
    def create(
        cls,
        id: str,
        bundle: str | os.PathLike[str],
        *,
        root: str | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        no_pivot: bool = False,
        no_new_keyring: bool = False,
        preserve_fds: int = 0,
        cgroup_manager: str = "cgroupfs",
        warn: Callable[[str], None] | None = None,
    ) -> Container:
        """Create a container from an OCI bundle; its program runs after ``start``.

        ``stdin``, ``stdout``, ``stderr`` are file descriptors; None inherits this program's.  The config must not ask
        for a terminal.  Raises SpecError (with every violation), StateError (the id is in use), OpFailed, HostError;
        nothing is left behind then.
        """
        container = cls(id, root=root)
        stdio = [own if given is None else given for own, given in enumerate((stdin, stdout, stderr))]
        options = Options(
            no_pivot=no_pivot,
            no_new_keyring=no_new_keyring,
            preserve_fds=preserve_fds,
            cgroup_manager=cgroup_manager,
            stdio=stdio,
        )
        creation = Repeated(container._root, id, options, warn or _ignore)
        creation.create(os.path.abspath(bundle))
        try:
            container.process = Process.of(creation.talk)
            creation.record.close()
        except BaseException:
            creation.talk.abort()
            destroy.destroy(creation.record, creation.state, creation.warn)
            raise
        return container

    def start(self) -> None:
        """Run the program.  Raises StateError, or OpFailed when it cannot be executed."""
        start_verb.start(self._root, self.id)

    def state(self) -> dict[str, Any]:
        """The OCI state document: ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner."""
        return state_verb.state(self._root, self.id)

    def kill(self, signal: str | int = "SIGTERM", *, all: bool = False) -> None:
        """Send a signal to the container's first process, or to all of them."""
        kill_verb.kill(self._root, self.id, str(int(signal)) if isinstance(signal, int) else signal, all=all)

    def pause(self) -> None:
        """Stop all of its processes where they are; returns when they stand still."""
        from pyrunc.runtime import pause as verb

        verb.pause(self._root, self.id)

    def resume(self) -> None:
        """Let a paused container go on."""
        from pyrunc.runtime import pause as verb

        verb.resume(self._root, self.id)

    def update(self, resources: Mapping[str, Any], *, warn: Callable[[str], None] | None = None) -> None:
        """Change limits: ``resources`` is as ``linux.resources`` of config.json, with what is to change in it.

        Raises SpecError (with every violation), or OpFailed where the kernel refuses a value; nothing has changed then.
        """
        from pyrunc.runtime import update as verb

        try:
            text = dumps(resources)
        except TypeError as error:
            raise UsageError(f"resources: {error}") from None
        given = verb.read(text.encode("utf-8", "surrogatepass"), "resources")
        verb.update(self._root, self.id, given, warn=warn or _ignore)

    def stats(self) -> dict[str, Any]:
        """What it uses now: ``cpu``, ``memory``, ``pids``, ``blkio``… as the ``data`` of ``pyrunc events --stats``."""
        from pyrunc.runtime import events as verb

        data: dict[str, Any] = verb.stats(self._root, self.id)["data"]
        return data

    def events(self, interval: float = 5.0, *, warn: Callable[[str], None] | None = None) -> Iterator[dict[str, Any]]:
        """The documents of ``pyrunc events``, statistics every ``interval`` seconds, until the container ends."""
        from pyrunc.runtime import events as verb

        if not interval > 0:
            raise UsageError(f"interval: {interval!r} is not more than 0 seconds")
        return verb.stream(self._root, self.id, interval, warn=warn or _ignore)

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed because memory was at its limit, so far."""
        from pyrunc.runtime import events as verb

        return verb.oom_kills(self._root, self.id)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status of the container's program, -N for a signal; TimeoutError after ``timeout`` seconds.

        Only the program that created the container can know it (StateError otherwise).
        """
        if self.process is None:
            raise StateError("not a child of this program: its exit status goes to its parent", where=self.id)
        return self.process.wait(timeout)

    def exec(
        self,
        args: Sequence[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        user: tuple[int, int | None] | None = None,
        additional_gids: Sequence[int] = (),
        caps: Sequence[str] = (),
        no_new_privs: bool | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        preserve_fds: int = 0,
        warn: Callable[[str], None] | None = None,
    ) -> Process:
        """Start one more process in the container; what is not given is as in the container's own process.

        ``env`` replaces single variables.  Returns when the program has been executed.
        """
        if not args:
            raise UsageError("args must not be empty")
        record = Record(self._root, self.id)
        found = record.load()
        machine.require("exec", state_verb.status(record, found), self.id)
        spec: Any = loads(record.config(), "config.json")
        base = spec["process"]
        changes: dict[str, Any] = {"args": list(args), "terminal": False}
        changes["env"] = override(base.get("env") or [], [f"{k}={v}" for k, v in (env or {}).items()])
        if cwd is not None:
            changes["cwd"] = cwd
        if no_new_privs is not None:
            changes["noNewPrivileges"] = no_new_privs
        task = derive(base, changes, user, additional_gids, caps, warn or _ignore)
        stdio = [own if given is None else given for own, given in enumerate((stdin, stdout, stderr))]
        talk = joining.join(record, found, spec, task, warn=warn or _ignore, preserve_fds=preserve_fds, stdio=stdio)
        try:
            return Process.of(talk)
        except BaseException:
            talk.abort()
            raise

    def delete(self, *, force: bool = False, warn: Callable[[str], None] | None = None) -> None:
        """Remove a stopped (or created, or with ``force`` any) container, and reap its process."""
        delete_verb.delete(self._root, self.id, force=force, warn=warn or _ignore)
        if self.process is not None and self.process.returncode is None:
            self.process.wait()


def _ignore(_: str) -> None:
    """The default for warnings: a program that wants them passes ``warn``."""


def _default_root() -> str:
    return root.default()
