"""The streams of a program, with pipes whose other ends the test holds."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from pyrunc.sandbox.streams import Stdio
from tests.support.residue import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stdio() -> Iterator[Stdio]:
    made = Stdio(None)
    yield made
    made.close()


@pytest.fixture
def ended() -> Iterator[tuple[int, int]]:
    """What says that the program has ended: the end to read and the end to write."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_what_fits_is_written_at_once(stdio: Stdio) -> None:
    stdio.feed(b"x" * 65536)
    assert stdio.source is None
    assert len(os.read(stdio.theirs[0], 100_000)) == 65536
    assert os.read(stdio.theirs[0], 1) == b""


def test_what_does_not_fit_is_written_as_it_is_read(stdio: Stdio, ended: tuple[int, int]) -> None:
    stdio.feed(b"x" * 200_000)
    got = 0
    while stdio.source is not None:
        got += len(os.read(stdio.theirs[0], 65536))
        stdio.pump(ended[0], time.monotonic())
    while part := os.read(stdio.theirs[0], 65536):
        got += len(part)
    assert got == 200_000


def test_a_reader_that_has_gone_ends_the_feeding(stdio: Stdio, ended: tuple[int, int]) -> None:
    stdio.feed(b"x" * 200_000)
    stdio.close_theirs()
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        assert not stdio.pump(ended[0], time.monotonic() + 0.01)
        assert signal.SIGPIPE not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert signal.SIGPIPE not in signal.sigpending()
    finally:
        signal.signal(signal.SIGPIPE, before)
    assert stdio.source is None


def test_a_caller_that_blocks_sigpipe_keeps_what_is_pending(stdio: Stdio, ended: tuple[int, int]) -> None:
    stdio.feed(b"x" * 200_000)
    stdio.close_theirs()
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGPIPE,))
    try:
        stdio.pump(ended[0], time.monotonic() + 0.01)
        assert signal.SIGPIPE in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert signal.sigtimedwait((signal.SIGPIPE,), 0) is not None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGPIPE,))


def test_output_is_kept_up_to_its_limit_and_the_rest_is_dropped(stdio: Stdio, ended: tuple[int, int]) -> None:
    stdio.capture(10, None)
    os.write(stdio.theirs[0], b"0123456789")
    assert not stdio.pump(ended[0], time.monotonic() + 0.01)
    assert (bytes(stdio.sinks[0].data), stdio.sinks[0].truncated) == (b"0123456789", False)
    os.write(stdio.theirs[0], b"x" * 60_000)
    os.write(ended[1], b"!")
    assert stdio.pump(ended[0], None)
    stdio.drain()
    assert (bytes(stdio.sinks[0].data), stdio.sinks[0].truncated) == (b"0123456789", True)


def test_who_goes_on_writing_does_not_hold_up_the_end(stdio: Stdio, ended: tuple[int, int]) -> None:
    seen: list[bytes] = []

    def write_again(part: bytes) -> None:
        seen.append(part)
        os.write(stdio.theirs[0], part)

    stdio.capture(1 << 20, write_again)
    os.write(stdio.theirs[0], b"x" * 60_000)
    os.write(ended[1], b"!")
    assert stdio.pump(ended[0], None)
    stdio.drain()
    assert len(seen) < 5


def test_the_deadline_comes_also_while_there_is_output(stdio: Stdio, ended: tuple[int, int]) -> None:
    stdio.capture(10, lambda part: os.write(stdio.theirs[0], part))
    os.write(stdio.theirs[0], b"x")
    started = time.monotonic()
    assert not stdio.pump(ended[0], started + 0.1)
    assert 0.1 <= time.monotonic() - started < 60


def test_nothing_stays_open() -> None:
    before = set(descriptors())
    made = Stdio(None)
    made.feed(b"x" * 100_000)
    made.capture(10, None)
    made.add_null()
    made.given(0)
    made.pipe_in()
    made.close()
    made.close()
    assert set(descriptors()) == before
