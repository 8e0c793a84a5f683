"""The states of a container and the verbs that each allows: the words are runc's."""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until, wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


def test_the_state_names_what_was_created(box: Box) -> None:
    box.bundle.edit(annotations={"org.example.a": "1", "org.example.b": ""})
    before = dt.datetime.now(dt.UTC)
    box.create()
    state = box.state()
    assert state["id"] == box.id
    assert state["status"] == "created"
    assert state["bundle"] == str(box.bundle.path)
    assert state["rootfs"] == str(box.bundle.rootfs)
    assert state["annotations"] == {"org.example.a": "1", "org.example.b": ""}
    assert state["ociVersion"].startswith("1.")
    created = dt.datetime.fromisoformat(state["created"][:26] + "+00:00")
    assert before - dt.timedelta(seconds=1) < created < dt.datetime.now(dt.UTC)
    assert os.path.isdir(f"/proc/{state['pid']}")
    assert os.readlink(f"/proc/{state['pid']}/ns/pid") != os.readlink("/proc/self/ns/pid")


def test_the_state_is_printed_as_json_of_several_lines(box: Box) -> None:
    box.create()
    printed = box.command("state", "ID").stdout
    assert printed.startswith('{\n  "ociVersion": ')
    assert list(json.loads(printed))[:5] == ["ociVersion", "id", "pid", "status", "bundle"]


def test_a_container_is_created_then_running_then_stopped(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.create()
    assert box.status() == "created"
    pid = box.state()["pid"]
    box.start()
    assert (box.status(), box.state()["pid"]) == ("running", pid)
    box.kill("KILL")
    box.until_stopped()
    assert box.status() == "stopped"
    box.delete()
    box.nothing_left()


def test_the_program_does_not_run_before_start(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/echo", "it runs")
    box.create()
    assert box.output() == ""
    pid = box.state()["pid"]
    box.start()
    wait_for_exit(pid)
    assert box.output() == "it runs\n"


def test_a_stopped_container_has_no_pid(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true").started()
    box.until_stopped()
    assert box.state().get("pid", 0) == 0


@pytest.mark.parametrize("verb", ["state", "start", "kill", "delete", "ps", "exec"])
def test_a_container_that_does_not_exist(box: Box, verb: str) -> None:
    command = ["/bin/true"] if verb == "exec" else []
    result = box.command(verb, "ID", *command, status=255 if verb == "exec" else 1)
    assert "container does not exist" in result.stderr
    assert result.stdout == ""
    assert not box.exists()


def test_an_id_that_is_in_use(sleeper: Box) -> None:
    before = sleeper.state()
    result = sleeper.create(status=1)
    assert "container with given ID already exists" in result.stderr
    assert sleeper.state() == before


def test_start_of_a_running_container(sleeper: Box) -> None:
    assert "cannot start an already running container" in sleeper.start(status=1).stderr
    assert sleeper.status() == "running"


def test_start_of_a_stopped_container(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true").started()
    box.until_stopped()
    assert "cannot start a container that has stopped" in box.start(status=1).stderr
    assert box.status() == "stopped"


def test_delete_of_a_running_container(sleeper: Box) -> None:
    said = sleeper.delete(status=1).stderr
    assert f"cannot delete container {sleeper.id} that is not stopped: running" in said
    assert sleeper.status() == "running"


def test_delete_of_a_created_container_ends_it(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.create()
    pid = box.state()["pid"]
    box.delete()
    wait_for_exit(pid)
    box.nothing_left()


def test_kill_of_a_stopped_container(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true").started()
    box.until_stopped()
    assert "container not running" in box.kill("TERM", status=1).stderr


def test_exec_in_a_stopped_container(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true").started()
    box.until_stopped()
    assert "cannot exec in a stopped container" in box.exec("ID", "/bin/true", status=255).stderr


def test_a_killed_created_container_is_stopped(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.create()
    box.kill("KILL")
    box.until_stopped()
    box.delete()
    box.nothing_left()


def test_a_pid_that_was_reused_is_not_the_container(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true").started()
    box.until_stopped()
    path = box.root / box.id / "state.json"
    text = path.read_text()
    state = json.loads(text)
    recycled = os.getpid()

    def replaced(node: object) -> object:
        if isinstance(node, dict):
            return {key: recycled if "pid" in key and isinstance(value, int) else replaced(value)
                    for key, value in node.items()}  # fmt: skip
        return node

    path.write_text(json.dumps(replaced(state)))
    assert box.status() == "stopped"
    box.kill("KILL", status=1)
    box.delete()
    box.nothing_left()


@pytest.mark.parametrize("name", ["", "state.json.broken"])
def test_a_state_that_cannot_be_read_is_deleted_by_force(box: Box, name: str) -> None:
    # What a runtime leaves that was killed between making the directory and writing the state.
    folder = box.root / box.id
    folder.mkdir(parents=True)
    if name:
        (folder / "state.json").write_text('{"ociVersion": "1.')
    box.delete("--force")
    assert not folder.exists()


def test_delete_force_of_what_is_not_there(box: Box) -> None:
    assert box.delete("--force").stderr == ""
    assert box.delete("-f").stdout == ""


def test_delete_force_of_a_running_container(sleeper: Box) -> None:
    pid = sleeper.state()["pid"]
    sleeper.delete("--force")
    wait_for_exit(pid)
    sleeper.nothing_left()


@pytest.mark.needs("cgroup1")
def test_delete_removes_cgroups_below_those_of_the_container(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/true").started()
    box.until_stopped()
    for folder in box.cgroups():
        (folder / "below" / "deeper").mkdir(parents=True)
    box.delete("--force")
    box.nothing_left()


def test_delete_force_ends_processes_that_exec_left(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000").started()
    box.leaving("exec", "--detach", "ID", "/bin/sleep", "1000")
    assert len(box.processes()) == 2
    pids = box.processes()
    box.delete("--force")
    for pid in pids:
        wait_for_exit(pid)
    box.nothing_left()


def test_two_roots_have_containers_of_their_own(sleeper: Box, tmp_path: Path) -> None:
    other = sleeper.command("list", "-q").stdout
    assert other == f"{sleeper.id}\n"
    sleeper.root = tmp_path / "another"
    sleeper.root.mkdir()
    assert sleeper.command("list", "-q").stdout == ""
    sleeper.root = tmp_path / "state"


def test_a_container_whose_end_nobody_waits_for_stops(sleeper: Box) -> None:
    pid = sleeper.state()["pid"]
    os.kill(pid, 9)
    until(lambda: sleeper.status() == "stopped", lambda: "stopped")
    sleeper.delete()
    sleeper.nothing_left()
