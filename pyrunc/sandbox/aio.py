"""``AsyncSandbox``: the same for asyncio.

The event loop itself waits for programs to be executed and to end, and serves their streams, so that any number of
sandboxes that are slow or hostile cost it nothing.  What takes the kernel a moment (creating and closing a sandbox,
killing what runs in it, reading a file that is open) is done in a few threads of this library (``workers``).
"""

from __future__ import annotations

import asyncio
import os
from functools import partial

from pyrunc.sandbox import files, values
from pyrunc.sandbox.box import ENTRY_LIMIT, READ_LIMIT, Sandbox
from pyrunc.sandbox.loop import created, executed, opened, readable, serve, settled, started
from pyrunc.sandbox.problems import named
from pyrunc.sandbox.run import as_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any, Self, Unpack

    from pyrunc.sandbox.launch import Streams
    from pyrunc.sandbox.process import Process
    from pyrunc.sandbox.result import Completed
    from pyrunc.sandbox.run import Wishes

    Path = str | os.PathLike[str]


class AsyncSandbox:
    """A ``Sandbox`` whose methods are coroutines; it is created on entry to ``async with``, or by ``open``.

        async with pyrunc.AsyncSandbox(workspace="/work", timeout=10) as box:
            results = await asyncio.gather(*(box.run(["job", name]) for name in names))

    When a run is cancelled its program is killed, and what that has started: all of it where nothing else runs in the
    sandbox, otherwise what has stayed in its process group.
    """

    __slots__ = ("_box", "_wanted")

    def __init__(self, **wanted: Any) -> None:
        """Takes what ``Sandbox`` takes; nothing happens yet."""
        self._wanted = wanted
        self._box: Sandbox | None = None

    @classmethod
    async def open(cls, **wanted: Any) -> Self:
        """Create one that is to be closed by ``close``."""
        made = cls(**wanted)
        await made._create()
        return made

    async def _create(self) -> None:
        self._box = await created(self._wanted)

    @property
    def box(self) -> Sandbox:
        """The sandbox itself, for ``id``, ``pid``, ``spec`` and ``closed``."""
        if self._box is None:
            raise RuntimeError("not created yet: use it as an asynchronous context manager, or open() it")
        return self._box

    async def run(self, argv: Sequence[Path], *, check: bool = False, **wishes: Unpack[Wishes]) -> Completed:
        """As ``Sandbox.run``; the callbacks are called in the event loop's thread, and are not awaited."""
        wanted = named("check", check, values.flag)
        run = self.box.prepare(argv, wishes)
        try:
            if await started(run):
                await serve(run)
            result = await settled(run.result) if run.late else run.result()
        except BaseException as error:
            await settled(partial(run.__exit__, type(error), error, None))
            raise
        run.stdio.close()
        return result.check() if wanted else result

    async def popen(self, argv: Sequence[Path], **wishes: Unpack[Streams]) -> AsyncProcess:
        """As ``Sandbox.popen``, with streams of asyncio where PIPE was asked for."""
        with self.box.launch(argv, wishes) as launch:
            with launch.starting() as starting:
                await executed(starting)
            process = launch.process(starting)
        try:
            return await AsyncProcess.of(process)
        except BaseException:
            _discard(process)
            raise

    async def write(self, path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
        content = named("data", data, as_bytes)
        opening = files.to_write(self.box._holder, path, mode)
        await opened(opening)
        await settled(lambda: files.replace(opening, content))

    async def read(self, path: Path, *, max_bytes: int | str = READ_LIMIT) -> bytes:
        limit = named("max_bytes", max_bytes, values.amount)
        opening = files.to_read(self.box._holder, path)
        await opened(opening)
        return await settled(lambda: files.content(opening, limit))

    async def listdir(self, path: Path = ".", *, max_entries: int = ENTRY_LIMIT) -> list[str]:
        limit = named("max_entries", max_entries, values.whole)
        opening = files.to_list(self.box._holder, path)
        await opened(opening)
        return await settled(lambda: files.names(opening, limit))

    async def diff(self, *, max_entries: int = ENTRY_LIMIT) -> list[Any]:
        return await settled(lambda: self.box.diff(max_entries=max_entries))

    async def kill(self) -> None:
        await settled(self.box.kill)

    async def close(self) -> None:
        if self._box is not None:
            await settled(self._box.close)

    async def __aenter__(self) -> Self:
        if self._box is None:
            await self._create()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._box!r}>"


class AsyncProcess:
    """A program that ``AsyncSandbox.popen`` has started."""

    __slots__ = ("_transports", "process", "stderr", "stdin", "stdout")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._transports: list[asyncio.BaseTransport] = []

    @classmethod
    async def of(cls, process: Process) -> Self:
        made = cls(process)
        loop = asyncio.get_running_loop()
        if process.stdin is not None:
            sink, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, process.stdin)
            made.stdin = asyncio.StreamWriter(sink, protocol, None, loop)
            made._transports.append(sink)
        made.stdout = await made._reader(process.stdout)
        made.stderr = await made._reader(process.stderr)
        return made

    async def _reader(self, file: Any) -> asyncio.StreamReader | None:
        if file is None:
            return None
        reader = asyncio.StreamReader()
        source, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), file
        )
        self._transports.append(source)
        return reader

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    async def wait(self) -> int:
        """Wait for the end; the exit status, -N for a signal.  Being cancelled does not end the program."""
        if self.process.poll() is None:
            fd = os.dup(self.process.fileno())  # whoever collects the end first closes the other one
            try:
                await readable(fd)
            finally:
                os.close(fd)
        return self.process.wait()

    def send_signal(self, signal: int) -> None:
        self.process.send_signal(signal)

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()

    def close(self) -> None:
        """Close the streams, without waiting for the program."""
        for transport in self._transports:
            transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self.wait()


def _discard(process: Process) -> None:
    process.kill()
    process.close()
