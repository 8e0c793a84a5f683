"""AsyncSandbox: the same runs by an event loop, side by side, and cancelled."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import pyrunc
from pyrunc import PIPE, STDOUT, AsyncSandbox
from pyrunc.sandbox import starting, workers
from pyrunc.sandbox.holder import Holder
from tests.root.sandboxes import eventually, members, sh
from tests.support.residue import descriptors

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path
    from typing import Any

    from pyrunc import Completed
    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


#: Ends when there is a file with the name go.
UNTIL_TOLD = sh("echo up; until [ -e go ]; do sleep 0.02; done; echo fine")


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene, debug=True)


def test_a_run_is_like_that_of_a_sandbox(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root, workspace="/work") as box:
            result = await box.run(sh("cat; echo err >&2; exit 3"), input=b"x" * 300_000)
            assert (result.returncode, result.stdout, result.stderr) == (3, b"x" * 300_000, b"err\n")
            await box.write("file", "content")
            assert await box.read("file") == b"content"
            assert await box.listdir() == ["file"]
            with pytest.raises(pyrunc.ProgramFailed):
                await box.run(["false"], check=True)
            with pytest.raises(pyrunc.OpFailed, match="not found"):
                await box.run(["no-such"])
            with pytest.raises(pyrunc.UsageError, match="timeout"):
                await box.run(["true"], timeout=-1)
            seen: list[bytes] = []
            await box.run(["head", "-c", "200000", "/dev/zero"], on_stdout=seen.append, max_output=10)
            assert sum(map(len, seen)) == 200_000
            id = box.box.id
            assert (root / id).exists()
        assert not (root / id).exists()

    play(scene())


def test_many_tasks_share_one_box_and_have_their_own(root: Path) -> None:
    async def alone(number: int) -> bytes:
        async with AsyncSandbox(root=root) as box:
            return bytes((await box.run(["echo", str(number)])).stdout)

    async def scene() -> None:
        async with AsyncSandbox(root=root, workspace="/work", timeout=60) as box:
            together = "touch {0}; while [ $(ls | wc -l) -lt 20 ]; do sleep 0.02; done; echo {0}"
            results = await asyncio.gather(*(box.run(sh(together.format(n))) for n in range(20)))
            assert [result.stdout for result in results] == [f"{n}\n".encode() for n in range(20)]
        assert await asyncio.gather(*map(alone, range(10))) == [f"{n}\n".encode() for n in range(10)]

    play(scene())
    assert [name for name in os.listdir(root) if not name.startswith(".")] == []


def test_the_loop_goes_on_while_a_program_runs(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root, workspace="/work", timeout=60) as box:
            run = asyncio.create_task(box.run(UNTIL_TOLD))
            await box.write("go", b"")
            assert (await run).stdout == b"up\nfine\n"

    play(scene())


def test_a_timeout_ends_everything_in_the_box(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root, timeout=3) as box:
            result = await box.run(sh("echo so far; setsid sleep 1000 & sleep 1000"))
            assert (result.timed_out, result.returncode, result.stdout) == (True, -9, b"so far\n")
            assert members(box.box) == []
            assert (await box.run(["echo", "alive"])).stdout == b"alive\n"

    play(scene())


def test_a_cancelled_run_is_over_when_the_cancellation_comes_through(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root) as box:
            before = set(descriptors())
            for turns in range(12):
                task = asyncio.create_task(box.run(sh("setsid sleep 1000 & sleep 1000")))
                await turn(turns)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            task, up = started(box, sh("setsid sleep 1000 & echo up; sleep 1000"))
            await up.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert members(box.box) == []
            assert (await box.run(["true"])).returncode == 0
            assert set(descriptors()) <= before

    play(scene())


def test_a_cancelled_run_does_not_end_another(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root, workspace="/work", timeout=60) as box:
            other, up = started(box, UNTIL_TOLD)
            await up.wait()
            one, up = started(box, sh("sleep 1000 & echo up; sleep 1000"))
            await up.wait()
            one.cancel()
            with pytest.raises(asyncio.CancelledError):
                await one
            await box.write("go", b"")
            assert (await other).stdout == b"up\nfine\n"
            assert members(box.box) == []

    play(scene())


def test_a_cancelled_creation_leaves_nothing(sandboxes: Sandboxes, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = Holder.create

    async def scene() -> None:
        task = asyncio.create_task(AsyncSandbox.open(root=root))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        loop, begun, cancelled = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def late(holder: Holder, data: bytes, *, cgroup_manager: str) -> None:
            loop.call_soon_threadsafe(begun.set)
            assert cancelled.wait(60)
            create(holder, data, cgroup_manager=cgroup_manager)

        monkeypatch.setattr(Holder, "create", late)
        task = asyncio.create_task(AsyncSandbox.open(root=root))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.set()

    play(scene())
    eventually(lambda: not threads())
    assert sandboxes.containers() == []


def test_a_callback_that_raises_ends_the_run(root: Path) -> None:
    def refuse(_: bytes) -> None:
        raise LookupError("enough")

    async def scene() -> None:
        async with AsyncSandbox(root=root) as box:
            with pytest.raises(LookupError, match="enough"):
                await box.run(["yes"], on_stdout=refuse)
            assert members(box.box) == []

    play(scene())


def test_popen_has_streams_of_asyncio(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root) as box:
            async with await box.popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=STDOUT) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(b"hello\n")
                assert await process.stdout.readline() == b"hello\n"
                assert process.pid in members(box.box)
                process.stdin.close()
                assert await process.wait() == 0
            other = await box.popen(["sleep", "1000"])
            waiting = asyncio.create_task(other.wait())
            await turn(2)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            other.kill()
            assert await other.wait() == other.returncode == -9
            await box.kill()

    play(scene())


def test_nothing_is_left_of_it(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root) as box:
            await box.run(["true"])
            before = set(descriptors())
            for _ in range(50):
                await box.run(["cat"], input=b"x" * 100_000)
            await asyncio.gather(*(box.run(["true"]) for _ in range(50)))
            assert set(descriptors()) == before

    play(scene())
    eventually(lambda: not threads())


def test_a_cancelled_start_does_not_end_one_that_has_just_begun(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root) as box:
            for turns in range(20):
                first = asyncio.create_task(box.run(["sleep", "1000"]))
                await turn(turns)
                first.cancel()
                second = asyncio.create_task(box.run(["echo", "fine"]))
                with pytest.raises(asyncio.CancelledError):
                    await first
                assert (await second).stdout == b"fine\n"

    play(scene())


def test_the_executor_of_the_loop_is_left_to_others(root: Path) -> None:
    class Refusing(ThreadPoolExecutor):
        def submit(self, *_: Any, **__: Any) -> Any:
            raise AssertionError

    async def scene() -> None:
        asyncio.get_running_loop().set_default_executor(Refusing())
        async with AsyncSandbox(root=root, workspace="/work", timeout=60) as box:
            await box.write("file", b"x")
            assert await box.read("file") == b"x"
            assert await box.listdir() == ["file"]
            assert len(await box.diff()) == 1
            assert (await box.run(["sleep", "1000"], timeout=0.05)).timed_out
            async with await box.popen(["cat"]):
                await box.kill()

    play(scene())


def test_many_boxes_that_do_not_answer_hold_up_neither_the_loop_nor_another(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYRUNC_TEST_BOXES=500 for the long version."""
    monkeypatch.setattr(starting, "SECONDS", 10)
    count = int(os.environ.get("PYRUNC_TEST_BOXES", "40"))

    async def held_up(box: AsyncSandbox) -> None:
        os.kill(box.box.pid, signal.SIGSTOP)
        with pytest.raises(pyrunc.HostError, match=r"within 10 s: the first process of the sandbox does not answer"):
            await box.read("/etc/passwd")
        os.kill(box.box.pid, signal.SIGCONT)

    async def scene() -> None:
        boxes = await asyncio.gather(*(AsyncSandbox.open(root=root, network=True) for _ in range(count)))
        assert len(threads()) <= workers.LIMIT
        waiting = [asyncio.create_task(held_up(box)) for box in boxes[1:]]
        await turn(3)
        assert (await boxes[0].run(["echo", "fine"])).stdout == b"fine\n"
        assert not any(task.done() for task in waiting)
        assert len(threads()) <= 1
        await asyncio.gather(*waiting)
        await asyncio.gather(*(box.close() for box in boxes))

    play(scene())


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pyrunc"]


async def turn(count: int) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


def started(box: AsyncSandbox, argv: list[str]) -> tuple[asyncio.Task[Completed], asyncio.Event]:
    """A run, and what is set when it has written something."""
    up = asyncio.Event()
    return asyncio.create_task(box.run(argv, on_stdout=lambda _: up.set())), up
