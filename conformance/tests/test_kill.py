"""runtime#kill: signals for the container's process."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from conformance import processes
from conformance.marks import decides

if TYPE_CHECKING:
    from conformance.runtime import Runtime
    from conformance.workshop import Maker, Workshop

#: Those that the probe can wait for, and that the C library does not keep for itself.
CAUGHT = sorted(
    set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM} - {32, 33}
)  # fmt: skip


@decides("runtime.kill.no-id")
def test_kill_needs_an_id(runtime: Runtime) -> None:
    runtime.call("kill").refused()


@decides("runtime.kill.unknown-id")
def test_kill_of_what_does_not_exist_fails(workshop: Workshop, runtime: Runtime) -> None:
    runtime.kill(workshop.new_id(), "TERM").refused()


@decides("runtime.kill.created", "runtime.operations.kill")
def test_kill_ends_a_created_container(container: Maker) -> None:
    box = container()
    box.create()
    box.kill("KILL")
    box.until_stopped()


@decides("runtime.kill.running")
def test_kill_reaches_a_running_container(container: Maker) -> None:
    box = container("wait", "3").running()
    box.kill("TERM")
    assert box.until_stopped() in (3, None)
    assert box.output() == "waiting\nsignal 15\n"


@decides("runtime.kill.stopped", "runtime.kill.stopped-untouched")
@pytest.mark.parametrize("name", ["TERM", "KILL"])
def test_kill_of_a_stopped_container_fails_and_changes_nothing(container: Maker, name: str) -> None:
    box = container()
    box.run("exit", "0")
    box.until_stopped()
    box.kill(name, expect="error")
    assert box.status() == "stopped"
    box.delete()


@decides("runtime.kill.signal")
@pytest.mark.parametrize("group", range(4))
def test_the_signal_that_was_asked_for_arrives(container: Maker, group: int) -> None:
    """Each signal that can be caught, by its number, one after the other."""
    box = container().running()
    wanted = []
    for number in CAUGHT[group::4]:
        box.kill(int(number))
        box.until_output(f"signal {int(number)}")
        wanted.append(f"signal {int(number)}")
    assert box.output().splitlines() == ["waiting", *wanted]


@decides("runtime.kill.signal")
@pytest.mark.parametrize("word", ["USR1", "SIGUSR1", "10"])
def test_a_signal_has_a_name_and_a_number(container: Maker, word: str) -> None:
    box = container().running()
    box.kill(word)
    box.until_output(f"signal {int(signal.SIGUSR1)}")


@decides("runtime.kill.container-process")
def test_the_signal_goes_to_the_first_process(container: Maker) -> None:
    box = container("spawn", "+", "wait").running()
    box.kill("USR2")
    box.until_output(f"signal {int(signal.SIGUSR2)}")
    assert processes.alive(box.pid)


@decides("runtime.errors.kill-changes-nothing")
@pytest.mark.parametrize("word", ["NOSUCHSIGNAL", "100", "-1"])
def test_a_signal_that_there_is_not_is_refused(container: Maker, word: str) -> None:
    box = container().running()
    box.kill(word, expect="error")
    assert box.status() == "running"
    box.kill("USR1")
    box.until_output(f"signal {int(signal.SIGUSR1)}")
    assert box.output() == f"waiting\nsignal {int(signal.SIGUSR1)}\n"
