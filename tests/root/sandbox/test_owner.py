"""The program that has sandboxes ends, is killed, or forks: nothing of them is left, and those of others stay."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyrunc
from pyrunc.runtime import delete
from tests.root.sandboxes import DEADLINE, cgroups, eventually
from tests.support import mount_table
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")

#: Makes three boxes, says their ids and the pids of their first processes, and then does what it is told to.
PROGRAM = """
import os, sys
import pyrunc
boxes = [pyrunc.Sandbox(root=sys.argv[1], memory="64m", workspace="/work") for _ in range(3)]
for box in boxes:
    box.popen(["sh", "-c", "setsid sleep 1000 & sleep 1000"])
print(*(box.id for box in boxes), *(box.pid for box in boxes), flush=True)
for line in sys.stdin:
    exec(line)
    print(flush=True)
"""


class Program:
    """A program with three boxes; ``ids``, and ``pidfds`` of their first processes."""

    def __init__(self, root: Path, *prefix: str) -> None:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", PROGRAM, str(root)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        self.ids = words[:3]
        self.pidfds = [os.pidfd_open(int(word)) for word in words[3:]] if not prefix else []

    def does(self, line: str) -> str:
        """What it prints."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        said = ""
        while (text := self.process.stdout.readline()) != "\n":
            assert text, "it has ended"
            said += text
        return said

    def kill(self) -> None:
        """And wait for the end of its boxes."""
        self.process.kill()
        self.process.communicate()
        for pidfd in self.pidfds:
            wait(pidfd)
        self.close()

    def close(self) -> None:
        while self.pidfds:
            os.close(self.pidfds.pop())
        if self.process.returncode is None:
            self.process.communicate()


def wait(pidfd: int) -> None:
    assert select.select([pidfd], [], [], DEADLINE)[0], "it does not end"


@pytest.fixture
def killed(root: Path) -> Iterator[Program]:
    """A program that had three boxes."""
    made = Program(root)
    made.kill()
    yield made
    for id in made.ids:
        delete.delete(str(root), id, force=True, warn=pytest.fail)


@pytest.fixture
def living(root: Path) -> Iterator[Program]:
    made = Program(root)
    yield made
    made.close()


def mounts(root: Path) -> list[str]:
    """Where something is mounted below the runtime root."""
    points = [line.split(" ")[4] for line in mount_table.lines()]
    return [point for point in points if point.startswith(f"{root}/")]


def owners(root: Path) -> list[str]:
    return [name for name in os.listdir(root) if name.startswith(".owner-")]


def test_a_program_that_is_killed_takes_its_boxes_with_it(root: Path, pyrunc: Path) -> None:
    program = Program(root)
    spaces = {os.stat(f"/proc/{line.split()[1]}/ns/pid").st_ino for line in listed(root, pyrunc)}
    assert len(spaces) == 3
    inside = [os.pidfd_open(pid) for pid in processes(spaces)]
    assert len(inside) > 3
    program.kill()
    for pidfd in inside:  # not the namespaces' numbers, which are given out again
        wait(pidfd)
        os.close(pidfd)
    assert [line.split()[2] for line in listed(root, pyrunc)] == ["stopped"] * 3
    for id in program.ids:
        run(pyrunc, "--root", root, "delete", id)
        assert cgroups(id) == []
    assert listed(root, pyrunc) == []


def test_what_a_killed_program_leaves_is_removed_by_the_next(killed: Program, sandboxes: Sandboxes, root: Path) -> None:
    assert sandboxes.containers() == sorted(killed.ids)
    assert all(cgroups(id) for id in killed.ids)
    assert len(mounts(root)) == 3
    box = sandboxes(workspace="/work")
    assert sandboxes.containers() == [box.id]
    assert [path for id in killed.ids for path in cgroups(id)] == []
    assert mounts(root) == [f"{root}/{box.id}/layers/0"]
    assert len(owners(root)) == 1
    box.close()
    assert owners(root) == []


def test_the_command_line_removes_it_as_well(killed: Program, sandboxes: Sandboxes, root: Path, pyrunc: Path) -> None:
    run(pyrunc, "--root", root, "sandbox", "true")
    assert sandboxes.containers() == owners(root) == mounts(root) == []
    assert [path for id in killed.ids for path in cgroups(id)] == []


def test_the_boxes_of_a_living_program_stay(living: Program, sandboxes: Sandboxes) -> None:
    sandboxes().close()
    assert sandboxes.containers() == sorted(living.ids)
    os.kill(living.process.pid, signal.SIGSTOP)
    sandboxes.forget()
    sandboxes().close()
    os.kill(living.process.pid, signal.SIGCONT)
    assert living.does("print([box.run(['echo', 'alive']).returncode for box in boxes])") == "[0, 0, 0]\n"


def test_a_box_of_a_living_program_stays_when_its_first_process_has_gone(living: Program, sandboxes: Sandboxes) -> None:
    """Its files can be looked at still."""
    living.does("boxes[0].write('kept', 'kept')")
    signal.pidfd_send_signal(living.pidfds[0], signal.SIGKILL)
    wait(living.pidfds[0])
    sandboxes().close()
    assert living.does("print([change.path for change in boxes[0].diff()])") == "['/work/kept']\n"


