"""``Sandbox``: a container of this program that runs one command after the other, or many at a time."""

from __future__ import annotations

import atexit
import os
import weakref

from pyrunc.errors import HostError, OpFailed, SpecError
from pyrunc.runtime import root as roots
from pyrunc.sandbox import arguments, base, files, spec, values
from pyrunc.sandbox.config import valid
from pyrunc.sandbox.holder import Holder
from pyrunc.sandbox.launch import Launch
from pyrunc.sandbox.problems import named
from pyrunc.sandbox.refusal import of_host, told
from pyrunc.sandbox.run import Run, as_bytes
from pyrunc.spec.jsontext import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, Self, Unpack

    from pyrunc.sandbox.launch import Streams
    from pyrunc.sandbox.process import Process
    from pyrunc.sandbox.result import Completed
    from pyrunc.sandbox.run import Wishes
    from pyrunc.spec.types import Spec

    Path = str | os.PathLike[str]

CGROUP_MANAGERS = ("cgroupfs", "systemd", "disabled")
#: Bytes that ``read`` takes of a file unless told otherwise.
READ_LIMIT = 64 << 20
#: What ``listdir`` and ``diff`` tell unless told otherwise.
ENTRY_LIMIT = 100_000


class Sandbox:
    """A container that lives until this is closed, and runs programs meanwhile.

        with pyrunc.Sandbox(workspace="/work", files={"data.csv": "/work/in.csv"}, memory="256m", timeout=10) as box:
            box.write("/work/x.py", source)
            result = box.run(["python3", "/work/x.py"])

    Nothing is shared with the host unless it is named; ``pyrunc.sandbox.arguments.read`` has the arguments.  The
    programs of one sandbox are one user, share its files and can signal one another: give each its own where they
    do not trust one another.  Threads may use one at the same time.  A process that this program forks has none.
    """

    __slots__ = ("__weakref__", "_holder", "_wanted")

    def __init__(
        self,
        *,
        root: Path | None = None,
        cgroup_manager: str = "cgroupfs",
        warn: Callable[[str], None] | None = None,
        **wanted: Any,
    ) -> None:
        """``root`` is the runtime root (default: that of the command line), ``warn`` takes texts.

        Raises UsageError that names every wrong argument, SpecError, OpFailed, HostError; nothing is left behind then.
        """
        place = named("root", root, _root)
        named("cgroup_manager", cgroup_manager, _manager)
        named("warn", warn, _callback)
        self._wanted = read(wanted)
        try:
            config = configuration(self._wanted, place, cgroup_manager)
            self._create(config, place, cgroup_manager, warn or _ignore)
        except HostError as error:
            raise of_host(error, place) from None

    def _create(self, config: Spec, root: str, cgroup_manager: str, warn: Callable[[str], None]) -> None:
        try:
            plain, data = valid(config)
            self._holder = Holder(root, plain, warn)
            self._holder.create(data, cgroup_manager=cgroup_manager)
            _alive.add(self)
        except (SpecError, OpFailed) as error:
            raise told(error, self._wanted, config) from None
        except BaseException:
            self.close()
            raise

    @property
    def id(self) -> str:
        """The id of its container: ``pyrunc list`` shows it."""
        return self._holder.record.id

    @property
    def pid(self) -> int:
        """The pid of its first process on the host."""
        return self._holder.state["pid"]

    @property
    def spec(self) -> dict[str, Any]:
        """A copy of its config.json: plain OCI, with annotations for what is private."""
        found: dict[str, Any] = loads(dumps(self._holder.spec).encode("utf-8", "surrogatepass"), "config.json")
        return found

    @property
    def closed(self) -> bool:
        return not self._holder.first.alive

    def run(self, argv: Sequence[Path], *, check: bool = False, **wishes: Unpack[Wishes]) -> Completed:
        """Run a program to its end.

        ``input``: bytes or str for its standard input, which is empty without.
        ``timeout``: seconds from now, in place of the sandbox's own; inf for none.  When they are over everything in
        the sandbox is killed, other programs too, and the result has what was written so far.
        ``env``: variables beside those of the sandbox; None takes one away.  ``cwd``: where to run it.
        ``max_output``: bytes to keep of each stream, in place of the sandbox's own; the rest is dropped.
        ``on_stdout``, ``on_stderr``: called with the output as it comes, all of it; one that raises ends the run.
        ``text``, ``encoding``, ``errors``: make the output str (UTF-8; what does not decode is replaced).
        ``check``: raise ProgramFailed unless the program succeeds.

        What it leaves running in the background goes on, and is not waited for.

        Raises UsageError, StateError when the sandbox has ended, OpFailed when the program cannot be executed.
        """
        wanted = named("check", check, values.flag)
        with self.prepare(argv, wishes) as run:
            if run.start():
                run.serve()
            result = run.result()
        return result.check() if wanted else result

    def prepare(self, argv: Sequence[Path], wishes: Wishes) -> Run:
        return Run(self._holder, argv, wishes, timeout=self._wanted.timeout, max_output=self._wanted.max_output)

    def popen(self, argv: Sequence[Path], **wishes: Unpack[Streams]) -> Process:
        """Start a program; returns when it was executed.

        ``stdin``, ``stdout``, ``stderr``: PIPE, DEVNULL (the default), or a file or descriptor of this program, which
        the new one gets; ``stderr`` may be STDOUT.  ``env`` and ``cwd`` are as for ``run``.
        Nobody limits its time or its output.  Raises as ``run``.
        """
        with self.launch(argv, wishes) as launch:
            with launch.starting() as starting:
                starting.wait()
            return launch.process(starting)

    def launch(self, argv: Sequence[Path], wishes: Streams) -> Launch:
        return Launch(self._holder, argv, wishes)

    def write(self, path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
        """Make a file, or replace what is in it, as the sandbox's user; str is written in UTF-8.

        ``path`` is as the sandbox sees it, a relative one below its working directory; ``mode`` is for a new file.
        """
        content = named("data", data, as_bytes)
        opening = files.to_write(self._holder, path, mode)
        files.replace(_opened(opening), content)

    def read(self, path: Path, *, max_bytes: int | str = READ_LIMIT) -> bytes:
        """What is in a file, as the sandbox's user sees it; HostError when that is more than ``max_bytes``.

        Only of regular files: a FIFO or a device that a program has put there instead is refused.
        """
        limit = named("max_bytes", max_bytes, values.amount)
        opening = files.to_read(self._holder, path)
        return files.content(_opened(opening), limit)

    def listdir(self, path: Path = ".", *, max_entries: int = ENTRY_LIMIT) -> list[str]:
        """The names in a directory, sorted; HostError when there are more than ``max_entries``."""
        limit = named("max_entries", max_entries, values.whole)
        opening = files.to_list(self._holder, path)
        return files.names(_opened(opening), limit)

    def diff(self, *, max_entries: int = ENTRY_LIMIT) -> list[Any]:
        """What has changed in its private files, as ``pyrunc diff`` tells it: objects with ``path`` and ``kind``.

        HostError when there are more than ``max_entries``, or paths of more than 64 KiB, or of 64 MiB together.
        """
        from pyrunc.sandbox.changed import changed

        return changed(self._holder, named("max_entries", max_entries, values.whole))

    def kill(self) -> None:
        """Kill every program that runs in it; returns when they are gone.  The sandbox and its files stay."""
        self._holder.first.end_all()

    def close(self) -> None:
        """Kill every program, and remove the sandbox.

        It may be closed again, and has to be if this raises or is interrupted: it goes on where it was.
        """
        if hasattr(self, "_holder"):
            self._holder.close()
            _alive.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        holder = getattr(self, "_holder", None)
        if holder is not None and not holder.removed:
            import warnings

            try:
                warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            finally:
                holder.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}{' closed' if self.closed else ''}>"


