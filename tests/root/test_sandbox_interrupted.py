"""Interruptions at any moment of a sandbox's life: what was begun is taken back, and closing can be repeated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyrunc
from pyrunc.runtime import destroy
from tests.root.sandboxes import children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")

ROUNDS = int(os.environ.get("PYRUNC_TEST_INTERRUPTIONS", "15"))


@pytest.fixture
def interruptions() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


# A socket without a name yet is closed by the interpreter, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("interruptions")
def test_an_interrupted_creation_leaves_no_process_and_no_state(root: Path, sandboxes: Sandboxes) -> None:
    sandboxes(memory="64m", workspace="/work").close()
    before = children()
    interrupted = 0
    for number in range(ROUNDS):
        box = None
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0001 + 0.012 * number / ROUNDS)
            box = pyrunc.Sandbox(root=root, memory="64m", workspace="/work")
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                if box is not None:
                    box.close()
                del box
        assert sandboxes.containers() == [], number
        assert children() == before, number
    assert interrupted


@pytest.mark.usefixtures("interruptions")
def test_an_interrupted_close_is_repeated(sandboxes: Sandboxes) -> None:
    sandboxes(memory="64m", workspace="/work").close()
    before = children()
    for number in range(ROUNDS):
        box = sandboxes(memory="64m", workspace="/work")
        paths = box._holder.state["cgroups"].values()
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0001 + 0.004 * number / ROUNDS)
            box.close()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            box.close()
        assert sandboxes.containers() == [], number
        assert not any(map(os.path.exists, paths))
        assert children() == before, number


def test_a_close_that_failed_is_repeated(sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise pyrunc.HostError("no")

    box = sandboxes(memory="64m")
    with monkeypatch.context() as patched:
        patched.setattr(destroy, "destroy", fail)
        with pytest.raises(pyrunc.HostError, match="no"):
            box.close()
    assert box.closed
    assert sandboxes.containers() == [box.id]
    box.close()
    assert sandboxes.containers() == []
    assert not any(map(os.path.exists, box._holder.state["cgroups"].values()))


def test_a_box_is_closed_also_where_warnings_are_errors(root: Path, sandboxes: Sandboxes) -> None:
    script = "import pyrunc, sys\nbox = pyrunc.Sandbox(root=sys.argv[1])\ndel box\nprint('on')"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, root], check=True, capture_output=True, text=True
    )
    assert done.stdout == "on\n"
    assert "unclosed <Sandbox" in done.stderr
    assert sandboxes.containers() == []


def test_a_umask_that_takes_everything_does_no_harm(root: Path, sandboxes: Sandboxes) -> None:
    before = os.umask(0o777)
    try:
        box = sandboxes(workspace="/work", writable=True)
        assert box.run(["sh", "-c", "umask; echo x > /work/x; cat /work/x"]).stdout == b"0022\nx\n"
    finally:
        os.umask(before)
    assert (root / box.id).stat().st_mode & 0o7777 == 0o700
    box.close()
    assert sandboxes.containers() == []
