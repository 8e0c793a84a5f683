"""The talk with the runtime up to the start of the program: the clone, failures and where they go, the FIFO."""

from __future__ import annotations

import errno
import os
import platform
from pathlib import Path

import pytest

from pyrunc.plan.ops import SLOT_FIFO, SLOT_PROC, Op
from tests.native.driver import (
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONED,
    O_PATH,
    PATH,
    READY,
    STOPPED,
    SYNC,
    Message,
    Outcome,
    drive,
    ops,
    shell,
)
from tests.root.box import until

#: read(2) in /proc/PID/syscall
READ = {"x86_64": "0", "aarch64": "63"}[platform.machine()]


def test_clone_announces_the_new_process_before_it_speaks(init: Path) -> None:
    def answer(message: Message, outcome: Outcome) -> bool:
        if message.kind == CLONED:
            with open(f"/proc/self/fdinfo/{message.fds[0]}") as info:
                assert f"Pid:\t{message.value}\n" in info.read()
        return True

    outcome = drive(init, ops(("clone", CLONE_NEWUSER | CLONE_NEWPID, -1), ("ready",), ("sync",)), answer=answer)
    assert [message.kind for message in outcome.check().messages] == [CLONED, READY, SYNC]


@pytest.mark.parametrize("at", [CLONED, SYNC])
def test_when_the_runtime_goes_away_the_process_ends(init: Path, at: int) -> None:
    program = ops(("clone", CLONE_NEWUSER, -1), ("sync",), ("execve", ("/bin/true",), ()))
    outcome = drive(init, program, answer=lambda message, _: message.kind != at)
    assert outcome.statuses[outcome.messages[0].value] == 1


@pytest.mark.parametrize("at", range(3))
def test_an_injected_failure_names_its_op(init: Path, at: int) -> None:
    outcome = drive(init, ops(("umask", 0), ("ready",), ("umask", 0)), f"fail={at}:{errno.EXDEV}")
    assert outcome.failed(errno.EXDEV, at) == "injected failure"
    assert len(outcome.messages) == (1 if at < 2 else 2)


def test_stop_waits_before_the_op(init: Path) -> None:
    outcome = drive(init, ops(("ready",), ("ready",)), "stop=0", "stop=1")
    assert [(m.kind, m.op) for m in outcome.check().messages] == [
        (STOPPED, 0),
        (READY, 0),
        (STOPPED, 1),
        (READY, 1),
    ]


def test_userns_has_the_maps_and_leaves_no_process(init: Path) -> None:
    uid, gid = os.getuid(), os.getgid()
    program = ops(
        ("userns", 8, f"5 {uid} 1\n", f"6 {gid} 1\n"),
        ("join_namespaces", (8,), (CLONE_NEWUSER,)),
        ("find_executable", "cat", PATH),
        ("execve", ("cat", "/proc/self/uid_map", "/proc/self/gid_map"), ()),
    )
    assert drive(init, program).check().stdout.split() == ["5", str(uid), "1", "6", str(gid), "1"]


class Fifo:
    """Plays `start`: opens the exec FIFO once the init is ready; reads it to its end when that has ended."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "exec.fifo"
        os.mkfifo(self.path)
        self._reader = -1

    def answer(self, message: Message, _: Outcome) -> bool:
        if message.kind == READY:
            self._reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)  # who writes comes with the answer
        return True

    def data(self) -> bytes:
        with open(self._reader, "rb") as reader:
            return reader.read()


def waiting(fifo: Fifo, *last: tuple[object, ...]) -> list[Op]:
    return ops(
        ("open_proc", SLOT_PROC),
        ("open", SLOT_FIFO, str(fifo.path), O_PATH),
        ("ready",),
        ("wait_start",),
        *last,
    )


def test_the_fifo_starts_the_program_and_ends_at_execve(init: Path, tmp_path: Path) -> None:
    fifo = Fifo(tmp_path)
    outcome = drive(init, waiting(fifo, *shell("echo started")), answer=fifo.answer).check()
    assert fifo.data() == b"0"
    assert outcome.stdout == "started\n"


def test_a_failure_after_the_start_goes_to_the_fifo(init: Path, tmp_path: Path) -> None:
    import struct

    fifo = Fifo(tmp_path)
    outcome = drive(init, waiting(fifo, ("execve", ("/no/such",), ())), answer=fifo.answer)
    assert outcome.failure is None
    assert list(outcome.statuses.values()) == [1]
    data = fifo.data()
    assert data[:1] == b"0"
    assert struct.unpack_from("<IIiI", data, 1) == (4, 4, errno.ENOENT, 127)
    assert data[17:] == b"exec /no/such: no such file or directory"


def reads_from_socket(pid: int) -> bool:
    """Not from any file, as a sanitizer does when the process begins."""
    call = Path(f"/proc/{pid}/syscall").read_text().split()
    if call[0] != READ:
        return False
    try:
        return os.readlink(f"/proc/{pid}/fd/{int(call[1], 16)}").startswith("socket:")
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("at", [CLONED, READY])
def test_when_the_runtime_goes_away_before_its_answer_nothing_waits_for_the_start(
    init: Path, tmp_path: Path, at: int
) -> None:
    def answer(message: Message, outcome: Outcome) -> bool:
        pid = outcome.messages[0].value
        until(lambda: reads_from_socket(pid), lambda: "it waits for the answer")
        return message.kind != at  # READY is not read then

    program = [*ops(("clone", CLONE_NEWUSER, -1)), *waiting(Fifo(tmp_path), *shell("echo started"))]
    outcome = drive(init, program, answer=answer)
    assert outcome.statuses[outcome.messages[0].value] == 1
    assert (outcome.stdout, outcome.stderr) == ("", "")


def test_a_failure_that_nobody_hears_goes_to_stderr(init: Path) -> None:
    program = ops(("ready",), ("umask", 0), ("wait_start",))
    outcome = drive(init, program)
    assert outcome.stderr == "pyrunc-init: nothing in slot PROC: errno 9\n"
