"""The sandbox as a program uses it: runs, streams, limits, files, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pyrunc
from pyrunc.sandbox import DEVNULL, PIPE, STDOUT
from tests.root.sandboxes import Sandboxes, cgroups, eventually, members
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc import Sandbox

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


@pytest.fixture
def sandboxes(root: Path) -> Iterator[Sandboxes]:
    made = Sandboxes(root)
    yield made
    made.close()


@pytest.fixture
def box(sandboxes: Sandboxes) -> Sandbox:
    return sandboxes(workspace="/work")


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_the_result_says_how_a_program_ended(box: Sandbox) -> None:
    result = box.run(sh("echo out; echo err >&2; exit 3"))
    assert (result.returncode, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert result.args == sh("echo out; echo err >&2; exit 3")
    assert (result.timed_out, result.truncated, result.oom_killed) == (False, False, False)
    assert result.spawn > 0
    assert result.duration == result.spawn + result.run
    assert result.usage.max_rss > 0
    assert box.run(sh("kill -TERM $$")).returncode == -15


def test_check_raises_for_a_failure_and_for_nothing_else(box: Sandbox) -> None:
    assert box.run(["true"], check=True).returncode == 0
    with pytest.raises(pyrunc.ProgramFailed, match="false: exit status 1") as error:
        box.run(["false"], check=True)
    assert error.value.result.returncode == 1


def test_a_program_starts_in_the_workspace_as_the_boxs_user_with_little_environment(box: Sandbox) -> None:
    out = box.run(sh('pwd; id -u; id -g; echo "$HOME $A"; echo "${XDG_RUNTIME_DIR-none}"'), env={"A": "1"}, text=True)
    assert out.stdout.split("\n") == ["/work", "1000", "1000", "/work 1", "none", ""]
    assert box.run(["pwd"], cwd="/tmp").stdout == b"/tmp\n"
    assert box.run(sh("echo ${HOME-gone}"), env={"HOME": None}).stdout == b"gone\n"


def test_input_of_any_size_arrives(box: Sandbox) -> None:
    for size in (0, 5, 65536, 65537, 3_000_000):
        data = os.urandom(size)
        assert box.run(["cat"], input=data).stdout == data
    assert box.run(["cat"], input="é", text=True).stdout == "é"


def test_without_input_there_is_the_boxs_own_null_device(box: Sandbox) -> None:
    assert box.run(["cat"]).stdout == b""
    device, other = (int(box.run(["stat", "-c", "%i", name]).stdout) for name in ("/dev/null", "/dev/zero"))
    assert int(box.run(["stat", "-L", "-c", "%i", "/proc/self/fd/0"]).stdout) == device != other


def test_output_can_be_text_in_any_encoding(box: Sandbox) -> None:
    assert box.run(["printf", r"\351"], encoding="latin-1").stdout == "é"
    assert box.run(["printf", r"a\377b"], text=True).stdout == "a\ufffdb"
    with pytest.raises(UnicodeDecodeError):
        box.run(["printf", r"\377"], text=True, errors="strict")


def test_callbacks_get_the_output_as_it_comes(box: Sandbox) -> None:
    seen: list[bytes] = []
    errors: list[bytes] = []
    result = box.run(
        sh("echo one; echo bad >&2; echo two"),
        on_stdout=seen.append, on_stderr=errors.append,
    )  # fmt: skip
    assert b"".join(seen) == result.stdout == b"one\ntwo\n"
    assert b"".join(errors) == result.stderr == b"bad\n"
    seen.clear()
    result = box.run(["head", "-c", "300000", "/dev/zero"], on_stdout=seen.append, max_output=10)
    assert (result.stdout, result.truncated) == (bytes(10), True)
    assert sum(map(len, seen)) == 300000


def test_a_callback_that_raises_ends_the_run(box: Sandbox) -> None:
    def refuse(_: bytes) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        box.run(["yes"], on_stdout=refuse)
    assert members(box) == []
    assert box.run(["echo", "alive"]).stdout == b"alive\n"


def test_a_timeout_ends_the_whole_tree_and_the_box_lives(box: Sandbox) -> None:
    box.write("kept", b"kept")
    started = time.monotonic()
    result = box.run(sh("echo so far; setsid sh -c 'trap : TERM; sleep 1000' & sleep 1000"), timeout=0.3)
    assert 0.3 <= time.monotonic() - started < 20
    assert (result.timed_out, result.returncode, result.stdout) == (True, -9, b"so far\n")
    assert members(box) == []
    assert box.run(["cat", "kept"]).stdout == b"kept"


def test_the_box_has_a_timeout_for_all_runs_and_a_run_can_have_another(sandboxes: Sandboxes) -> None:
    box = sandboxes(timeout=0.2)
    assert box.run(["sleep", "1000"]).timed_out
    assert not box.run(["sleep", "0.4"], timeout=30).timed_out
    assert not box.run(["sleep", "0.4"], timeout=float("inf")).timed_out
    with pytest.raises(pyrunc.ProgramFailed, match="sleep: timed out"):
        box.run(["sleep", "1000"], check=True)


def test_who_stays_in_the_background_is_not_waited_for_and_goes_on(box: Sandbox) -> None:
    started = time.monotonic()
    result = box.run(sh("(sleep 1; echo late > late) & echo early"))
    assert (result.stdout, result.returncode) == (b"early\n", 0)
    assert time.monotonic() - started < 0.9
    eventually(lambda: "late" in box.listdir())
    assert box.read("late") == b"late\n"


@pytest.mark.needs("cgroup1")
def test_a_program_that_is_out_of_memory_is_told_apart(sandboxes: Sandboxes) -> None:
    box = sandboxes(memory="32m")
    result = box.run(["python3", "-c", "x = bytearray(200 << 20)"])
    assert (result.oom_killed, result.returncode) == (True, -9)
    assert "out of memory" in result.how
    result = box.run(sh("python3 -c 'x = bytearray(200 << 20)'; exit 5"))
    assert (result.oom_killed, result.returncode) == (True, 5)
    assert not box.run(["true"]).oom_killed


def test_a_program_that_does_not_exist_is_an_error_in_the_usual_words(box: Sandbox) -> None:
    with pytest.raises(pyrunc.OpFailed, match="executable file not found"):
        box.run(["no-such-program"])
    with pytest.raises(pyrunc.OpFailed, match="cwd: chdir /nowhere: no such file or directory"):
        box.run(["true"], cwd="/nowhere")
    assert box.run(["true"]).returncode == 0


@pytest.mark.parametrize(
    ("argv", "wishes", "text"),
    [
        ([], {}, "argv="),
        ("true", {}, "argv="),
        (["true", 1], {}, r"argv\[1\]="),
        (["true"], {"timeout": -1}, "timeout=-1"),
        (["true"], {"max_output": "lots"}, "max_output='lots'"),
        (["true"], {"cwd": "relative"}, "cwd="),
        (["true"], {"env": {"A=B": "1"}}, r'env\["A=B"\]'),
        (["true"], {"input": 5}, "input=5"),
    ],
)
def test_a_wrong_argument_is_named(box: Sandbox, argv: Any, wishes: dict[str, Any], text: str) -> None:
    with pytest.raises(pyrunc.UsageError, match=text):
        box.run(argv, **wishes)


def test_what_is_no_argument_at_all_is_a_type_error(box: Sandbox, root: Path) -> None:
    with pytest.raises(TypeError, match=r"run\(\) got an unexpected keyword argument 'timout'"):
        box.run(["true"], timout=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Sandbox\(\) got an unexpected keyword argument 'memroy'"):
        pyrunc.Sandbox(root=root, memroy="1g")


def test_every_wrong_argument_of_a_box_is_named_and_nothing_is_made(sandboxes: Sandboxes) -> None:
    with pytest.raises(pyrunc.UsageError) as error:
        sandboxes(memory="lots", pids=0, workspace="relative")
    assert all(name in str(error.value) for name in ('memory="lots"', "pids=0", "workspace="))
    assert sandboxes.containers() == []


def test_files_go_in_and_out(box: Sandbox) -> None:
    box.write("/work/script", "#!/bin/sh\necho ran\n", mode=0o755)
    assert box.run(["./script"]).stdout == b"ran\n"
    assert box.read("script") == b"#!/bin/sh\necho ran\n"
    assert box.run(["stat", "-c", "%u %a", "script"]).stdout == b"1000 755\n"
    box.write("script", b"shorter")
    assert box.read("/work/script") == b"shorter"
    assert box.listdir("/work") == ["script"]
    assert "passwd" in box.listdir("/etc")


def test_files_have_limits_and_reasons(box: Sandbox) -> None:
    box.run(["truncate", "-s", "100M", "big"])
    with pytest.raises(pyrunc.HostError, match="big: has more than 1000 bytes"):
        box.read("big", max_bytes=1000)
    for path in ("absent", "/etc/absent/below"):
        with pytest.raises(pyrunc.OpFailed, match=r"path: open .*no such file or directory"):
            box.read(path)
    with pytest.raises(pyrunc.OpFailed, match=r"path: open /work: is a directory"):
        box.read("/work")
    with pytest.raises(pyrunc.OpFailed, match=r"read-only file system"):
        box.write("/usr/x", b"")
    with pytest.raises(pyrunc.UsageError, match="mode"):
        box.write("x", b"", mode=0o4755)
    with pytest.raises(pyrunc.UsageError, match="path=''"):
        box.read("")


def test_a_full_workspace_is_an_error_that_names_the_file(sandboxes: Sandboxes) -> None:
    box = sandboxes(workspace=("/work", "64k"))
    with pytest.raises(pyrunc.HostError, match="big: no space left on device"):
        box.write("big", bytes(1 << 20))


def test_popen_is_for_talking(box: Sandbox) -> None:
    with box.popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=STDOUT) as process:
        assert process.poll() is None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hello\n")
        assert process.stdout.read(100) == b"hello\n"
        assert process.pid in members(box)
        process.stdin.close()
        assert process.wait(timeout=20) == 0
    assert (process.pid, process.poll()) == (0, 0)


def test_popen_takes_descriptors_and_signals(box: Sandbox, tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out:
        process = box.popen(sh("echo there; exec sleep 1000"), stdout=out.fileno(), stderr=DEVNULL)
    with pytest.raises(TimeoutError):
        process.wait(timeout=0.01)
    process.terminate()
    assert process.wait(timeout=20) == -15
    assert (tmp_path / "out").read_bytes() == b"there\n"
    process.terminate()  # it has ended: nobody is met
    with pytest.raises(pyrunc.UsageError, match="stdin=-2"):
        box.popen(["true"], stdin=STDOUT)


def test_kill_ends_what_runs_and_keeps_the_box(box: Sandbox) -> None:
    processes = [box.popen(["sleep", "1000"]) for _ in range(3)]
    box.kill()
    assert [process.wait(timeout=20) for process in processes] == [-9] * 3
    box.kill()
    assert box.run(["true"]).returncode == 0


def test_the_box_is_a_container_like_any_other(box: Sandbox, root: Path, pyrunc: Path) -> None:
    lines = run(pyrunc, "--root", root, "list").stdout.splitlines()
    assert lines[1].split()[:3] == [box.id, str(box.pid), "running"]
    assert box.spec["hostname"] == "sandbox"
    assert box.spec is not box.spec
    assert run(pyrunc, "--root", root, "exec", box.id, "hostname").stdout == "sandbox\n"
    assert len(run(pyrunc, "--root", root, "ps", box.id).stdout.splitlines()) == 2


def test_a_box_that_was_deleted_under_the_program_says_so(box: Sandbox, root: Path, pyrunc: Path) -> None:
    id = box.id
    run(pyrunc, "--root", root, "delete", "--force", id)
    with pytest.raises(Exception, match="has ended: its first process was killed"):
        box.run(["true"])
    box.close()
    assert cgroups(id) == []


def test_a_closed_box_is_gone_and_says_so(sandboxes: Sandboxes) -> None:
    box = sandboxes(memory="64m", pids=50)
    id = box.id
    assert cgroups(id)
    process = box.popen(["sleep", "1000"])
    box.close()
    box.close()
    assert box.closed
    assert process.wait(timeout=20) == -9
    assert sandboxes.containers() == []
    assert cgroups(id) == []
    for action in (lambda: box.run(["true"]), lambda: box.read("/etc/passwd"), lambda: box.popen(["true"]), box.kill):
        with pytest.raises(pyrunc.StateError, match="is closed"):
            action()


def test_a_box_that_nobody_closes_is_closed_with_a_warning(root: Path) -> None:
    box = pyrunc.Sandbox(root=root)
    id = box.id
    boxes = [box]
    del box
    with pytest.warns(ResourceWarning, match=f"unclosed <Sandbox {id}>"):
        boxes.clear()
    assert not (root / id).exists()


def test_hundreds_of_runs_leave_nothing(box: Sandbox) -> None:
    """PYRUNC_TEST_RUNS=10000 for the long version."""
    box.run(["true"])
    before = sorted(os.listdir("/proc/self/fd")), threading.active_count(), children()
    for _ in range(int(os.environ.get("PYRUNC_TEST_RUNS", "300"))):
        assert box.run(["true"]).returncode == 0
    assert (sorted(os.listdir("/proc/self/fd")), threading.active_count(), children()) == before
    assert members(box) == []


def children() -> set[int]:
    """The children of this process, zombies too."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        found.update(map(int, (task / "children").read_text().split()))
    return found


