"""What runs in a sandbox wants out, wants to stay, wants to block the program, or wants its first process."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyrunc
from pyrunc.host import helper
from pyrunc.sandbox import PIPE
from tests.root.sandboxes import Sandboxes, eventually, members
from tests.root.test_sandbox import children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc import Completed, Sandbox

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


@pytest.fixture
def sandboxes(root: Path) -> Iterator[Sandboxes]:
    made = Sandboxes(root)
    yield made
    made.close()


@pytest.fixture
def box(sandboxes: Sandboxes) -> Sandbox:
    return sandboxes(workspace="/work", pids=100, timeout=60)


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def python(box: Sandbox, script: str, **wishes: float) -> Completed:
    """Run Python in the box, with ctypes at hand, and fail with what it said."""
    head = "import ctypes, os, signal, sys, time\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    result = box.run(["python3", "-c", head + script], text=True, **wishes)  # type: ignore[arg-type]
    assert result.returncode == 0, result.stderr
    return result


def test_no_signal_reaches_the_first_process(box: Sandbox) -> None:
    box.run(sh("for s in $(seq 1 64); do kill -$s 1; done; kill -9 -1"))
    assert box.run(["echo", "alive"]).stdout == b"alive\n"


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("user", [1000, 0])
def test_the_first_process_cannot_be_traced_or_looked_into(sandboxes: Sandboxes, debug: bool, user: int) -> None:
    """With debug=True the filter allows ptrace, and what is left is that the first process is not dumpable."""
    box = sandboxes(debug=debug, user=user)
    script = """
for request in (16, 0x4206):  # PTRACE_ATTACH, PTRACE_SEIZE
    assert libc.ptrace(request, 1, 0, 0) == -1
    assert ctypes.get_errno() == 1, ctypes.get_errno()
refused = 0
for name in ("mem", "environ", "maps", "fd/0", "fdinfo/0", "root", "cwd", "exe", "syscall", "stack"):
    try:
        open("/proc/1/" + name, "rb").read(1)
    except PermissionError:
        refused += 1
print(refused)
pidfd = os.pidfd_open(1)
assert libc.syscall(438, pidfd, 0, 0) == -1  # pidfd_getfd
assert ctypes.get_errno() == 1
"""
    found = int(python(box, script).stdout)
    # As root, the owner of these files, it may open some, but none that gives anything away.
    assert found == 10 if user else found >= 8


def test_nothing_that_later_programs_inherit_is_changed_in_the_first_process(box: Sandbox) -> None:
    """Each of these calls asks for the same user alone; the filter refuses."""
    script = """
import resource
attempts = (
    lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3)),
    lambda: resource.prlimit(1, resource.RLIMIT_NPROC, (0, 0)),
    lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
    lambda: os.sched_setparam(1, os.sched_param(0)),
    lambda: os.sched_setaffinity(1, {0}),
    lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
    lambda: os.setpriority(os.PRIO_PGRP, 1, 19),
    lambda: os.setpriority(os.PRIO_USER, 0, 19),
)
for attempt in attempts:
    try:
        attempt()
    except PermissionError:
        print("refused")
