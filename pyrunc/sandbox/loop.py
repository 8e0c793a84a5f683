"""What an event loop waits for in place of a thread: a program's start, its streams and its end, and calls in threads.

``run``, ``starting`` and ``files`` say what is waited for; nothing here decides.
"""

from __future__ import annotations

import asyncio
import time
from threading import Lock

from pyrunc.sandbox import workers
from pyrunc.sandbox.box import Sandbox
from pyrunc.sandbox.starting import TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from pyrunc.sandbox.files import Opening
    from pyrunc.sandbox.run import Run
    from pyrunc.sandbox.starting import Starting
    from pyrunc.sandbox.streams import Sink

    Result = TypeVar("Result")


async def executed(starting: Starting) -> None:
    """``Starting.wait`` by the event loop."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def hear() -> None:
        if over.done():
            return
        try:
            if starting.step():
                over.set_result(None)
        except BaseException as error:  # noqa: BLE001  # of a callback: for its task, not for the loop
            over.set_exception(error)

    loop.add_reader(starting.fileno(), hear)
    try:
        await asyncio.wait((over,), timeout=starting.left())
    finally:
        loop.remove_reader(starting.fileno())
        if not over.done():
            over.cancel()
    if over.cancelled():
        starting.overdue()
    over.result()


async def started(run: Run) -> bool:
    """``Run.start`` by the event loop."""
    try:
        with run.starting() as starting:
            await executed(starting)
    except TimedOut:
        return run.started(None)
    return run.started(starting)


async def opened(opening: Opening) -> Opening:
    with opening.starting() as starting:
        await executed(starting)
        opening.take(starting)
    return opening


async def serve(run: Run) -> None:
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


async def readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(fd, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(fd)


class _Creation:
    """A sandbox that is being made in a thread, for a task that may go away meanwhile: then it is closed there."""

    __slots__ = ("_abandoned", "_lock", "_made", "_wanted")

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._wanted = wanted
        self._lock = Lock()
        self._made: Sandbox | None = None
        self._abandoned = False

    def __call__(self) -> Sandbox:
        made = Sandbox(**self._wanted)
        with self._lock:
            self._made = made
            abandoned = self._abandoned
        if abandoned:
            made.close()
        return made

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            made = self._made
        if made is not None:
            made.close()


async def created(wanted: dict[str, Any]) -> Sandbox:
    creation = _Creation(wanted)
    future = asyncio.wrap_future(workers.submit(creation))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(_notice)
        await settled(creation.abandon)
        raise


async def settled(call: Callable[[], Result]) -> Result:
    """``call`` in a thread; a cancellation comes through, but only when the call is over."""
    future = asyncio.wrap_future(workers.submit(call))
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
