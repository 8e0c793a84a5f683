"""create, start and run: their options, and what callers get back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until, wait_for_exit
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


def test_the_pid_file_holds_digits_and_nothing_else(box: Box, tmp_path: Path) -> None:
    box.create("--pid-file", tmp_path / "pid")
    data = (tmp_path / "pid").read_bytes()
    assert data.isdigit()
    assert int(data) == box.state()["pid"]


def test_a_relative_pid_file_is_the_callers(box: Box, tmp_path: Path) -> None:
    box.create("--pid-file", "a.pid", cwd=tmp_path)
    assert (tmp_path / "a.pid").read_text() == str(box.state()["pid"])


def test_the_bundle_is_the_working_directory_by_default(box: Box) -> None:
    box.leaving("create", "ID", cwd=box.bundle.path)
    assert box.state()["bundle"] == str(box.bundle.path)


def test_a_relative_bundle_is_recorded_as_an_absolute_one(box: Box) -> None:
    box.leaving("create", "--bundle", box.bundle.path.name, "ID", cwd=box.bundle.path.parent)
    assert box.state()["bundle"] == str(box.bundle.path)


def test_a_failed_create_writes_no_pid_file(box: Box, tmp_path: Path) -> None:
    box.bundle.args("/no/such/file")
    box.create_refused("--pid-file", tmp_path / "pid")
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.symlink_to("/dev/null"), lambda path: os.mknod(path, 0o020666, os.makedev(1, 3))],
    ids=["fifo", "link", "device"],
)
def test_a_pid_file_never_takes_the_place_of_something_else(
    box: Box, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "pid")
    before = os.lstat(tmp_path / "pid")
    said = box.create_refused("--pid-file", tmp_path / "pid")
    assert f"--pid-file {tmp_path}/pid: not a regular file" in said
    assert os.lstat(tmp_path / "pid") == before
    assert [path.name for path in tmp_path.glob("pid*")] == ["pid"]


def test_nothing_is_printed_on_the_containers_stdio(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true").started()
    box.until_stopped()
    assert (box.out.read_bytes(), box.err.read_bytes()) == (b"", b"")


def test_create_works_without_an_environment(box: Box) -> None:
    box.create(env={})
    box.start(env={"XDG_RUNTIME_DIR": "/run/user/0"})
    box.until_stopped()
    assert json.loads(box.output())["process"]["pid"] == 1


def test_the_callers_environment_stays_outside(box: Box) -> None:
    box.bundle.args("/bin/probe", "print=env")
    box.create(env={"SECRET": "x", "PATH": "/nowhere", "LD_PRELOAD": "/x.so"})
    box.start(env={"OTHER": "y"})
    box.until_stopped()
    assert not {"SECRET=x", "OTHER=y", "PATH=/nowhere", "LD_PRELOAD=/x.so"} & set(json.loads(box.output())["env"])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_only_standard_and_preserved_descriptors_reach_the_program(box: Box, tmp_path: Path, count: int) -> None:
    files = [os.open(tmp_path / f"file{number}", os.O_CREAT | os.O_RDWR, 0o600) for number in range(6)]
    box.bundle.args("/bin/probe", "print=fds")
    script = 'exec 3<"$1" 4<"$2" 5<"$3" 6<"$4"; shift 4; exec "$@"'
    names = [str(tmp_path / f"file{number}") for number in range(4)]
    command = [str(box.runtime), "--root", str(box.root), "run", "--preserve-fds", str(count)]
    command += ["--bundle", str(box.bundle.path), box.id]
    result = run("sh", "-c", script, "sh", *names, *command)
    seen = json.loads(result.stdout)["fds"]
    assert sorted(map(int, seen)) == list(range(3 + count))
    for number in range(count):
        assert seen[str(3 + number)]["target"] == names[number]
    for fd in files:
        os.close(fd)


def test_sockets_of_the_service_manager_are_passed_on(box: Box, tmp_path: Path) -> None:
    box.bundle.args("/bin/probe", "print=fds", "print=env")
    script = 'exec 3<"$1" 4<"$2" 5<"$3"; shift 3; exec env LISTEN_FDS=1 LISTEN_PID=$$ "$@"'
    names = []
    for number in range(3):
        (tmp_path / f"file{number}").touch()
        names.append(str(tmp_path / f"file{number}"))
    command = [str(box.runtime), "--root", str(box.root), "run", "--preserve-fds", "1"]
    command += ["--bundle", str(box.bundle.path), box.id]
    seen = json.loads(run("sh", "-c", script, "sh", *names, *command).stdout)
    assert sorted(map(int, seen["fds"])) == [0, 1, 2, 3, 4]
    assert {"LISTEN_FDS=1", "LISTEN_PID=1"} <= set(seen["env"])


def test_preserving_more_descriptors_than_there_are_is_refused(box: Box) -> None:
    said = box.create_refused("--preserve-fds", "5")
    assert "preserve" in said


@pytest.mark.parametrize("code", [0, 1, 3, 125, 255])
def test_run_ends_with_the_programs_code(new_box: Callable[..., Box], code: int) -> None:
    box = new_box("/bin/sh", "-c", f"exit {code}")
    box.run(status=code)
    box.nothing_left()


@pytest.mark.needs("setpriv")
def test_run_under_a_signal_for_the_death_of_its_caller(new_box: Callable[..., Box]) -> None:
    # As buildkit calls it.  The program has what runc gives it: nothing that ends it with its parent.
    box = new_box("/bin/sh", "-c", "exit 7")
    words = ("--root", box.root, "run", "--bundle", box.bundle, box.id)
    run("setpriv", "--pdeathsig", "KILL", box.runtime, *words, status=7)
    box.nothing_left()


@pytest.mark.parametrize("signal", [9, 15, 2])
def test_run_ends_with_128_and_the_signal_that_ended_the_program(new_box: Callable[..., Box], signal: int) -> None:
    # In the foreground: a shell lets its background jobs ignore SIGINT, if they come to that before the signal.
    box = new_box("/bin/sh", "-c", f"/bin/sh -c 'kill -{signal} $$'; exit $?")
    box.run(status=128 + signal)
    box = new_box("/bin/sleep", "1000")
    box.bundle.without_namespace("pid").args("/bin/sh", "-c", f"kill -{signal} $$; sleep 1000")
    box.run(status=128 + signal)
    box.nothing_left()


def test_run_passes_its_standard_streams(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sh", "-c", "cat; echo err >&2")
    result = box.run(stdin="typed\n")
    assert (result.stdout, result.stderr) == ("typed\n", "err\n")


def test_run_forwards_signals(new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box("/bin/sh", "-c", "trap 'echo got it; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b"got it\n"
        assert process.wait(timeout=60) == 7
    box.nothing_left()


def test_run_detached_returns_while_the_program_runs(new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box("/bin/sleep", "1000")
    box.leaving("run", "-d", "--pid-file", tmp_path / "pid", "--bundle", box.bundle, "ID")
    assert box.status() == "running"
    assert (tmp_path / "pid").read_text() == str(box.state()["pid"])


def test_run_keep_leaves_a_stopped_container(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true")
    box.run("--keep")
    assert box.status() == "stopped"
    box.delete()
    box.nothing_left()


def test_start_reports_a_program_that_execve_refuses(box: Box) -> None:
    (box.bundle.rootfs / "bad").write_text("neither ELF nor a script\n")
    (box.bundle.rootfs / "bad").chmod(0o755)
    box.bundle.args("/bad")
    box.create()
    pid = box.state()["pid"]
    said = box.start(status=None)
    wait_for_exit(pid)
    assert "exec /bad: exec format error" in (said.stderr + box.err.read_text()).lower()


def test_the_created_process_is_a_child_of_the_callers_subreaper(new_box: Callable[..., Box], tmp_path: Path) -> None:
    # What conmon and the containerd shim do: become a subreaper, create, and wait for the container's init.
    box = new_box("/bin/sh", "-c", "exit 9")
    program = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
runtime, root, bundle, name, pid_file = sys.argv[1:]
subprocess.run([runtime, "--root", root, "create", "--bundle", bundle, "--pid-file", pid_file, name], check=True)
subprocess.run([runtime, "--root", root, "start", name], check=True)
pid = int(open(pid_file).read())
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    arguments = [str(box.runtime), str(box.root), str(box.bundle.path), box.id, str(tmp_path / "pid")]
    assert run(sys.executable, "-c", program, *arguments).stdout == "9\n"


@pytest.mark.needs("strace")
def test_start_of_a_program_that_has_ended_and_was_reaped_already(new_box: Callable[..., Box]) -> None:
    # conmon reaps at once.  The delay is where the runtime asks for the process: after it has let it go.
    box = new_box("/bin/true")
    program = """