"""
    before = box.run(["cat", "/proc/self/limits"]).stdout
    assert python(box, script).stdout == "refused\n" * 8
    assert box.run(["cat", "/proc/self/limits"]).stdout == before
    assert box.run(["nice"]).stdout == b"0\n"


def test_a_box_that_cannot_fork_any_more_says_so(sandboxes: Sandboxes) -> None:
    box = sandboxes(pids=8)
    processes = [box.popen(["sleep", "1000"]) for _ in range(7)]
    with pytest.raises(pyrunc.HostError, match=r"fork: resource temporarily unavailable \(pids may be too small\)"):
        box.run(["true"])
    processes[0].kill()
    processes[0].wait(timeout=20)
    assert box.run(["true"]).returncode == 0


def test_a_fork_bomb_ends_at_its_timeout(box: Sandbox) -> None:
    result = box.run(sh("b() { b | b & }; b; wait; sleep 1000"), timeout=1)
    assert result.returncode == -9 or not result.timed_out  # dash gives up when it cannot fork
    box.kill()
    assert members(box) == []
    assert box.run(["echo", "alive"]).stdout == b"alive\n"
    script = "while True:\n try:\n  os.fork()\n except OSError: pass"
    result = box.run(["python3", "-c", "import os\n" + script], timeout=1)
    assert (result.timed_out, result.returncode) == (True, -9)
    assert members(box) == []


def test_a_stopped_program_ends_at_its_timeout(box: Sandbox) -> None:
    result = box.run(sh("kill -STOP $$"), timeout=0.3)
    assert (result.timed_out, result.returncode) == (True, -9)


def test_endless_output_is_cut_and_ends_at_the_timeout(box: Sandbox) -> None:
    result = box.run(["yes"], timeout=1, max_output=100_000)
    assert (len(result.stdout), result.truncated, result.timed_out) == (100_000, True, True)
    result = box.run(sh("yes >&2 & yes & sleep 0.5"), max_output=1000)
    assert (len(result.stdout), len(result.stderr), result.truncated, result.returncode) == (1000, 1000, True, 0)
    box.kill()


def test_the_end_is_not_held_up_by_who_goes_on_writing(box: Sandbox) -> None:
    started = time.monotonic()
    assert box.run(sh("yes & exit 4")).returncode == 4
    assert time.monotonic() - started < 20


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


def test_siblings_of_a_program_are_no_children_of_this_one(box: Sandbox) -> None:
    """CLONE_PARENT: the new process has the parent of the one that calls."""
    before = children()
    script = """
for _ in range(5):
    pid = libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    print(pid)
"""
    assert len(python(box, script).stdout.split()) == 5
    assert children() == before
    eventually(lambda: not members(box))


def test_a_fifo_or_a_device_in_the_place_of_a_file_is_refused(box: Sandbox) -> None:
    for script in ("mkfifo out", "ln -s /dev/zero out", "mkfifo real; ln -s real out", "mkdir out"):
        box.run(sh(script), check=True)
        with pytest.raises(pyrunc.OpFailed, match="out"):
            box.read("/work/out")
        with pytest.raises(pyrunc.OpFailed, match="out"):
            box.write("/work/out", b"x")
        box.run(sh("rm -rf out real"), check=True)


def test_a_fifo_with_somebody_at_its_other_end_is_refused_as_well(box: Sandbox) -> None:
    other = box.popen(sh("mkfifo out; echo ready; exec 3<>out; sleep 1000"), stdout=PIPE)
    assert other.stdout is not None
    assert other.stdout.read(10) == b"ready\n"
    eventually(lambda: "out" in box.listdir())
    for action in (lambda: box.read("out"), lambda: box.write("out", b"x")):
        with pytest.raises(pyrunc.OpFailed, match="not a regular file"):
            action()
    other.close()


def test_a_link_leads_to_the_boxs_own_files(box: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's own\n")
    targets = ["/etc/passwd", str(secret), "../../../../../../etc/shadow", f"/proc/1/root{secret}", "/proc/self/exe"]
    for target in targets:
        box.run(["ln", "-sfn", target, "out"], check=True)
        try:
            found = box.read("out")
        except pyrunc.OpFailed as error:
            assert error.errno in (errno.ENOENT, errno.EACCES, errno.ELOOP), error  # noqa: PT017
        else:
            assert target == "/etc/passwd"
            assert b"sandbox:x:1000" in found
        with pytest.raises(pyrunc.OpFailed):
            box.write("out", b"overwritten")
    assert secret.read_text() == "the host's own\n"


def test_nothing_is_written_to_the_kernel_with_the_rights_of_the_program(box: Sandbox) -> None:
    """oom_score_adj is its owner's to open, and looks for the capability of who writes."""
    sleeper = box.popen(sh("echo $$; exec sleep 1000"), stdout=PIPE)
    assert sleeper.stdout is not None
    number = sleeper.stdout.read(100).decode().strip()
    for name in ("oom_score_adj", "comm"):
        path = f"/proc/{number}/{name}"
        before = box.read(path)
        box.run(["ln", "-sfn", path, "out"], check=True)
        for target in ("out", path):
            with pytest.raises(pyrunc.OpFailed, match="an interface of the kernel"):
                box.write(target, b"-500")
        assert box.read(path) == before
    sleeper.kill()
    sleeper.close()


