"""What runs in a sandbox wants to block the program by its streams."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.root.sandboxes import python, sh

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunc import Sandbox
    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


def test_endless_output_is_cut_and_ends_at_the_timeout(box: Sandbox) -> None:
    result = box.run(["yes"], timeout=3, max_output=100_000)
    assert (len(result.stdout), result.truncated, result.timed_out) == (100_000, True, True)
    result = box.run(sh("yes >&2 & yes & sleep 3"), max_output=1000)
    assert (len(result.stdout), len(result.stderr), result.truncated, result.returncode) == (1000, 1000, True, 0)
    box.kill()


def test_the_end_is_not_held_up_by_who_goes_on_writing(box: Sandbox) -> None:
    assert box.run(sh("yes & exit 4")).returncode == 4


def test_closed_streams_hold_nothing_up(box: Sandbox) -> None:
    assert box.run(sh("exec >&- 2>&- <&-; sleep 0.2; exit 6"), input=b"x" * 1_000_000).returncode == 6
    assert box.run(sh("exec <&-; sleep 0.2; exit 7"), input=b"x" * 1_000_000).returncode == 7


def test_a_reader_that_goes_away_does_not_end_the_program_by_sigpipe(sandboxes: Sandboxes, root: Path) -> None:
    script = """
import signal, sys, pyrunc
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
with pyrunc.Sandbox(root=sys.argv[1]) as box:
    print(box.run(["sh", "-c", "head -c 70000 | wc -c; exec <&-; sleep 0.2"], input=b"x" * 1_000_000).stdout)
print(signal.sigpending(), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    done = subprocess.run([sys.executable, "-c", script, str(root)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("b'70000\\n'\nset() set()\n", 0), done.stderr


def test_output_that_is_stolen_from_the_pipe_blocks_nobody(box: Sandbox) -> None:
    """The pipe belongs to the box's user, who may open the end that this program reads from."""
    script = """
mine = os.open("/proc/self/fd/1", os.O_RDONLY | os.O_NONBLOCK)
for _ in range(20000):
    os.write(1, b"x")
    try:
        os.read(mine, 10)
    except BlockingIOError:
        pass
os.write(2, b"end")
"""
    assert python(box, script, timeout=40).stderr == "end"


def test_a_pipe_that_was_made_large_is_drained_within_bounds(box: Sandbox) -> None:
    script = """
import fcntl
fcntl.fcntl(1, 1031, 1 << 20)  # F_SETPIPE_SZ
os.write(1, b"x" * 500_000)
"""
    assert len(python(box, script).stdout) == 500_000
