"""``AsyncSandbox``: the same for asyncio.

The event loop serves the streams of a program and waits for its end.  What takes the kernel a moment (creating and
closing a sandbox, having a program executed, opening a file) is done in the loop's threads.
"""

from __future__ import annotations

import asyncio
import os
import time
from threading import Lock

from pyrunc.sandbox.box import DEVNULL, ENTRY_LIMIT, READ_LIMIT, Sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Self, TypeVar, Unpack

    from pyrunc.sandbox.process import Process
    from pyrunc.sandbox.result import Completed
    from pyrunc.sandbox.run import Run, Wishes
    from pyrunc.sandbox.streams import Sink

    Path = str | os.PathLike[str]
    Result = TypeVar("Result")


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
        self._box = await _in_thread(lambda: Sandbox(**self._wanted), Sandbox.close)

    @property
    def box(self) -> Sandbox:
        """The sandbox itself, for ``id``, ``pid``, ``spec`` and ``closed``."""
        if self._box is None:
            raise RuntimeError("not created yet: use it as an asynchronous context manager, or open() it")
        return self._box

    async def run(self, argv: Sequence[Path], *, check: bool = False, **wishes: Unpack[Wishes]) -> Completed:
        """As ``Sandbox.run``; the callbacks are called in the event loop's thread, and are not awaited."""
        run = self.box.prepare(argv, wishes)
        # Whoever comes last, the thread or this task, closes the streams.
        started = await _in_thread(run.start, lambda _: _dispose(run), run.stdio.close)
        try:
            if started:
                await _serve(run)
            result = await _settled(run.result) if run.late else run.result()
        except BaseException:
            await _settled(lambda: _dispose(run))
            raise
        run.stdio.close()
        return result.check() if check else result

    async def popen(
        self,
        argv: Sequence[Path],
        *,
        stdin: int = DEVNULL,
        stdout: int = DEVNULL,
        stderr: int = DEVNULL,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> AsyncProcess:
        """As ``Sandbox.popen``, with streams of asyncio where PIPE was asked for."""
        box = self.box
        process = await _in_thread(
            lambda: box.popen(argv, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd), _discard
        )
        try:
            return await AsyncProcess.of(process)
        except BaseException:
            _discard(process)
            raise

    async def write(self, path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
        await _settled(lambda: self.box.write(path, data, mode=mode))

    async def read(self, path: Path, *, max_bytes: int | str = READ_LIMIT) -> bytes:
        return await _settled(lambda: self.box.read(path, max_bytes=max_bytes))

    async def listdir(self, path: Path = ".", *, max_entries: int = ENTRY_LIMIT) -> list[str]:
        return await _settled(lambda: self.box.listdir(path, max_entries=max_entries))

    async def diff(self, *, max_entries: int = ENTRY_LIMIT) -> list[Any]:
        return await _settled(lambda: self.box.diff(max_entries=max_entries))

    async def kill(self) -> None:
        await _settled(self.box.kill)

    async def close(self) -> None:
        if self._box is not None:
            await _settled(self._box.close)

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
                await _readable(fd)
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


async def _serve(run: Run) -> None:
    """``Run.serve`` by the event loop."""
    assert run.process is not None
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    report, source = run.process.fileno(), run.stdio.source

    def end(error: BaseException | None = None) -> None:
        if not ended.done():
            ended.set_result(error)

    def collect(sink: Sink) -> None:
        try:
            if sink.collect() == 0:
                loop.remove_reader(sink.fd)
        except BaseException as error:  # noqa: BLE001  # of a callback: for its task, not for the loop
            end(error)

    def feed() -> None:
        if source is not None and not source.feed():
            loop.remove_writer(source.fd)
            run.stdio.stop_feeding()

    loop.add_reader(report, end)
    for sink in run.stdio.sinks:
        loop.add_reader(sink.fd, collect, sink)
    if source is not None:
        loop.add_writer(source.fd, feed)
    try:
        left = None if run.deadline is None else max(0.0, run.deadline - time.monotonic())
        await asyncio.wait((ended,), timeout=left)
    finally:
        loop.remove_reader(report)
        for sink in run.stdio.sinks:
            loop.remove_reader(sink.fd)
        if run.stdio.source is not None:
            loop.remove_writer(run.stdio.source.fd)
    run.late = not ended.done()
    if ended.done() and ended.result() is not None:
        raise ended.result()


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)


def _dispose(run: Run) -> None:
    """Nobody wants the run any more: end it, and close what is open."""
    try:
        run.abandon()
    finally:
        run.stdio.close()


def _discard(process: Process) -> None:
    process.kill()
    process.close()


class _Handover:
    """A call in a thread whose result somebody takes over: the task that waits, or what undoes it."""

    __slots__ = ("_abandoned", "_call", "_done", "_failed", "_lock", "_undo")

    def __init__(self, call: Callable[[], Any], undo: Callable[[Any], None], failed: Callable[[], None]) -> None:
        self._call = call
        self._undo = undo
        self._failed = failed
        self._lock = Lock()
        self._done = self._abandoned = False

    def __call__(self) -> Any:
        try:
            result = self._call()
        except BaseException:
            self._failed()
            raise
        with self._lock:
            self._done = True
            abandoned = self._abandoned
        if abandoned:
            self._undo(result)
        return result

    def abandon(self) -> bool:
        """The task has gone; whether the result was there already, so that the caller has to undo it."""
        with self._lock:
            self._abandoned = True
            return self._done


async def _in_thread(
    call: Callable[[], Result], undo: Callable[[Result], None], failed: Callable[[], None] = lambda: None
) -> Result:
    """``call`` in a thread; when this task is cancelled meanwhile, ``undo`` its result there."""
    handover = _Handover(call, undo, failed)
    future = asyncio.get_running_loop().run_in_executor(None, handover)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if handover.abandon():
            result = await asyncio.shield(future)
            await _settled(lambda: undo(result))
        else:
            future.add_done_callback(_notice)
        raise


async def _settled(call: Callable[[], Result]) -> Result:
    """``call`` in a thread; a cancellation comes through, but only when the call is over."""
    future = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(_notice)
        await asyncio.wait((future,))
        raise


def _notice(future: asyncio.Future[Any]) -> None:
    """An error after a cancellation has nobody to go to; asyncio would complain that it was not looked at."""
    if not future.cancelled():
        future.exception()