@pytest.mark.parametrize("seal", [0x20, 0])
def test_the_mode_of_the_executor_is_not_its_users_to_take_away(
    sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch, seal: int
) -> None:
    """Through /proc/PID/exe the box's user may have it open, and owns it.  Before 6.3 it cannot be sealed."""
    monkeypatch.setattr(helper, "_SEAL_EXEC", seal)
    monkeypatch.setattr(helper, "_binary", None)
    sandboxes()
    assert helper._binary is not None
    found = os.dup(helper._binary[1])
    try:
        os.fchmod(found, 0)
    except PermissionError:
        assert seal
    os.fchmod(found, stat.S_IMODE(os.fstat(found).st_mode) ^ 0o444)
    assert sandboxes().run(["echo", "fine"]).stdout == b"fine\n"
    assert stat.S_IMODE(os.fstat(helper._binary[1]).st_mode) == 0o555
    assert not os.path.sameopenfile(found, helper._binary[1])
    os.close(found)
    os.close(helper._binary[1])


def test_a_file_that_is_swapped_all_the_time_is_the_boxs_own_or_an_error(box: Sandbox) -> None:
    box.write("real", b"real")
    swapping = box.popen(sh("while :; do ln -sf /etc/shadow out; mkfifo f; mv f out; ln -f real out; done"))
    seen = set()
    for _ in range(200):
        try:
            seen.add(box.read("out"))
        except pyrunc.OpFailed:
            continue
    assert seen <= {b"real"}
    swapping.kill()
    swapping.wait()


def test_no_file_can_be_leased(box: Sandbox) -> None:
    """The host's own open(2) of a file that it shares would wait for the lease to end."""
    script = """
import fcntl
fd = os.open("leased", os.O_RDWR | os.O_CREAT)
for kind in (fcntl.F_RDLCK, fcntl.F_WRLCK):
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, kind)
    except PermissionError:
        print("refused")
"""
    assert python(box, script).stdout == "refused\n" * 2


def test_a_growing_file_ends_at_max_bytes(box: Sandbox) -> None:
    writer = box.popen(sh("yes > grows"))
    eventually(lambda: "grows" in box.listdir())
    eventually(lambda: int(box.run(["stat", "-c", "%s", "grows"]).stdout) > 1_000_000)
    with pytest.raises(pyrunc.HostError, match="grows: has more than 1000000 bytes"):
        box.read("grows", max_bytes=1_000_000)
    writer.kill()
    writer.wait()


def test_a_mode_that_was_asked_for_is_not_given_to_somebody_elses_file(box: Sandbox) -> None:
    """The mode is for a new file: what a program has put there keeps its own."""
    box.run(sh("touch theirs; chmod 600 theirs"), check=True)
    box.write("theirs", b"x", mode=0o777)
    assert box.run(["stat", "-c", "%a", "theirs"]).stdout == b"600\n"


def test_nothing_of_the_hosts_is_seen(sandboxes: Sandboxes, tmp_path: Path) -> None:
    (tmp_path / "beside").write_text("not named")
    (tmp_path / "given").write_text("named")
    tmp_path.chmod(0o755)
    box = sandboxes(files={tmp_path / "given": "/work/given"}, workspace="/work")
    assert box.run(["cat", "given"]).stdout == b"named"
    assert box.listdir("/work") == ["given"]
    found = box.run(["find", "/", "-xdev", "-name", "beside"]).stdout
    assert found == b""
    assert box.run(sh("echo x > given")).returncode != 0
    assert (tmp_path / "given").read_text() == "named"
    assert box.run(sh("cat /etc/shadow")).returncode != 0
    assert box.run(["ls", "/root", "/home", "/var"], text=True).stdout.split() == [
        "/home:", "/root:", "/var:", "run", "tmp",
    ]  # fmt: skip
    assert box.run(sh("grep -c : /proc/net/dev"), text=True).stdout == "1\n"


