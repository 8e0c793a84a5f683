"""The foreground: exit statuses, signals, and the terminal between the caller and the container."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from pyrunc.errors import HostError
from pyrunc.host import console, foreground, signals

HERE = Path(__file__).parent
ROOT = Path(foreground.__file__).parents[2]
COMMAND = [sys.executable, "-I", "-S", str(HERE / "attend.py"), str(ROOT)]
SECONDS = 30


def attend(*args: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *args], input=data, capture_output=True, check=False, timeout=SECONDS)


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143)]
)
@pytest.mark.parametrize("terminal", [(), ("-t",)])
def test_the_status_is_that_of_the_process(script: str, status: int, terminal: tuple[str, ...]) -> None:
    # Through setsid a signal is seen as 128 + N already.
    assert attend(*terminal, "/bin/sh", "-c", script).returncode == status


def read_until(fd: int, wanted: bytes) -> bytes:
    """Read from a pty until the text has come; fails at the end or after the time."""
    got = b""
    deadline = time.monotonic() + SECONDS
    while wanted not in got:
        ready, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
        assert ready, got
        try:
            data = os.read(fd, 4096)
        except OSError:  # EIO: the other side is closed
            data = b""
        assert data, got
        got += data.replace(b"\r", b"")  # both terminals process output here
    return got


#: Says ready, waits for the signal, says got and ends with 5.
WAITER = """
import os, signal, sys
number = int(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, {number})
os.write(1, b"ready\\n")
signal.sigwait({number})
os.write(1, b"got\\n")
sys.exit(5)
"""

#: Repeats what is typed, then waits for the interrupt key.
LISTENER = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
os.write(1, b"ready\\n")
os.write(1, b"<%s>\\n" % os.read(0, 100).strip())
signal.sigwait({signal.SIGINT})
os.write(1, b"interrupted\\n")
sys.exit(6)
"""

#: Says the size of its terminal, now and whenever it changes, until it is 55 by 66.
MEASURER = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
while True:
    columns, rows = os.get_terminal_size()
    os.write(1, b"%d %d\\n" % (rows, columns))
    if (rows, columns) == (55, 66):
        break
    signal.sigwait({signal.SIGWINCH})
"""


@pytest.mark.parametrize("text", ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "ALRM", "CONT", "RTMIN+3"])
def test_a_signal_goes_on_to_the_process(text: str) -> None:
    number = signals.number(text)
    with subprocess.Popen(
        [*COMMAND, sys.executable, "-c", WAITER, str(number)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(number)
        assert child.communicate(timeout=SECONDS)[0] == b"got\n"
    assert child.returncode == 5


def test_signals_that_stay_here_are_few() -> None:
    kept = set(signal.Signals) - set(foreground.forwarded())
    names = {"KILL", "STOP", "CHLD", "WINCH", "URG", "PIPE", "TTIN", "TTOU", "SEGV", "BUS", "FPE", "ILL"}
    assert {one.name for one in kept} == {"SIG" + name for name in names}


def test_output_of_a_terminal_comes_complete_and_with_plain_newlines() -> None:
    done = attend("-t", "/usr/bin/seq", "1", "20000")
    assert done.returncode == 0
    assert done.stdout == b"".join(b"%d\n" % n for n in range(1, 20001))


def test_output_is_passed_on_although_nobody_types() -> None:
    done = subprocess.run(
        [*COMMAND, "-t", "/bin/echo", "x"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=SECONDS,
    )
    assert done.stdout == b"x\n"


def test_a_closed_stdin_is_no_reason_to_spin_or_fail() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "-t", "/bin/echo", "x"],
        capture_output=True,
        check=True,
        timeout=SECONDS,
    )
    assert done.stdout == b"x\n"


def test_a_reader_that_leaves_does_not_stop_the_process(tmp_path: Path) -> None:
    witness = tmp_path / "done"
    child = subprocess.Popen(
        [*COMMAND, "-t", "/bin/sh", "-c", f"head -c 1000000 /dev/zero; touch {witness}; exit 4"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    child.stdout.close()
    assert child.wait(SECONDS) == 4
    assert witness.exists()


def test_typed_bytes_reach_the_process_and_control_keys_are_its_own() -> None:
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(COMMAND[0], [*COMMAND, "-t", sys.executable, "-c", LISTENER])
    try:
        read_until(fd, b"ready\n")
        before = termios.tcgetattr(fd)
        os.write(fd, b"hello\r")
        read_until(fd, b"<hello>\n")
        assert not before[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
        os.write(fd, b"\x03")
        read_until(fd, b"interrupted\n")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
        assert termios.tcgetattr(fd)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)
    finally:
        os.close(fd)


def test_the_window_size_is_the_callers_also_after_it_changes() -> None:
    wrapper = 'stty rows 33 cols 44; exec "$@"'
    pid, fd = pty.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", wrapper, "sh", *COMMAND, "-t", sys.executable, "-c", MEASURER])
    try:
        read_until(fd, b"33 44\n")
        termios.tcsetwinsize(fd, (55, 66))  # the kernel sends SIGWINCH to the job on it
        read_until(fd, b"55 66\n")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        os.close(fd)


def test_the_terminal_is_restored_when_the_process_is_killed() -> None:
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(COMMAND[0], [*COMMAND, "-t", "/bin/sh", "-c", "echo ready; kill -9 $$"])
    try:
        read_until(fd, b"ready\n")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 137
        assert termios.tcgetattr(fd)[3] & termios.ICANON
    finally:
        os.close(fd)


#: Ends only when its orphaned grandchild has been reaped: until then /proc shows the zombie.
ORPHAN = "orphan=$(sh -c ': & echo $!'); while [ -e /proc/$orphan ]; do :; done; exit 7"


def test_a_subreaper_reaps_the_orphans_that_it_gets() -> None:
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pyrunc.host import foreground\n"
        "foreground.become_subreaper()\n"
        "assert 'ctypes' not in sys.modules\n"
        "pid = os.posix_spawn('/bin/sh', ['sh', '-c', sys.argv[2]], os.environ)\n"
        "assert foreground.wait(pid, os.pidfd_open(pid)) == 7\n"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code, str(ROOT), ORPHAN], check=True, timeout=SECONDS)


def test_a_master_is_sent_with_its_name_in_one_message(tmp_path: Path) -> None:
    master, slave = os.openpty()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        console.send_master(str(tmp_path / "s"), master, "/dev/ptmx")
        peer, _ = listener.accept()
        with peer:
            data, fds, _, _ = socket.recv_fds(peer, 100, 4)
    assert data == b"/dev/ptmx"
    assert len(fds) == 1
    assert os.ttyname(slave) == os.ttyname(slave)
    os.write(slave, b"x")
    assert os.read(fds[0], 10) == b"x"
    for fd in (master, slave, fds[0]):
        os.close(fd)


@pytest.mark.parametrize(("name", "reason"), [("absent", "no such file"), ("x" * 200, "too long")])
def test_a_console_socket_that_cannot_be_reached_is_named(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(HostError, match=f"--console-socket: .*{name}: .*{reason}"):
        console.send_master(str(tmp_path / name), 0, "/dev/ptmx")