def read(wanted: dict[str, Any]) -> arguments.Arguments:
    """The arguments of a sandbox; TypeError for one that does not exist."""
    try:
        return arguments.read(**wanted)
    except TypeError as error:
        raise TypeError(str(error).replace("read()", "Sandbox()")) from None


def configuration(wanted: arguments.Arguments, root: str, cgroup_manager: str) -> Spec:
    """The config for these arguments, for whoever runs this program."""
    return spec.build(wanted, base.find(wanted, root, cgroup_manager), uid=os.geteuid(), gid=os.getegid())


def _opened(opening: files.Opening) -> files.Opening:
    with opening.starting() as starting:
        starting.wait()
        opening.take(starting)
    return opening


def _root(value: object) -> str:
    return roots.default() if value is None else values.absolute(value)


def _manager(value: object) -> str:
    if not isinstance(value, str) or value not in CGROUP_MANAGERS:
        raise ValueError(f"expected {', '.join(CGROUP_MANAGERS)}")
    return value


def _callback(value: object) -> object:
    if value is not None and not callable(value):
        raise ValueError("expected a function that takes a str")
    return value


def _ignore(_: str) -> None:
    """The default for warnings: a program that wants them passes ``warn``."""


#: What is still open, so that nothing is left when the program ends, and a forked child does not keep it alive.
_alive: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _close_all() -> None:
    failed: BaseException | None = None
    for box in list(_alive):
        try:
            box.close()
        except BaseException as error:  # noqa: BLE001  # the others are closed all the same
            failed = error
    if failed is not None:
        raise failed


def _forget_all() -> None:
    for box in list(_alive):
        box._holder.forget()
    _alive.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)
