"""The first process of a sandbox: what it starts, what it says of it, and how everything ends."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import socket
import stat
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.plan.ops import Op
from pyrunc.plan.wire import encode
from tests.native.driver import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONED,
    FAILED,
    FILE,
    MS_PRIVATE,
    MS_REC,
    NOT_AN_OP,
    READY,
    Message,
    drive,
    memfd,
    ops,
    receive,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.needs("root")

START, END_ALL, END_GROUP = 1, 2, 3
DEADLINE = 60.0
PATH = ("/usr/bin", "/bin")


def readable(fd: int, seconds: float = DEADLINE) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


class Started:
    """A program that was asked for: the talk with it, and the pipe that its end is reported to."""

    def __init__(self, talk: socket.socket, report: int) -> None:
        self.talk = talk
        self.report = report
        self.pid = 0

    def messages(self) -> list[Message]:
        """All that is said until the program was executed or has failed."""
        found = []
        while message := receive(self.talk):
            found.append(message)
            if message.kind == CLONED:
                self.pid = message.value
        self.talk.close()
        return found

    def executed(self) -> Started:
        assert [message.kind for message in self.messages()] == [CLONED]
        return self

    def end(self) -> int | None:
        """The exit status, -N for a signal, None when nobody has said it."""
        assert readable(self.report), "no end within the deadline"
        data = os.read(self.report, 100)
        if not data:
            return None
        status, _, *usage = struct.unpack("=iiqqqqq", data)
        assert all(value >= 0 for value in usage)
        return os.waitstatus_to_exitcode(status)


class Holder:
    """A pyrunc-init that holds a pid and a mount namespace."""

    def __init__(self, init: Path) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = ops(
            ("clone", CLONE_NEWPID | CLONE_NEWNS, -1), ("propagation", "/", MS_REC | MS_PRIVATE), ("dumpable", 0),
            ("hold",),
        )  # fmt: skip
        fd = memfd(encode(program))
        actions = [(os.POSIX_SPAWN_DUP2, number, number) for number in (theirs.fileno(), fd)]
        host = os.posix_spawn(init, ["pyrunc-init", str(theirs.fileno()), str(fd)], {}, file_actions=actions)
        os.close(fd)
        theirs.close()
        messages = [receive(self.socket), receive(self.socket)]
        assert [message and message.kind for message in messages] == [CLONED, READY]
        assert messages[0] is not None
        self.pid = messages[0].value
        (self.pidfd,) = messages[0].fds
        assert os.waitpid(host, 0)[1] == 0
        self.fds: list[int] = []

    def start(self, program: Sequence[Op], *, stdout: int = -1) -> Started:
        talk, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        report, their_report = os.pipe()
        fd = memfd(encode(program))
        null = os.open(os.devnull, os.O_RDWR)
        rights = [theirs.fileno(), their_report, fd, null, stdout if stdout >= 0 else null, null]
        socket.send_fds(self.socket, [struct.pack("=2i", START, 0)], rights)
        for number in (their_report, fd, null):
            os.close(number)
        theirs.close()
        self.fds.append(report)
        return Started(talk, report)

    def run(self, script: str) -> Started:
        return self.start(shell(script)).executed()

    def ask(self, what: int, pid: int = 0) -> None:
        self.socket.send(struct.pack("=2i", what, pid))

    def end_all(self, number: int = 7) -> None:
        self.ask(END_ALL, number)
        assert readable(self.socket.fileno())
        assert self.socket.recv(10) == struct.pack("=i", number)

    def pids(self) -> list[int]:
        """Of all other processes of its pid namespace, as the host counts."""
        own = os.stat(f"/proc/{self.pid}/ns/pid").st_ino
        found = []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.stat(f"/proc/{name}/ns/pid").st_ino == own:
                    found.append(int(name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has ended, or is none of ours
        return [pid for pid in found if pid != self.pid]

    def close(self) -> None:
        self.socket.close()
        assert readable(self.pidfd), "the first process does not end with its socket"
        os.waitpid(self.pid, 0)
        for fd in (self.pidfd, *self.fds):
            os.close(fd)


def shell(script: str) -> list[Op]:
    return ops(
        ("setsid",), ("find_executable", "sh", PATH), ("execve", ("sh", "-c", script), ("PATH=/usr/bin:/bin",))
    )  # fmt: skip


@pytest.fixture
def holder(init: Path) -> Iterator[Holder]:
    made = Holder(init)
    yield made
    made.close()


def test_it_refuses_to_be_anything_but_the_first_process_of_a_namespace(init: Path) -> None:
    assert "not the first process" in drive(init, ops(("hold",))).failed(errno.EINVAL, 0)


def test_it_says_how_a_program_has_ended(holder: Holder) -> None:
    assert holder.run("exit 7").end() == 7
    assert holder.run("kill -TERM $$").end() == -15
    assert holder.run(":").end() == 0


def test_programs_run_side_by_side(holder: Holder) -> None:
    waiting = [holder.run(f"read x </dev/zero; exit {number}") for number in range(3)]
    first = holder.run("exit 9")
    assert first.end() == 9
    assert len({program.pid for program in (*waiting, first)}) == 4
    holder.end_all()
    assert [program.end() for program in waiting] == [-9] * 3


def test_a_program_gets_its_stdio_and_nothing_else(holder: Holder) -> None:
    read, write = os.pipe()
    program = ops(("find_executable", "ls", PATH), ("execve", ("ls", "/proc/self/fd"), ()))
    started = holder.start(program, stdout=write).executed()
    os.close(write)
    assert os.read(read, 100).split() == [b"0", b"1", b"2", b"3"]  # 3 is the directory that ls reads
    assert started.end() == 0
    os.close(read)


def test_a_program_that_cannot_be_executed_is_told_by_its_operation(holder: Holder) -> None:
    started = holder.start(ops(("chdir", "/", 0), ("find_executable", "no-such", PATH), ("execve", ("no-such",), ())))
    failed = next(message for message in started.messages() if message.kind == FAILED)
    assert (failed.op, failed.errno, failed.value) == (1, errno.ENOENT, 127)
    assert started.end() == 1


def test_a_broken_program_is_refused_in_the_new_process(holder: Holder) -> None:
    talk, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    report, their_report = os.pipe()
    broken = memfd(b"not a program at all")
    socket.send_fds(holder.socket, [struct.pack("=2i", START, 0)], [theirs.fileno(), their_report, broken, 0, 1, 2])
    theirs.close()
    for fd in (their_report, broken):
        os.close(fd)
    started = Started(talk, report)
    failed = next(message for message in started.messages() if message.kind == FAILED)
    assert (failed.op, failed.errno) == (NOT_AN_OP, errno.EPROTO)
    assert started.end() == 1
    os.close(report)
    assert holder.run("exit 3").end() == 3


def test_orphans_are_reaped(holder: Holder) -> None:
    assert holder.run("(sh -c 'read x </dev/zero' & ); (true & ); exit 0").end() == 0
    holder.end_all()
    assert holder.pids() == []
    assert Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text() == ""


def test_all_others_end_on_request_and_it_goes_on(holder: Holder) -> None:
    program = holder.run("for i in 1 2 3; do setsid sh -c 'trap : TERM; while :; do :; done' & done; wait")
    holder.end_all()
    assert holder.pids() == []
    assert program.end() == -9
    assert holder.run("exit 4").end() == 4


def test_a_fork_bomb_ends_on_request(holder: Holder) -> None:
    resource.prlimit(holder.pid, resource.RLIMIT_NPROC, (400, 400))
    bomb = shell("b() { b | b & }; b; wait")
    program = holder.start([*ops(("ids", 12345, 12345, (), 1)), *bomb]).executed()
    holder.end_all()
    assert holder.pids() == []
    assert program.end() is not None


def test_a_report_that_nobody_reads_is_no_reason_to_end(holder: Holder) -> None:
    program = holder.run("read x </dev/zero")
    os.close(program.report)
    holder.fds.remove(program.report)
    holder.ask(END_GROUP, program.pid)
    assert holder.run("exit 1").end() == 1
    holder.end_all()
    assert holder.pids() == []


def test_a_group_ends_without_the_others(holder: Holder) -> None:
    other = holder.run("read x </dev/zero")
    program = holder.run("sh -c 'read x </dev/zero' & read x </dev/zero")
    holder.ask(END_GROUP, program.pid)
    assert program.end() == -9
    holder.ask(END_GROUP, program.pid)  # it is not there any more: nobody is met
    assert holder.run("exit 2").end() == 2
    assert not readable(other.report, 0)


def test_everything_ends_with_the_socket(init: Path) -> None:
    holder = Holder(init)
    program = holder.run("setsid sh -c 'trap : TERM HUP; read x </dev/zero' & read x </dev/zero")
    deadline = time.monotonic() + DEADLINE
    while len(pids := holder.pids()) < 2 and time.monotonic() < deadline:
        os.sched_yield()
    pidfds = [os.pidfd_open(pid) for pid in pids]
    assert len(pidfds) == 2
    holder.socket.close()
    assert program.end() is None
    for pidfd in pidfds:
        assert readable(pidfd)
        os.close(pidfd)
    holder.close()


def test_nothing_is_open_but_the_socket(holder: Holder) -> None:
    folder = Path(f"/proc/{holder.pid}/fd")
    assert len({link.readlink() for link in folder.iterdir()}) == 1


def test_what_it_starts_can_neither_signal_nor_trace_it(holder: Holder) -> None:
    assert holder.run("kill -9 1; kill -STOP 1; kill -TERM 1; exit 0").end() == 0
    assert holder.run("exit 5").end() == 5
    # Not dumpable: its files in /proc belong to root, also where it is somebody else.
    assert holder.run("exit 0").end() == 0
    assert stat.S_IMODE(os.stat(f"/proc/{holder.pid}/fd").st_mode) == 0o500


def test_too_few_descriptors_are_a_failure_of_the_request(holder: Holder) -> None:
    soft, hard = resource.prlimit(holder.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(holder.pid, resource.RLIMIT_NOFILE, (8, hard))
    messages = holder.start(shell("exit 0")).messages()
    assert [(message.kind, message.op, message.errno) for message in messages] == [(FAILED, NOT_AN_OP, errno.EMFILE)]
    resource.prlimit(holder.pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert holder.run("exit 6").end() == 6


def test_a_signal_that_stops_and_continues_it_changes_nothing(holder: Holder) -> None:
    signal.pidfd_send_signal(holder.pidfd, signal.SIGSTOP)
    started = holder.start(shell("exit 8"))
    signal.pidfd_send_signal(holder.pidfd, signal.SIGCONT)
    assert started.executed().end() == 8


def sent(holder: Holder, path: object, flags: int = os.O_RDONLY | os.O_NONBLOCK, kind: int = stat.S_IFREG) -> Message:
    started = holder.start(ops(("send_file", str(path), flags, 0o644 if flags & os.O_CREAT else 0, kind)))
    messages = [message for message in started.messages() if message.kind != CLONED]
    assert len(messages) == 1
    return messages[0]


def test_a_file_is_handed_over(holder: Holder, tmp_path: Path) -> None:
    message = sent(holder, tmp_path / "new", os.O_WRONLY | os.O_CREAT)
    assert message.kind == FILE
    os.write(message.fds[0], b"content")
    os.close(message.fds[0])
    message = sent(holder, tmp_path / "new")
    assert os.read(message.fds[0], 100) == b"content"
    os.close(message.fds[0])
    message = sent(holder, tmp_path, os.O_RDONLY | os.O_DIRECTORY, stat.S_IFDIR)
    assert os.listdir(message.fds[0]) == ["new"]
    os.close(message.fds[0])


def test_what_is_no_regular_file_is_not_handed_over(holder: Holder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "magic").symlink_to("/proc/self/fd/0")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.close()
    wanted = {
        "fifo": errno.EINVAL, "": errno.EISDIR, "magic": errno.ELOOP, "socket": errno.ENXIO, "absent": errno.ENOENT,
    }  # fmt: skip
    for name, error in wanted.items():
        message = sent(holder, tmp_path / name)
        assert (message.kind, message.errno, message.fds) == (FAILED, error, ()), name
    assert sent(holder, "/dev/null").errno == errno.EINVAL
    assert sent(holder, tmp_path / "fifo", os.O_WRONLY | os.O_NONBLOCK).errno == errno.ENXIO


def test_a_program_that_nobody_heard_of_is_ended(holder: Holder) -> None:
    """The talk was closed before its start could be told."""
    talk, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    talk.close()
    report, their_report = os.pipe()
    holder.fds.append(report)
    program = memfd(encode(shell("exec sleep 1000")))
    socket.send_fds(holder.socket, [struct.pack("=2i", START, 0)], [theirs.fileno(), their_report, program, 0, 1, 2])
    for number in (their_report, program):
        os.close(number)
    theirs.close()
    assert readable(report)
    assert os.read(report, 100) == b""
    assert holder.run("exit 3").end() == 3
    deadline = time.monotonic() + DEADLINE
    while holder.pids():
        assert time.monotonic() < deadline, "it goes on running"
