"""A handler of a signal raises, behind any call: nothing is lost, and what was interrupted can be done again."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest

import pyrunc
from tests.root.sandboxes import children
from tests.support import interruptions
from tests.support.residue import descriptors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyrunc import Sandbox
    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")

#: Every so manieth place; 1 for all of them.
STEP = int(os.environ.get("PYRUNC_TEST_STEP", "5"))


def host(root: Path) -> object:
    """What there is of this program and its sandboxes."""
    gc.collect()
    left = [name for name in os.listdir(root) if name.startswith(("sandbox-", ".owner-"))]
    return sorted(descriptors()), sorted(left), children()


def everywhere(root: Path, action: Callable[[], object], after: Callable[[], object]) -> None:
    """Interrupt ``action`` here and there; ``after`` each time, the host is as it was."""
    action()
    after()
    places = interruptions.sites(action)
    after()
    before = host(root)
    for place in places[::STEP]:
        interruptions.interrupted(action, place)
        after()
        assert host(root) == before, place


# A socket without a name yet is closed by the interpreter, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_interrupted_creation_leaves_nothing(root: Path) -> None:
    made: list[Sandbox] = []

    def close() -> None:
        while made:
            made.pop().close()

    everywhere(root, lambda: made.append(pyrunc.Sandbox(root=root, memory="64m", workspace="/work")), close)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_interrupted_run_leaves_nothing(box: Sandbox, root: Path) -> None:
    def use() -> None:
        assert box.run(["cat"], input=b"x").stdout == b"x"

    everywhere(root, use, use)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_interrupted_popen_leaves_nothing(box: Sandbox, root: Path) -> None:
    def talk() -> None:
        with box.popen(["cat"], stdin=pyrunc.PIPE, stdout=pyrunc.PIPE) as process:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()

    everywhere(root, talk, box.kill)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_interrupted_files_leave_nothing(box: Sandbox, root: Path) -> None:
    def use() -> None:
        box.write("x", b"content")
        assert box.read("x") == b"content"
        assert box.listdir() == ["x"]

    everywhere(root, use, use)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_interrupted_close_is_repeated(sandboxes: Sandboxes, root: Path) -> None:
    places = interruptions.sites(sandboxes(memory="64m", workspace="/work").close)
    before = host(root)
    for place in places[::STEP]:
        box = sandboxes(memory="64m", workspace="/work")
        interruptions.interrupted(box.close, place)
        box.close()
        assert host(root) == before, place
