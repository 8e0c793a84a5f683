"""Sandboxes of an ordinary user: a user namespace with nobody but the box's user in it, and no cgroup."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.rootless.conftest import User

pytestmark = pytest.mark.needs("userns", "seccomp", "libseccomp", "python-for-all")

CHECKOUT = Path(__file__).parents[2]


def play(user: User, script: str) -> None:
    """Run a program as the user; fail with what it said unless it ends with status 0."""
    done = subprocess.run(
        [*user.prefix, sys.executable, "-X", "dev", "-c", "import os, pyrunc\n" + script],
        env=user.env, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    left = [name for name in os.listdir(user.home / "run" / "pyrunc") if not name.startswith(".")]
    assert left == []


def test_a_box_runs_programs_as_its_user(user: User) -> None:
    script = """
with pyrunc.Sandbox(workspace="/work") as box:
    result = box.run(["sh", "-c", "id -u; cat /proc/self/uid_map; echo x > f; cat; exit 3"], input=b"in", text=True)
    assert result.returncode == 3
    assert result.stdout.split() == ["1000", "1000", str(os.getuid()), "1", "in"], result
    assert box.run(["sh", "-c", "echo x > /dev/stderr; echo y > /dev/stdout"]).stderr == b"x\\n"
"""
    play(user, script)


@pytest.mark.needs("unshare")
@pytest.mark.parametrize("namespaces", [["--user"], ["--user", "--mount"]], ids=["alone", "with mounts"])
def test_root_of_a_namespace_of_one_user_is_that_user(user: User, namespaces: list[str]) -> None:
    script = """
with pyrunc.Sandbox(workspace="/work") as box:
    result = box.run(["sh", "-c", "id -u; cat /proc/self/uid_map; touch f /tmp/g; exit 3"], text=True)
    assert (result.stdout.split(), result.returncode) == (["1000", "1000", "0", "1"], 3), result
with pyrunc.Sandbox(user=0) as box:
    assert box.run(["id", "-u"], text=True).stdout == "0\\n"
try:
    pyrunc.Sandbox(userns=True)
except pyrunc.UsageError as error:
    assert str(error).startswith("userns=True: needs root"), error
"""
    user.prefix += ["unshare", *namespaces, "--map-root-user"]
    play(user, script)


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1), (0, 1, 2)])
def test_a_program_may_have_closed_its_own_streams(user: User, closed: tuple[int, ...]) -> None:
    script = f"""
said = os.dup(2)
for fd in {closed}:
    os.close(fd)
try:
    with pyrunc.Sandbox() as box:
        for given in (None, b"in"):
            result = box.run(["sh", "-c", "cat; echo out; echo err >&2; ls /proc/self/fd >&2"], input=given)
            assert (result.stdout, result.returncode) == ((given or b"") + b"out\\n", 0), result
            assert result.stderr.split() == [b"err", b"0", b"1", b"2", b"3"], result
except BaseException as error:
    os.write(said, repr(error).encode())
    raise
for fd in {closed}:
    os.open("/dev/null", os.O_RDWR)
"""
    play(user, script)


def test_files_go_in_and_out_and_changes_can_be_told(user: User) -> None:
    script = """
with pyrunc.Sandbox(workspace="/work", writable=True) as box:
    box.write("file", "content", mode=0o600)
    assert box.read("/work/file") == b"content"
    box.run(["sh", "-c", "ls -ln file | cut -c1-10; id -u"], check=True)
    assert [(change.kind, change.path) for change in box.diff()] == [("A", "/work/file")]
    before = len(os.listdir("/proc/self/fd"))
    box.diff()
    assert len(os.listdir("/proc/self/fd")) == before
"""
    play(user, script)


def test_a_timeout_ends_the_whole_tree(user: User) -> None:
    script = """
with pyrunc.Sandbox(timeout=3) as box:
    result = box.run(["sh", "-c", "setsid sleep 1000 & sleep 1000"])
    assert (result.timed_out, result.returncode) == (True, -9)
    assert len(box.run(["ls", "-d", "/proc/1", "/proc/2", "/proc/3"], text=True).stdout.split()) == 1
"""
    play(user, script)


def test_the_first_process_cannot_be_traced(user: User) -> None:
    script = """
probe = '''
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for request in (16, 0x4206):
    assert libc.ptrace(request, 1, 0, 0) == -1 and ctypes.get_errno() == 1
for name in ("mem", "environ", "fd/0", "root", "cwd"):
    try:
        open("/proc/1/" + name, "rb").read(1)
    except PermissionError:
        continue
    raise AssertionError(name)
'''
for user in (1000, 0):
    with pyrunc.Sandbox(debug=True, user=user) as box:
        result = box.run(["python3", "-c", probe], text=True)
        assert result.returncode == 0, (user, result.stderr)
"""
    play(user, script)


@pytest.mark.needs("root")
def test_limits_that_need_a_cgroup_are_refused_by_their_names(user: User) -> None:
    """An ordinary user that root has given no cgroup."""
    script = """
for wanted in ({"memory": "64m"}, {"pids": 10}, {"cpus": 1}):
    try:
        pyrunc.Sandbox(**wanted)
    except pyrunc.PyruncError as error:
        assert next(iter(wanted)) in str(error), error
        continue
    raise AssertionError(wanted)
"""
    play(user, script)


def test_many_boxes_at_a_time(user: User) -> None:
    script = """
from concurrent.futures import ThreadPoolExecutor
def one(number):
    with pyrunc.Sandbox() as box:
        return box.run(["echo", str(number)], text=True).stdout
with ThreadPoolExecutor(8) as pool:
    assert list(pool.map(one, range(24))) == [f"{number}\\n" for number in range(24)]
"""
    play(user, script)


def test_a_fork_bomb_ends_at_the_limit_of_its_own_box(user: User) -> None:
    script = """
bomb = '''
import os, time
made = 0
try:
    while made < 2000:
        if os.fork() == 0:
            time.sleep(1000)
        made += 1
except OSError as error:
    print(made, error.errno)
'''
with pyrunc.Sandbox(timeout=60) as box, pyrunc.Sandbox(timeout=60) as other:
    made, number = box.run(["python3", "-c", bomb], text=True).stdout.split()
    assert 400 < int(made) < 512 and number == "11", (made, number)
    assert other.run(["sh", "-c", "true & wait"]).returncode == 0
    box.kill()
    assert box.run(["true"]).returncode == 0
"""
    play(user, script)


def test_what_a_killed_program_leaves_is_removed_by_the_next(user: User) -> None:
    script = """
import subprocess, sys
root = os.environ["XDG_RUNTIME_DIR"] + "/pyrunc"
def boxes():
    return [name for name in os.listdir(root) if not name.startswith(".") or name.startswith(".owner-")]
killed = "import os, pyrunc; box = pyrunc.Sandbox(workspace='/work', writable=True); os.kill(os.getpid(), 9)"
with pyrunc.Sandbox() as box:
    assert subprocess.run([sys.executable, "-c", killed]).returncode == -9
    assert len(boxes()) == 4
    other = "import pyrunc; pyrunc.Sandbox().close()"
    assert subprocess.run([sys.executable, "-c", other]).returncode == 0
    assert len(boxes()) == 2 and box.id in boxes(), boxes()
    assert box.run(["true"]).returncode == 0
assert boxes() == []
"""
    play(user, script)
