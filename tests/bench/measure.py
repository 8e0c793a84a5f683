"""Timing: interleaved rounds, medians, and a second mount namespace for what does not run on this cgroup
layout.

A case runs in a forked worker.  There is one per mount namespace, so that what it costs to get there is not
in the figures; both are subreapers, as conmon and the containerd shim are.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import statistics
import subprocess
import time
import traceback
from typing import TYPE_CHECKING

from pyrunc.errors import PyruncError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

PR_SET_CHILD_SUBREAPER = 36

#: Name of a step -> seconds it took.
Timings = dict[str, float]


class CommandFailed(Exception):
    """A measured command did not succeed: its words and its status."""


def spawn(words: list[str], expected: int = 0) -> float:
    """Run a command with /dev/null for stdio and the least of an environment; seconds until it was reaped."""
    silent = (0, 1) if expected == 0 else (0, 1, 2)
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in silent]
    started = time.perf_counter()
    pid = os.posix_spawn(words[0], words, {"PATH": "/usr/bin:/bin:/usr/sbin"}, file_actions=null)
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) != expected:
        raise CommandFailed(f"{' '.join(words)}: exit status {os.waitstatus_to_exitcode(status)}")
    return took


def reap(pid: int) -> None:
    """Wait for a container's init, which is this subreaper's child once its runtime has left."""
    os.waitpid(pid, 0)


class WorkerDied(Exception):
    """A case raised what it may not raise."""


class Worker:
    """A child process that runs cases by their index and answers with timings, or with why it cannot."""

    def __init__(self, cases: Sequence[Callable[[], Timings]], setup: Sequence[str] = ()) -> None:
        ask_read, ask_write = os.pipe()
        answer_read, answer_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(ask_write)
            os.close(answer_read)
            status = 1
            try:
                with os.fdopen(ask_read) as asked, os.fdopen(answer_write, "w") as answers:
                    serve(cases, setup, asked, answers)
                status = 0
            finally:  # a forked worker never returns into its parent's frames
                if status:
                    traceback.print_exc()
                os._exit(status)
        os.close(ask_read)
        os.close(answer_write)
        self.ask = os.fdopen(ask_write, "w")
        self.answers = os.fdopen(answer_read)

    def run(self, index: int) -> Timings | str:
        self.ask.write(f"{index}\n")
        self.ask.flush()
        line = self.answers.readline()
        if not line:
            raise WorkerDied("a worker has died; its traceback is above")
        answer = json.loads(line)
        return answer if isinstance(answer, str) else {str(key): float(value) for key, value in answer.items()}

    def close(self) -> None:
        # Not by end of file: a worker that was forked later holds this pipe open, too.
        try:
            self.ask.write("end\n")
            self.ask.close()
        except BrokenPipeError:
            pass  # it has died, and said why
        self.answers.close()
        os.waitpid(self.pid, 0)


def serve(cases: Sequence[Callable[[], Timings]], setup: Sequence[str], asked: IO[str], answers: IO[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    problem = ""
    if setup:
        problem = private_mounts(setup)
    gc.disable()
    for line in asked:
        if line == "end\n":
            return
        answer: Timings | str = problem
        if not problem:
            try:
                answer = cases[int(line)]()
            except (CommandFailed, OSError, PyruncError) as error:
                answer = str(error)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def private_mounts(commands: Sequence[str]) -> str:
    """Enter a mount namespace of this process's own and change it; "" or what went wrong."""
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newns = 0x00020000
    if libc.unshare(clone_newns):
        return f"unshare: {os.strerror(ctypes.get_errno())}"
    for command in ("mount --make-rprivate /", *commands):
        done = subprocess.run(command.split(), capture_output=True, check=False, text=True)
        if done.returncode:
            return f"{command}: {done.stderr.strip()}"
    return ""


class Case:
    """Something to measure: a name, the function that does it once, and the mount namespace it wants."""

    __slots__ = ("call", "name", "private", "problem", "samples")

    def __init__(self, name: str, call: Callable[[], Timings], *, private: bool = False) -> None:
        self.name = name
        self.call = call
        self.private = private
        self.problem = ""
        self.samples: list[Timings] = []

    def median(self, *steps: str) -> float | None:
        """Median of the sum of the named steps in seconds; None when there is no sample."""
        sums = [sum(sample[step] for step in steps) for sample in self.samples]
        return statistics.median(sums) if sums else None


#: crun refuses the hybrid layout; a cgroup2 view without v1 hierarchies it takes.
CGROUP2_VIEW = ("umount -R /sys/fs/cgroup", "mount -t cgroup2 none /sys/fs/cgroup")


def interleave(cases: Sequence[Case], rounds: int, progress: Callable[[int], None]) -> None:
    """Run every case once per round, starting each round with another one; the first round only warms caches.

    A case that fails keeps the reason in ``problem`` and is left out from then on.
    """
    calls = [case.call for case in cases]
    workers = {False: Worker(calls)}
    if any(case.private for case in cases):
        workers[True] = Worker(calls, CGROUP2_VIEW)
    try:
        for number in range(rounds + 1):
            for step in range(len(cases)):
                index = (number + step) % len(cases)
                case = cases[index]
                if case.problem:
                    continue
                answer = workers[case.private].run(index)
                if isinstance(answer, str):
                    case.problem = answer or "failed without a word"
                elif number:
                    case.samples.append(answer)
            progress(number)
    finally:
        for worker in workers.values():
            worker.close()
