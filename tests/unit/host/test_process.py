"""A process is its pid and its start time."""

from __future__ import annotations

import os
import select
import signal
import subprocess

import pytest

from pyrunc.host import process


def ended(pid: int) -> None:
    """Wait until the child has ended, without reaping it."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_process_runs_then_is_a_zombie_then_is_gone() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    started = process.start_time(child.pid)
    assert started is not None
    assert process.state(child.pid, started) == "running"
    assert process.state(child.pid, started + 1) == "gone"
    assert child.stdin is not None
    child.stdin.close()
    ended(child.pid)
    assert process.state(child.pid, started) == "zombie"
    child.wait()
    assert process.state(child.pid, started) == "gone"
    assert process.start_time(child.pid) is None


def test_a_fork_is_told_from_what_has_executed_a_program() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    fork = os.fork()
    if fork == 0:
        signal.pause()
    looks = [process.look(pid, process.start_time(pid) or 0) for pid in (child.pid, fork)]
    os.kill(fork, signal.SIGKILL)
    ended(fork)
    dead = process.look(fork, process.start_time(fork) or 0)
    os.waitpid(fork, 0)
    child.communicate()
    assert (*looks, dead) == (("running", False), ("running", True), ("zombie", True))


def test_a_signal_reaches_only_the_process_that_was_meant() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    started = process.start_time(child.pid)
    assert started is not None
    with pytest.raises(ProcessLookupError):
        process.signal(child.pid, started + 1, signal.SIGKILL)
    process.signal(child.pid, started, 0)
    process.signal(child.pid, started, signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        process.signal(child.pid, started, signal.SIGTERM)


def test_a_pidfd_tells_the_end() -> None:
    child = subprocess.Popen(["true"])
    started = process.start_time(child.pid)
    assert started is not None
    fd = process.open_pidfd(child.pid, started)
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    assert poller.poll(10_000)
    child.wait()
    os.close(fd)


def test_a_name_with_parentheses_does_not_confuse_the_reader(tmp_path: object) -> None:
    path = f"{tmp_path}/) R 1 ("
    os.symlink("/bin/sleep", path)
    child = subprocess.Popen([path, "1000"])
    try:
        started = process.start_time(child.pid)
        assert started is not None
        assert process.state(child.pid, started) == "running"
    finally:
        child.kill()
        child.wait()
