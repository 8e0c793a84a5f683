"""kill: every way to name a signal, and all processes of a container."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until, wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")

TRAPPING = (
    "trap 'echo got usr1' USR1; trap 'echo got hup' HUP; trap 'echo got term; exit 0' TERM; echo ready;"
    "while :; do sleep 0.05; done"
)


@pytest.fixture
def trapping(new_box: Callable[..., Box]) -> Box:
    """A running container that prints the signals it gets."""
    box = new_box("/bin/sh", "-c", TRAPPING).started()
    box.until_output("ready")
    return box


@pytest.mark.parametrize("name", ["USR1", "SIGUSR1", "usr1", "sigusr1", "SigUsr1", str(int(signal.SIGUSR1))])
def test_a_signal_by_any_form_of_its_name(trapping: Box, name: str) -> None:
    result = trapping.kill(name)
    assert (result.stdout, result.stderr) == ("", "")
    trapping.until_output("got usr1")


def test_the_default_signal_is_term(trapping: Box) -> None:
    trapping.kill()
    trapping.until_stopped()
    assert "got term" in trapping.output()


def test_signal_0_only_probes(trapping: Box) -> None:
    trapping.kill("0")
    assert trapping.status() == "running"
    assert trapping.output() == "ready\n"


@pytest.mark.parametrize("name", ["SIGRTMIN", "RTMIN+1", "SIGRTMAX-1", "SIGRTMAX", "34", "64"])
def test_real_time_signals_end_the_program(new_box: Callable[..., Box], name: str) -> None:
    box = new_box("/bin/sleep", "1000")
    box.bundle.without_namespace("pid")  # the first process of a pid namespace ignores what it has no handler for
    box.started()
    box.kill(name)
    box.until_stopped()


@pytest.mark.parametrize("name", ["NOPE", "SIGNOPE", "", "65x", "1.5", "SIG", "SIGSIGTERM"])
def test_an_unknown_signal(sleeper: Box, name: str) -> None:
    assert f'unknown signal "{name}"' in sleeper.kill(name, status=1).stderr
    assert sleeper.status() == "running"


@pytest.mark.parametrize("number", ["99", "-1", "100000000000"])
def test_a_number_that_is_no_signal(sleeper: Box, number: str) -> None:
    assert sleeper.kill("--", number, status=None).status != 0
    assert sleeper.status() == "running"


def test_a_signal_to_a_created_container_reaches_its_first_process(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.create()
    pid = box.state()["pid"]
    box.kill("KILL")
    wait_for_exit(pid)


@pytest.mark.parametrize("option", ["--all", "-a"])
def test_all_reaches_every_process(new_box: Callable[..., Box], option: str) -> None:
    box = new_box("/bin/sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait")
    box.bundle.without_namespace("pid")
    box.started()
    box.until_output("ready")
    until(lambda: len(box.processes()) == 3, lambda: f"three processes, not {box.processes()}")
    pids = box.processes()
    box.command("kill", option, "ID", "KILL")
    for pid in pids:
        wait_for_exit(pid)
    until(lambda: box.processes() == [], lambda: "no process is left")


def test_all_in_a_container_without_pid_namespace_that_has_stopped(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sh", "-c", "sleep 1000 & echo ready; exit 0")
    box.bundle.without_namespace("pid")
    box.started()
    box.until_stopped()
    left = box.processes()
    assert len(left) == 1
    box.command("kill", "--all", "ID", "KILL")
    wait_for_exit(left[0])


def test_delete_ends_what_a_container_without_pid_namespace_left(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sh", "-c", "sleep 1000 & echo ready; exit 0")
    box.bundle.without_namespace("pid")
    box.started()
    box.until_stopped()
    left = box.processes()
    box.delete()
    for pid in left:
        wait_for_exit(pid)
    box.nothing_left()


def test_kill_ends_the_container_and_all_in_its_pid_namespace(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sh", "-c", "sleep 1000 & echo ready; wait").started()
    box.until_output("ready")
    pids = box.processes()
    box.kill("KILL")
    for pid in pids:
        wait_for_exit(pid)
    assert not any(os.path.exists(f"/proc/{pid}/root/bin") for pid in pids)
