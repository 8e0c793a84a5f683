"""AsyncSandbox: the same runs by an event loop, side by side, and cancelled."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

import pyrunc
from pyrunc import AsyncSandbox
from pyrunc.sandbox import PIPE, STDOUT
from tests.root.sandboxes import members, sh

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path
    from typing import Any

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


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
        async with AsyncSandbox(root=root) as box:
            started = time.monotonic()
            results = await asyncio.gather(*(box.run(sh(f"sleep 0.5; echo {n}")) for n in range(20)))
            assert time.monotonic() - started < 5
            assert [result.stdout for result in results] == [f"{n}\n".encode() for n in range(20)]
        assert await asyncio.gather(*map(alone, range(10))) == [f"{n}\n".encode() for n in range(10)]

    play(scene())
    assert [name for name in os.listdir(root) if not name.startswith(".")] == []


def test_the_loop_goes_on_while_a_program_runs(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root) as box:
            run = asyncio.create_task(box.run(["sleep", "0.5"]))
            ticks = 0
            while not run.done():
                await asyncio.sleep(0.01)
                ticks += 1
            assert ticks > 10

    play(scene())


def test_a_timeout_ends_everything_in_the_box(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root, timeout=0.3) as box:
            result = await box.run(sh("echo so far; setsid sleep 1000 & sleep 1000"))
            assert (result.timed_out, result.returncode, result.stdout) == (True, -9, b"so far\n")
            assert members(box.box) == []
            assert (await box.run(["echo", "alive"])).stdout == b"alive\n"

    play(scene())


def test_a_cancelled_run_is_over_when_the_cancellation_comes_through(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root) as box:
            before = set(os.listdir("/proc/self/fd"))
            for pause in (0, 0.0005, 0.001, 0.002, 0.005, 0.2):
                task = asyncio.create_task(box.run(sh("setsid sleep 1000 & sleep 1000")))
                await asyncio.sleep(pause)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            # One that was cancelled before its program was executed is ended by the thread that does that.
            while members(box.box):
                await asyncio.sleep(0.01)
            assert (await box.run(["true"])).returncode == 0
            assert set(os.listdir("/proc/self/fd")) <= before

    play(scene())


def test_a_cancelled_run_does_not_end_another(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root) as box:
            other = asyncio.create_task(box.run(sh("sleep 0.7; echo fine")))
            await asyncio.sleep(0.2)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(box.run(sh("sleep 1000 & sleep 1000")), 0.2)
            assert (await other).stdout == b"fine\n"
            assert members(box.box) == []

    play(scene())


def test_a_cancelled_creation_leaves_nothing(root: Path) -> None:
    async def scene() -> None:
        for pause in (0, 0.001, 0.003, 0.006):
            task = asyncio.create_task(AsyncSandbox.open(root=root))
            await asyncio.sleep(pause)
            task.cancel()
            try:
                box = await task
            except asyncio.CancelledError:
                continue
            await box.close()

    play(scene())
    assert [name for name in os.listdir(root) if not name.startswith(".")] == []


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
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(other.wait(), 0.05)
            other.kill()
            assert await other.wait() == other.returncode == -9
            await box.kill()

    play(scene())


def test_nothing_is_left_of_it(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root) as box:
            await box.run(["true"])
            before = set(os.listdir("/proc/self/fd"))
            for _ in range(50):
                await box.run(["cat"], input=b"x" * 100_000)
            await asyncio.gather(*(box.run(["true"]) for _ in range(50)))
            assert set(os.listdir("/proc/self/fd")) == before

    threads = threading.active_count()
    play(scene())
    assert threading.active_count() == threads


def test_a_cancelled_start_does_not_end_one_that_has_just_begun(root: Path) -> None:
    async def scene() -> None:
        async with AsyncSandbox(root=root) as box:
            for number in range(40):
                first = asyncio.create_task(box.run(["sleep", "1000"]))
                await asyncio.sleep(number / 20_000)
                first.cancel()
                second = asyncio.create_task(box.run(sh("sleep 0.02; echo fine")))
                with pytest.raises(asyncio.CancelledError):
                    await first
                assert (await second).stdout == b"fine\n"

    play(scene())
