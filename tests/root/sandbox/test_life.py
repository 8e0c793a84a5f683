"""The life of a sandbox in its program: what it is on the host, many at a time, and nothing left behind."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import pyrunc
from pyrunc import PIPE
from tests.root.sandboxes import cgroups, children, eventually, members, sh
from tests.support.command import run
from tests.support.residue import descriptors

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunc import Sandbox
    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


def test_the_box_is_a_container_like_any_other(box: Sandbox, root: Path, pyrunc: Path) -> None:
    lines = run(pyrunc, "--root", root, "list").stdout.splitlines()
    assert lines[1].split()[:3] == [box.id, str(box.pid), "running"]
    assert box.spec["hostname"] == "sandbox"
    assert box.spec is not box.spec
    assert run(pyrunc, "--root", root, "exec", box.id, "hostname").stdout == "sandbox\n"
    assert len(run(pyrunc, "--root", root, "ps", box.id).stdout.splitlines()) == 2


def test_a_box_that_was_deleted_under_the_program_says_so(box: Sandbox, root: Path, pyrunc: Path) -> None:
    id = box.id
    run(pyrunc, "--root", root, "delete", "--force", id)
    with pytest.raises(Exception, match="has ended: its first process was killed"):
        box.run(["true"])
    box.close()
    assert cgroups(id) == []


def test_a_closed_box_is_gone_and_says_so(sandboxes: Sandboxes) -> None:
    box = sandboxes(memory="64m", pids=50)
    id = box.id
    assert cgroups(id)
    process = box.popen(["sleep", "1000"])
    box.close()
    box.close()
    assert box.closed
    assert process.wait(timeout=60) == -9
    assert sandboxes.containers() == []
    assert cgroups(id) == []
    for action in (lambda: box.run(["true"]), lambda: box.read("/etc/passwd"), lambda: box.popen(["true"]), box.kill):
        with pytest.raises(pyrunc.StateError, match="is closed"):
            action()


def test_a_box_that_nobody_closes_is_closed_with_a_warning(root: Path) -> None:
    box = pyrunc.Sandbox(root=root)
    id = box.id
    boxes = [box]
    del box
    with pytest.warns(ResourceWarning, match=f"unclosed <Sandbox {id}>"):
        boxes.clear()
    assert not (root / id).exists()


def test_hundreds_of_runs_leave_nothing(box: Sandbox) -> None:
    """PYRUNC_TEST_RUNS=10000 for the long version."""
    box.run(["true"])
    before, threads = (sorted(descriptors()), children()), threading.active_count()
    for _ in range(int(os.environ.get("PYRUNC_TEST_RUNS", "300"))):
        assert box.run(["true"]).returncode == 0
    assert (sorted(descriptors()), children()) == before
    assert threading.active_count() <= threads  # idle ones of other tests may have ended
    assert members(box) == []


def test_failures_leave_nothing(box: Sandbox) -> None:
    before = sorted(descriptors())
    for _ in range(5):
        with pytest.raises(pyrunc.OpFailed):
            box.run(["no-such"], input=b"x" * 100_000)
        with pytest.raises(pyrunc.UsageError):
            box.run(["true"], input=b"x", timeout=-1)
        with pytest.raises(pyrunc.UsageError):
            box.popen(["true"], stdin=PIPE, stdout=-5)
        with pytest.raises(pyrunc.OpFailed):
            box.read("absent")
        box.run(["sleep", "1000"], timeout=0.01)
    assert sorted(descriptors()) == before


def test_many_threads_share_one_box(box: Sandbox) -> None:
    def one(number: int) -> None:
        result = box.run(sh(f"cat; echo {number}; exit {number % 7}"), input=b"x" * (number * 1000))
        assert result.returncode == number % 7
        assert result.stdout == b"x" * (number * 1000) + f"{number}\n".encode()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(200)))
    assert members(box) == []


def test_many_threads_have_boxes_of_their_own(sandboxes: Sandboxes, root: Path) -> None:
    def one(number: int) -> bytes:
        with pyrunc.Sandbox(root=root, workspace="/work", hostname=f"box{number % 4}") as box:
            box.write("n", str(number))
            return bytes(box.run(sh("cat n; hostname")).stdout)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(40)))
    assert found == [f"{number}box{number % 4}\n".encode() for number in range(40)]
    assert sandboxes.containers() == []


def test_a_box_closed_by_another_thread_ends_the_run(box: Sandbox) -> None:
    def close() -> None:
        eventually(lambda: members(box))
        box.close()

    closer = threading.Thread(target=close)
    closer.start()
    assert box.run(["sleep", "1000"]).returncode == -9
    closer.join()


def test_hundreds_are_alive_at_once(sandboxes: Sandboxes) -> None:
    """PYRUNC_TEST_BOXES=500 for the long version."""
    sandboxes()
    before = set(descriptors())
    boxes = [sandboxes(network=True) for _ in range(int(os.environ.get("PYRUNC_TEST_BOXES", "40")))]
    assert len(set(descriptors()) - before) == len(boxes)
    assert all(box.run(["true"]).returncode == 0 for box in boxes)
    sandboxes.close()
    assert sandboxes.containers() == []


def test_a_program_that_ignores_sigchld_is_told_what_to_do(sandboxes: Sandboxes) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(pyrunc.HostError, match="ignores SIGCHLD"):
            sandboxes()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert sandboxes.containers() == []