def test_boxes_do_not_see_one_another(sandboxes: Sandboxes) -> None:
    one, other = (sandboxes(workspace="/work") for _ in range(2))
    one.run(sh("echo mine > /work/x; echo mine > /tmp/x; echo mine > /dev/shm/x"), check=True)
    one.popen(["sleep", "1000"])
    assert other.run(sh("ls /work /tmp /dev/shm"), text=True).stdout.split() == ["/dev/shm:", "/tmp:", "/work:"]
    assert b"sleep" not in other.run(["ps", "ax"]).stdout


def test_no_descriptor_of_this_program_comes_along(box: Sandbox, tmp_path: Path) -> None:
    with open(tmp_path / "open", "wb") as file:
        os.set_inheritable(file.fileno(), True)
        assert box.run(["ls", "/proc/self/fd"], text=True).stdout.split() == ["0", "1", "2", "3"]


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


def test_empty_files_are_limited_like_what_is_in_them(sandboxes: Sandboxes) -> None:
    box = sandboxes(workspace=("/work", "1m"), tmp="1m", writable="1m", user=0, timeout=60)
    script = """
import errno, os
def fill(where):
    number = 0
    try:
        while number < 20000:
            os.close(os.open(f"{where}/{number}", os.O_CREAT | os.O_WRONLY))
            number += 1
    except OSError as error:
        assert error.errno == errno.ENOSPC, (where, error)
    for made in range(number):
        os.unlink(f"{where}/{made}")
    return number
for where in ("/work", "/tmp", "/dev/shm", "/var"):
    print(where, fill(where))
"""
    result = box.run(["python3", "-c", script], text=True)
    assert result.returncode == 0, result.stderr
    found = dict(line.split() for line in result.stdout.splitlines())
    assert all(0 < int(found[where]) <= 1024 for where in ("/work", "/tmp", "/var")), found
    assert 0 < int(found["/dev/shm"]) <= 16384, found


#: Puts as many descriptors on their way as the kernel lets it, and says what it was refused with.
IN_FLIGHT = """
import errno, os, socket, time
pairs = []
null = os.open("/dev/null", os.O_RDONLY)
try:
    while True:
        pairs.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        for _ in range(8):
            socket.send_fds(pairs[-1][0], [b"x"], [null] * 200)
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
time.sleep(1000)
"""


def test_descriptors_that_another_box_keeps_in_flight_do_not_count(sandboxes: Sandboxes) -> None:
    """The kernel counts them for each user of the host."""
    greedy, other = sandboxes(), sandboxes()
    hoarder = greedy.popen(["python3", "-c", IN_FLIGHT], stdout=PIPE)
    assert hoarder.stdout is not None
    assert hoarder.stdout.read(100) == b"ETOOMANYREFS\n"
    assert other.run(["echo", "fine"]).stdout == b"fine\n"
    other.write("/tmp/x", "content")
    assert greedy.run(["echo", "fine"]).stdout == b"fine\n"
    hoarder.kill()
    hoarder.close()


def test_a_program_of_which_nothing_can_be_told_is_ended(sandboxes: Sandboxes) -> None:
    greedy, other = sandboxes(), sandboxes()
    hoarder = greedy.popen(["python3", "-c", IN_FLIGHT], stdout=PIPE)
    assert hoarder.stdout is not None
    assert hoarder.stdout.read(100) == b"ETOOMANYREFS\n"
    # As its user: the limit of another's process needs a capability that root may lack.
    subprocess.run(["prlimit", "--pid", str(other.pid), "--nofile=1024"], user=1000, group=1000, check=True)
    with pytest.raises(pyrunc.HostError, match="descriptors in flight: too many references"):
        other.run(["sleep", "1000"])
    eventually(lambda: not members(other))
    hoarder.kill()
    hoarder.wait()
    hoarder.close()
    eventually(lambda: other.run(["true"]).returncode == 0)
