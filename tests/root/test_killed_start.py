"""A `start` that is killed, whenever: the container is created still, or its program runs, exactly once."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until
from tests.root.killed import Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static", "strace")

SCRIPT = "echo begun; exec sleep 100000"
RUNNING = "cannot start an already running container"


def begun(box: Box) -> int:
    return box.output().count("begun")


def proven(box: Box) -> None:
    """The program runs, and was begun once."""
    box.until_output("begun")
    assert box.status() == "running"
    assert RUNNING in box.start(status=1).stderr
    box.exec("ID", "/bin/true")
    assert begun(box) == 1


def test_the_container_is_created_still_or_its_program_runs(new_box: Callable[..., Box], tmp_path: Path) -> None:
    new_box("/bin/true").started()  # what has changed since is compiled now
    box = new_box("/bin/sh", "-c", SCRIPT)
    box.create()
    calls = Killed(box, tmp_path).calls("start", box.id)
    locked, opened = (
        next(i for i, call in enumerate(calls, 1) if name in call) for name in ('/lock"', '/exec.fifo", O')
    )
    names = [call.partition("(")[0] for call in calls]
    seen = set()
    for number in (*range(locked, opened, 12), *range(opened, len(calls))):
        box = new_box("/bin/sh", "-c", SCRIPT)
        box.create()
        name = names[number - 1]
        # Behind the release it may take one call more or less to hear the end.
        was_killed = Killed(box, tmp_path).at(name, names[:number].count(name), "start", box.id)
        before = box.status()
        again = box.start(status=None)
        if number <= opened:
            assert (was_killed, before, again.status) == (True, "created", 0), calls[number - 1]
        else:  # what was released may execute its program between the two commands
            assert RUNNING in again.stderr or (before, again.status) == ("created", 0), calls[number - 1]
        seen.add(before)
        proven(box)
        box.delete("--force")
        box.nothing_left()
    assert seen == {"created", "running"}


#: What the hook reads: the container's program is not executed before somebody has written into it.
GATE = {"startContainer": [{"path": "/bin/cat", "args": ["cat", "/gate"]}]}


@pytest.fixture
def gated(new_box: Callable[..., Box]) -> Iterator[Box]:
    """A container, not created yet, that waits in a hook between its release and its program."""
    box = new_box("/bin/sh", "-c", SCRIPT)
    os.mkfifo(box.bundle.rootfs / "gate")
    box.bundle.edit(hooks=GATE)
    yield box
    box.delete("--force")
    box.nothing_left()


def let_go(box: Box) -> None:
    (box.bundle.rootfs / "gate").write_text("go")


def starting(box: Box) -> subprocess.Popen[bytes]:
    """A `start` that has opened the FIFO."""
    process = subprocess.Popen([str(box.runtime), "--root", str(box.root), "start", box.id],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
    until(lambda: any("exec.fifo" in link for link in links(process.pid)), lambda: "start has opened the FIFO")
    return process


def links(pid: int) -> Iterator[str]:
    """What the process has open."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{name}")


#: Killed as `start` enters the call on the FIFO: before the release, right behind it, and with its first byte read.
PLACES = pytest.mark.parametrize("call", ["openat", "read", "unlink"])


@PLACES
def test_in_between_it_is_created_for_every_verb(gated: Box, tmp_path: Path, call: str) -> None:
    gated.create()
    Killed(gated, tmp_path).at_fifo(call, "start", gated.id)
    assert gated.status() == "created"
    assert '"created"' in gated.command("list", "--format", "json").stdout
    assert gated.exec("ID", "/bin/echo", "beside").stdout == "beside\n"
    gated.kill("0")
    assert begun(gated) == 0
    gated.delete()  # as any that is created
    gated.nothing_left()


@PLACES
def test_a_second_start_ends_with_the_program(gated: Box, tmp_path: Path, call: str) -> None:
    gated.create()
    Killed(gated, tmp_path).at_fifo(call, "start", gated.id)
    with starting(gated) as second, subprocess.Popen(second.args) as third:
        let_go(gated)
        assert (second.wait(60), third.wait(60)) == (0, 1)
    proven(gated)


def test_without_a_second_start_it_runs_once_it_can(gated: Box, tmp_path: Path) -> None:
    gated.create()
    Killed(gated, tmp_path).at_fifo("read", "start", gated.id)
    let_go(gated)
    until(lambda: gated.status() == "running", lambda: "its program runs")
    proven(gated)


def test_a_second_start_may_find_that_the_program_runs_by_then(gated: Box, tmp_path: Path) -> None:
    gated.create()
    killed = Killed(gated, tmp_path)
    killed.at_fifo("read", "start", gated.id)
    with killed.stopped_behind_fifo("/stat", "start", gated.id) as second:  # it has seen a created container
        let_go(gated)
        gated.until_output("begun")
    assert second.returncode == 0
    proven(gated)


@PLACES
def test_a_run_that_is_killed_leaves_what_can_be_started(gated: Box, tmp_path: Path, call: str) -> None:
    Killed(gated, tmp_path).at_fifo(call, "run", "--detach", "--bundle", str(gated.bundle.path), gated.id)
    assert gated.status() == "created"
    with starting(gated) as start:
        let_go(gated)
        assert start.wait(60) == 0
    proven(gated)


@PLACES
def test_a_program_that_cannot_be_executed_is_told_to_the_second_start(gated: Box, tmp_path: Path, call: str) -> None:
    gated.bundle.args("/bin/echo")
    gated.create()
    Killed(gated, tmp_path).at_fifo(call, "start", gated.id)
    (gated.bundle.rootfs / "bin/echo").unlink()
    with starting(gated) as second:
        let_go(gated)
        _, said = second.communicate(timeout=60)
    assert second.returncode == 1
    assert b"exec /bin/echo: no such file or directory" in said
    gated.until_stopped()