@pytest.mark.needs("unshare")
def test_the_boxes_of_a_program_in_another_pid_namespace_stay(root: Path, sandboxes: Sandboxes) -> None:
    other = Program(root, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    sandboxes().close()
    assert sandboxes.containers() == sorted(other.ids)
    assert other.does("print(boxes[0].run(['echo', 'alive']).stdout)") == "b'alive\\n'\n"
    other.process.kill()
    other.process.communicate()
    sandboxes.forget()
    eventually(lambda: not owners(root) or _swept(sandboxes))
    assert sandboxes.containers() == []


def _swept(sandboxes: Sandboxes) -> bool:
    """Once the other program has ended, which nobody here can wait for."""
    sandboxes.forget()
    sandboxes().close()
    return sandboxes.containers() == []


def test_a_forked_child_that_lives_on_keeps_no_box(living: Program, sandboxes: Sandboxes, root: Path) -> None:
    fork = "pid = os.fork(); pid or (os.close(0), os.close(1), {}); print(pid)"
    child = int(living.does(fork.format("os.execlp('sleep', 'sleep', '1000')")))
    idle = int(living.does(fork.format("__import__('time').sleep(1000)")))
    try:
        living.kill()
        box = sandboxes()
        assert sandboxes.containers() == [box.id]
        assert len(owners(root)) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.kill(idle, signal.SIGKILL)


def test_many_programs_that_come_at_once_do_not_meet(killed: Program, sandboxes: Sandboxes, root: Path) -> None:
    script = "import sys, pyrunc\nwith pyrunc.Sandbox(root=sys.argv[1]) as box: print(box.run(['echo', 'fine']).stdout)"
    argv = [sys.executable, "-c", script, str(root)]
    programs = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    assert [process.communicate() for process in programs] == [("b'fine\\n'\n", "")] * 6
    assert sandboxes.containers() == owners(root) == mounts(root) == []
    assert [path for id in killed.ids for path in cgroups(id)] == []


def test_a_creation_that_was_killed_before_it_had_anything_is_removed(
    killed: Program, sandboxes: Sandboxes, root: Path
) -> None:
    (root / (killed.ids[0].rpartition("-")[0] + "-99")).mkdir()
    box = sandboxes()
    assert sandboxes.containers() == [box.id]


def test_who_has_no_owner_is_nobody_elses_to_remove(killed: Program, sandboxes: Sandboxes, root: Path) -> None:
    for name in owners(root):
        (root / name).unlink()
    (root / "sandbox-mine").mkdir()
    sandboxes().close()
    assert sandboxes.containers() == sorted([*killed.ids, "sandbox-mine"])


def test_one_at_which_another_command_is_at_work_is_told_of_and_left_to_the_next(
    killed: Program, sandboxes: Sandboxes, root: Path
) -> None:
    told: list[str] = []
    with open(root / killed.ids[1] / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sandboxes(warn=told.append).close()
        assert sandboxes.containers() == [killed.ids[1]]
    assert len(told) == 1
    assert killed.ids[1] in told[0]
    assert "another command is at work on it" in told[0]
    sandboxes.forget()
    sandboxes(warn=told.append).close()
    assert sandboxes.containers() == owners(root) == []
    assert len(told) == 1


def test_a_box_that_could_not_be_made_leaves_no_owner(sandboxes: Sandboxes, root: Path, tmp_path: Path) -> None:
    sandboxes().close()
    for wanted in ({"memory": "lots"}, {"rlimits": {"nofile": 1 << 40}}, {"rootfs": tmp_path / "absent"}):
        with pytest.raises(pyrunc.PyruncError):
            sandboxes(**wanted)
        assert sandboxes.containers() == owners(root) == []


def test_a_program_that_just_ends_leaves_nothing(root: Path, sandboxes: Sandboxes) -> None:
    program = Program(root)
    assert program.process.communicate()[0] == ""
    assert program.process.returncode == 0
    assert sandboxes.containers() == owners(root) == []
    assert [path for id in program.ids for path in cgroups(id)] == []
    program.close()


def test_a_forked_child_has_no_boxes_and_ends_none(living: Program, sandboxes: Sandboxes, root: Path) -> None:
    line = "pid = os.fork(); pid or (print(all(box.closed for box in boxes), flush=True), boxes.clear(), sys.exit())"
    assert living.does(line + "; os.wait()") == "True\n"
    assert living.does("print(boxes[0].run(['echo', 'alive']).stdout)") == "b'alive\\n'\n"
    assert len(owners(root)) == 1
    own = "(pyrunc.Sandbox(root=sys.argv[1]).close(), print(len(os.listdir(sys.argv[1])), flush=True), os._exit(0))"
    before = len(os.listdir(root))
    assert living.does(f"pid = os.fork(); pid or {own}; os.wait()") == f"{before}\n"
    living.close()
    assert sandboxes.containers() == owners(root) == []


def listed(root: Path, pyrunc: Path) -> list[str]:
    return run(pyrunc, "--root", root, "list").stdout.splitlines()[1:]


def processes(spaces: set[int]) -> list[int]:
    """Those in these pid namespaces, which have to exist meanwhile."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}/ns/pid").st_ino in spaces:
                found.append(int(name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found
