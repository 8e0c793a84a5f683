"""``pyrunc sandbox`` on a terminal: its settings are put back, and it is a job of the shell like any other."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.sandboxes import DEADLINE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")

#: A shell with one job: says what becomes of it, and does what it reads, on descriptors of its own.
SHELL = """
import os, signal, sys
told, say, place, argv = os.fdopen(int(sys.argv[1])), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
def tell(text): os.write(say, (text + "\\n").encode())
def front(group): os.tcsetpgrp(0, group)
front(os.getpgrp())
held, go = os.pipe()
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.read(held, 1)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(argv[0], argv)
try:
    os.setpgid(pid, pid)
except PermissionError:
    pass
if place == "front":
    front(pid)
os.write(go, b"x")
tell(str(pid))
while True:
    status = os.waitpid(pid, os.WUNTRACED)[1]
    front(os.getpgrp())
    if not os.WIFSTOPPED(status):
        tell(f"ended {os.waitstatus_to_exitcode(status)}")
        break
    tell(f"stopped {os.WSTOPSIG(status)}")
    if told.readline() == "fg\\n":
        front(pid)
    os.killpg(pid, signal.SIGCONT)
told.readline()
"""


class Shell:
    """A job on a terminal of its own."""

    def __init__(self, argv: list[str], place: str) -> None:
        self.master, self.slave = os.openpty()
        self.before = self.settings()
        told, self._tell = os.pipe()
        hear, say = os.pipe()
        self._hear = os.fdopen(hear)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SHELL, str(told), str(say), place, *argv],
            stdin=self.slave, stdout=self.slave, stderr=self.slave, pass_fds=(told, say), start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )  # fmt: skip
        os.close(told)
        os.close(say)
        self.job = int(self.hears())
        self._output = b""

    def settings(self) -> list[object]:
        return termios.tcgetattr(self.slave)

    def hears(self) -> str:
        return self._hear.readline().strip()

    def says(self, text: str) -> None:
        os.write(self._tell, text.encode() + b"\n")

    def types(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, text: str) -> None:
        """Wait for output."""
        while text.encode() not in self._output:
            self._output += os.read(self.master, 4096)

    def hang_up(self) -> None:
        """The window is closed: the kernel sends SIGHUP to the shell, and to a job that is stopped when that ends."""
        for fd in (self.slave, self.master):
            os.close(fd)
        self.master = self.slave = -1
        assert self.process.wait(60) == -signal.SIGHUP

    def close(self) -> None:
        if self.master >= 0:
            self.says("")
            assert self.process.wait(60) == 0
            os.close(self.master)
            os.close(self.slave)
        os.close(self._tell)
        self._hear.close()


@pytest.fixture
def shells(pyrunc: Path, root: Path) -> Iterator[Shells]:
    made = Shells(pyrunc, root)
    yield made
    for shell in made.made:
        shell.close()
    assert [name for name in os.listdir(root) if not name.startswith((".host", ".sec", ".mounting"))] == []


class Shells:
    """``shells("echo up", place="back")``: a job that runs a script in a sandbox."""

    def __init__(self, runtime: Path, root: Path) -> None:
        self.argv = [str(runtime), "--root", str(root), "sandbox", "--timeout", "60", "--", "sh", "-c"]
        self.made: list[Shell] = []

    def __call__(self, script: str, place: str = "front") -> Shell:
        self.made.append(Shell([*self.argv, script], place))
        return self.made[-1]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_settings_that_a_program_leaves_behind_are_put_back(shells: Shells) -> None:
    shell = shells("stty raw -echo; echo up; read x; exit 3")
    shell.until("up")
    assert shell.settings() != shell.before
    shell.types("\n")
    assert shell.hears() == "ended 3"
    assert shell.settings() == shell.before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_they_are_put_back_when_it_is_ended_by_a_signal(shells: Shells, number: int) -> None:
    shell = shells("stty raw -echo; echo up; read x")
    shell.until("up")
    os.kill(shell.job, number)
    assert shell.hears() == f"ended {128 + number}"
    assert shell.settings() == shell.before


def test_control_c_ends_the_whole_job(shells: Shells) -> None:
    shell = shells("trap 'echo trapped; exit 5' INT; echo up; while :; do sleep 0.1; done")
    shell.until("up")
    shell.types("\x03")
    shell.until("trapped")
    assert shell.hears() == "ended 5"


def test_output_that_a_program_has_stopped_holds_nothing_up(shells: Shells) -> None:
    stop = """python3 -c 'import termios; print("up", flush=True); termios.tcflow(1, termios.TCOOFF)'"""
    shell = shells(f"{stop}; exit 4")
    shell.until("up")
    assert shell.hears() == "ended 4"
    os.write(shell.slave, b"written on")
    shell.until("written on")


def test_control_z_stops_the_whole_job_and_fg_goes_on(shells: Shells) -> None:
    shell = shells("stty -echo; echo up; sleep 1000 & read x; echo got $x; stty -a | grep -o -- -echo; kill $!")
    shell.until("up")
    theirs = shell.settings()
    assert theirs != shell.before
    program = int(Path(f"/proc/{shell.job}/task/{shell.job}/children").read_text())
    inside = [int(pid) for pid in Path(f"/proc/{program}/task/{program}/children").read_text().split()]
    shell.types("\x1a")
    assert shell.hears() == f"stopped {signal.SIGTSTP:d}"
    assert shell.settings() == shell.before
    eventually(lambda: all(state(pid) == "T" for pid in inside))
    shell.says("fg")
    eventually(lambda: shell.settings() == theirs)
    shell.types("this\n")
    shell.until("got this")
    shell.until("-echo")
    assert shell.hears() == "ended 0"
    assert shell.settings() == shell.before


def test_in_the_background_it_waits_to_be_called(shells: Shells) -> None:
    shell = shells("echo up; read x; echo got $x", "back")
    for _ in range(2):
        assert shell.hears() == f"stopped {signal.SIGTTIN:d}"
        shell.says("bg")
    assert shell.hears() == f"stopped {signal.SIGTTIN:d}"
    shell.says("fg")
    shell.until("up")
    shell.types("this\n")
    shell.until("got this")
    assert shell.hears() == "ended 0"


def test_a_stopped_job_in_the_background_can_be_ended(shells: Shells) -> None:
    shell = shells("echo up; sleep 1000")
    shell.until("up")
    shell.types("\x1a")
    assert shell.hears() == f"stopped {signal.SIGTSTP:d}"
    shell.says("bg")
    assert shell.hears() == f"stopped {signal.SIGTSTP:d}"
    os.kill(shell.job, signal.SIGTERM)
    shell.says("bg")
    assert shell.hears() == f"ended {128 + signal.SIGTERM}"
    assert shell.settings() == shell.before


@pytest.mark.parametrize("stopped", [False, True])
def test_it_ends_with_its_terminal(shells: Shells, stopped: bool) -> None:
    shell = shells("stty raw -echo isig; echo up; sleep 1000")
    shell.until("up")
    pidfd = os.pidfd_open(shell.job)
    if stopped:
        shell.types("\x1a")
        assert shell.hears() == f"stopped {signal.SIGTSTP:d}"
    shell.hang_up()
    assert select.select([pidfd], [], [], DEADLINE)[0]
    os.close(pidfd)