import ctypes, signal, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
runtime, root, bundle, name = sys.argv[1:]
subprocess.run([runtime, "--root", root, "create", "--bundle", bundle, name], check=True)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # every child is reaped by the kernel
script = 'strace -qq -o /dev/null -e inject=pidfd_open:delay_enter=300000 "$@"; echo $?'
subprocess.run(["sh", "-c", script, "sh", runtime, "--root", root, "start", name])
"""
    arguments = [str(box.runtime), str(box.root), str(box.bundle.path), box.id]
    assert run(sys.executable, "-c", program, *arguments).stdout == "0\n"


def test_no_process_of_the_runtime_stays(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000").started()
    until(lambda: len(box.processes()) == 1, lambda: f"one process, not {box.processes()}")
    name = os.path.basename(box.runtime)
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            assert not (box.id.encode() in words and name.encode() in words[0]), words


@pytest.mark.parametrize("option", ["--no-pivot", "--no-new-keyring"])
def test_options_of_old_callers_work(box: Box, option: str) -> None:
    seen = json.loads(box.run(option).stdout)
    assert seen["process"]["pid"] == 1
    assert "etc" in seen["root"]


def test_a_session_keyring_of_its_own(box: Box) -> None:
    assert box.id in box.sees()["keyring"]
    assert box.id not in json.loads(box.run("--no-new-keyring").stdout)["keyring"]


def test_a_caller_with_closed_standard_streams(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    command = [str(box.runtime), "--root", str(box.root), "create", "--bundle", str(box.bundle.path), box.id]
    run("sh", "-c", 'exec 0<&- 1>&- 2>&-; exec "$@"', "sh", *command)
    assert box.status() == "created"


def test_a_working_directory_that_was_deleted(new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box("/bin/true")
    (tmp_path / "gone").mkdir()
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    run("sh", "-c", 'cd "$1"; rmdir "$1"; shift; exec "$@"', "sh", tmp_path / "gone", *command)


@pytest.mark.parametrize("name", ["a", "A-b_c.d+e", "0", "x" * 200])
def test_ids_that_are_allowed(box: Box, name: str) -> None:
    box.id = f"{box.id}-{name}"
    try:
        box.run()
        box.nothing_left()
    finally:
        box.delete("--force")