def test_failures_leave_nothing(box: Sandbox) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(pyrunc.OpFailed):
            box.run(["no-such"], input=b"x" * 100_000)
        with pytest.raises(pyrunc.UsageError):
            box.run(["true"], input=b"x", timeout=-1)
        with pytest.raises(pyrunc.UsageError):
            box.popen(["true"], stdin=PIPE, stdout=-5)
        with pytest.raises(pyrunc.OpFailed):
            box.read("absent")
        box.run(["sleep", "1000"], timeout=0.01)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_many_threads_share_one_box(box: Sandbox) -> None:
    def one(number: int) -> None:
        result = box.run(sh(f"cat; echo {number}; exit {number % 7}"), input=b"x" * (number * 1000))
        assert result.returncode == number % 7
        assert result.stdout == b"x" * (number * 1000) + f"{number}\n".encode()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(200)))
    assert members(box) == []


def test_many_threads_have_boxes_of_their_own(sandboxes: Sandboxes, root: Path) -> None:
    def one(number: int) -> bytes:
        with pyrunc.Sandbox(root=root, workspace="/work", hostname=f"box{number % 4}") as box:
            box.write("n", str(number))
            return bytes(box.run(sh("cat n; hostname")).stdout)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(40)))
    assert found == [f"{number}box{number % 4}\n".encode() for number in range(40)]
    assert sandboxes.containers() == []


