"""The program that has sandboxes ends, is killed, or forks: nothing of them is left, and nobody touches those of others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.root.sandboxes import cgroups, eventually
from tests.support.command import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


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
