"""A run that its program breaks off: what it has started ends, and nothing else does."""

from __future__ import annotations

import os
import select
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.root.sandboxes import DEADLINE, eventually, members, sh

if TYPE_CHECKING:
    from pyrunc import Sandbox

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


def test_an_interrupt_ends_the_run_and_comes_through(box: Sandbox) -> None:
    main = threading.main_thread().ident
    assert main is not None
    with pytest.raises(KeyboardInterrupt):
        box.run(
            sh("setsid sleep 1000 & echo up; sleep 1000"), on_stdout=lambda _: signal.pthread_kill(main, signal.SIGINT)
        )
    eventually(lambda: not members(box))
    assert box.run(["true"]).returncode == 0


def test_an_answer_to_who_was_interrupted_is_not_taken_for_another(box: Sandbox) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise LookupError

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(2):
            os.kill(box.pid, signal.SIGSTOP)  # so that it does not answer
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(LookupError):
                box.kill()
            os.kill(box.pid, signal.SIGCONT)
            assert box.run(["echo", "later"]).stdout == b"later\n"  # than the answer
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    box.popen(["sleep", "1000"])
    box.kill()
    assert members(box) == []


def test_a_run_that_is_interrupted_does_not_end_another(box: Sandbox) -> None:
    other = box.popen(["sleep", "1000"])

    def refuse(_: bytes) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        box.run(sh("sleep 2000 & echo x; sleep 2000"), on_stdout=refuse)
    eventually(lambda: members(box) == [other.pid])
    assert other.poll() is None


def test_how_another_has_ended_is_left_to_who_waits_for_it(box: Sandbox) -> None:
    """An event loop or another thread has its descriptor in hand."""
    other = box.popen(["true"])
    assert select.select([other.fileno()], [], [], DEADLINE)[0]

    def refuse(_: bytes) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        box.run(sh("echo x; sleep 2000"), on_stdout=refuse)
    assert other.fileno() >= 0
    assert other.returncode is None
    assert other.wait() == 0