def test_a_box_closed_by_another_thread_ends_the_run(box: Sandbox) -> None:
    closer = threading.Timer(0.2, box.close)
    closer.start()
    assert box.run(["sleep", "1000"]).returncode == -9
    closer.join()


PROGRAM = """
import os, sys, time
import pyrunc
boxes = [pyrunc.Sandbox(root=sys.argv[1], memory="64m", workspace="/work") for _ in range(3)]
for box in boxes:
    box.popen(["sh", "-c", "setsid sleep 1000 & sleep 1000"])
print(*(box.id for box in boxes), *(box.pid for box in boxes), flush=True)
if sys.argv[2] == "wait":
    time.sleep(1000)
elif sys.argv[2] == "fork":
    if os.fork() == 0:
        print(all(box.closed for box in boxes), flush=True)
        del boxes, box
        sys.exit()
    os.wait()
    print(boxes[0].run(["echo", "alive"]).stdout.decode(), end="", flush=True)
"""


def program(root: Path, how: str) -> tuple[subprocess.Popen[str], list[str], list[int]]:
    """A program with three boxes; their ids, and pidfds of all that runs in them."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(root), how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    words = process.stdout.readline().split()
    pidfds = []
    for pid in map(int, words[3:]):
        try:
            pidfds.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    return process, words[:3], pidfds


def gone(pidfd: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_program_that_is_killed_takes_its_boxes_with_it(root: Path, pyrunc: Path) -> None:
    process, ids, pidfds = program(root, "wait")
    spaces = {os.stat(f"/proc/{line.split()[1]}/ns/pid").st_ino for line in listed(root, pyrunc)}
    assert len(pidfds) == len(spaces) == 3
    process.kill()
    process.communicate()
    for pidfd in pidfds:
        eventually(partial(gone, pidfd))
        os.close(pidfd)
    eventually(lambda: not spaces & namespaces())
    assert [line.split()[2] for line in listed(root, pyrunc)] == ["stopped"] * 3
    for id in ids:
        run(pyrunc, "--root", root, "delete", id)
        assert cgroups(id) == []
    assert listed(root, pyrunc) == []


def listed(root: Path, pyrunc: Path) -> list[str]:
    return run(pyrunc, "--root", root, "list").stdout.splitlines()[1:]


def namespaces() -> set[int]:
    """The pid namespaces of all processes."""
    found = set()
    for name in os.listdir("/proc"):
        try:
            if name.isdigit():
                found.add(os.stat(f"/proc/{name}/ns/pid").st_ino)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def test_a_program_that_just_ends_leaves_nothing(root: Path, sandboxes: Sandboxes) -> None:
    process, ids, pidfds = program(root, "end")
    assert process.communicate()[0] == ""
    assert process.returncode == 0
    assert sandboxes.containers() == []
    assert [path for id in ids for path in cgroups(id)] == []
    for pidfd in pidfds:
        os.close(pidfd)


def test_a_forked_child_has_no_boxes_and_ends_none(root: Path, sandboxes: Sandboxes) -> None:
    process, _, pidfds = program(root, "fork")
    assert process.communicate()[0] == "True\nalive\n"
    assert process.returncode == 0
    assert sandboxes.containers() == []
    for pidfd in pidfds:
        os.close(pidfd)


def test_a_program_that_ignores_sigchld_is_told_what_to_do(sandboxes: Sandboxes) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(pyrunc.HostError, match="ignores SIGCHLD"):
            sandboxes()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert sandboxes.containers() == []


def test_hundreds_are_alive_at_once(sandboxes: Sandboxes) -> None:
    """PYRUNC_TEST_BOXES=500 for the long version."""
    before = set(os.listdir("/proc/self/fd"))
    boxes = [sandboxes(network=True) for _ in range(int(os.environ.get("PYRUNC_TEST_BOXES", "40")))]
    assert len(set(os.listdir("/proc/self/fd")) - before) == len(boxes)
    assert all(box.run(["true"]).returncode == 0 for box in boxes)
    sandboxes.close()
    assert sandboxes.containers() == []


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"encoding": "nope"}, "encoding="),
        ({"encoding": 5}, "encoding="),
        ({"errors": "nope"}, "errors="),
        ({"on_stdout": 5}, "on_stdout="),
        ({"input": "\ud800"}, "input="),
        ({"timeout": 1e10}, "timeout="),
    ],
)
def test_a_wrong_argument_of_a_run_is_named_before_anything_runs(
    box: Sandbox, wishes: dict[str, Any], said: str
) -> None:
    with pytest.raises(pyrunc.UsageError) as error:
        box.run(["touch", "/tmp/ran"], **wishes)
    assert str(error.value).startswith(said)
    assert box.run(["ls", "/tmp"]).stdout == b""
