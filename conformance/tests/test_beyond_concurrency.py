"""beyond#concurrency: the same verb from many callers at the same moment."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from conformance import config, processes, residue, state
from conformance.container import until
from conformance.marks import decides
from conformance.runtime import create_arguments
from conformance.support.at_once import CALLERS, at_once, begun, counted, ended
from conformance.support.hooking import Marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.container import Container
    from conformance.runtime import Runtime
    from conformance.workshop import Maker, Workshop


def creates(boxes: Sequence[Container]) -> list[list[str]]:
    """The command lines that create these containers, whose bundles are written."""
    for box in boxes:
        box.bundle.write()
    return [["create", *create_arguments(box.id, box.bundle.path, box.pid_file)] for box in boxes]


def end(box: Container) -> None:
    box.kill("KILL")
    box.until_stopped()
    box.delete()
    box.gone()


@decides("beyond.concurrency.create", "beyond.concurrency.create-losers", "beyond.concurrency.create-winner")
def test_one_of_many_creates_of_one_id_succeeds_and_the_others_leave_nothing(
    workshop: Workshop, runtime: Runtime
) -> None:
    """Each has a bundle and a pid file of its own."""
    id = workshop.new_id()
    boxes = [workshop.container("wait", id=id) for _ in range(CALLERS)]
    calls = begun(runtime, creates(boxes))
    winners, told = counted(ended(runtime, calls))
    for number in winners:
        boxes[number].exists, boxes[number].out = True, calls[number].out
    assert len(winners) == 1, told
    box = boxes[winners[0]]
    box.watch()
    said = box.state()
    assert [said[name] for name in ("status", "pid", "bundle")] == ["created", box.pid, str(box.bundle.path)]
    until(lambda: {box.pid}.issuperset(processes.mentioning(workshop.token)), "what the losers started should end")
    assert [other for other in boxes if other is not box and other.pid_file.exists()] == []
    assert residue.below(workshop.folder) == []
    box.start()
    box.until_output("waiting")
    end(box)
    workshop.nothing_left()


@decides("beyond.concurrency.create-different")
def test_many_containers_are_created_started_and_deleted_at_once(workshop: Workshop, runtime: Runtime) -> None:
    boxes = [workshop.container("write", "/tmp/mark", str(number), "+", "wait") for number in range(CALLERS)]
    calls = begun(runtime, creates(boxes))
    winners, told = counted(ended(runtime, calls))
    for number in winners:
        boxes[number].exists, boxes[number].out = True, calls[number].out
    assert len(winners) == CALLERS, told
    for box in boxes:
        box.watch()
    assert [box.state()["pid"] for box in boxes] == [box.pid for box in boxes]
    assert len({box.pid for box in boxes}) == CALLERS
    for outcome in at_once(runtime, *(["start", box.id] for box in boxes)):
        outcome.succeeded()
    for number, box in enumerate(boxes):
        box.until_output("waiting")
        assert (box.rootfs / "tmp" / "mark").read_text() == str(number)
    for outcome in at_once(runtime, *(["kill", box.id, "KILL"] for box in boxes)):
        outcome.succeeded()
    for box in boxes:
        box.until_stopped()
    for outcome in at_once(runtime, *(["delete", box.id] for box in boxes)):
        outcome.succeeded()
    for box in boxes:
        box.exists = False
    workshop.nothing_left()


@decides("beyond.concurrency.start")
def test_of_many_starts_one_succeeds_and_the_program_runs_once(container: Maker, runtime: Runtime) -> None:
    box = container("write", "/tmp/mark", "once ", "+", "wait")
    box.create()
    winners, told = counted(at_once(runtime, *[["start", box.id]] * CALLERS))
    assert len(winners) == 1, told
    box.until_output("waiting")
    assert (box.rootfs / "tmp" / "mark").read_text() == "once "
    assert box.output() == "waiting\n"
    assert box.status() == "running"


@decides("beyond.concurrency.kill")
def test_each_of_many_signals_arrives_once(container: Maker, runtime: Runtime) -> None:
    """Realtime signals, which are queued: each caller has another one."""
    box = container().running()
    wanted = [signal.SIGRTMIN + number for number in range(CALLERS)]
    for outcome in at_once(runtime, *(["kill", box.id, str(number)] for number in wanted)):
        outcome.succeeded()
    expected = sorted(f"signal {number}" for number in wanted)
    until(lambda: len(box.output().splitlines()) > CALLERS, f"there should be {CALLERS} signals{box.told()}")
    assert sorted(box.output().splitlines()[1:]) == expected
    assert box.status() == "running"


@decides("beyond.concurrency.kill")
def test_many_callers_may_end_one_container(container: Maker, runtime: Runtime) -> None:
    """Who comes late is told that it has ended."""
    box = container().running()
    winners, told = counted(at_once(runtime, *[["kill", box.id, "KILL"]] * CALLERS))
    assert winners, told
    box.until_stopped()


@decides("beyond.concurrency.state")
@pytest.mark.parametrize("running", [False, True], ids=["created", "running"])
def test_many_callers_are_told_the_same_state(container: Maker, runtime: Runtime, running: bool) -> None:
    box = container()
    if running:
        box.running()
    else:
        box.create()
    said = [state.parse(outcome.succeeded()) for outcome in at_once(runtime, *[["state", box.id]] * CALLERS)]
    assert said == [box.state()] * CALLERS


@decides("beyond.concurrency.delete")
@pytest.mark.parametrize("options", [(), ("--force",)], ids=["stopped", "running"])
def test_many_deletes_remove_a_container_once(
    workshop: Workshop, container: Maker, runtime: Runtime, options: tuple[str, ...]
) -> None:
    """Those that come late fail, or have nothing to do; the id is free."""
    box = container("spawn", "+", "wait")
    config.add_mount(box.config, "/mnt", "tmpfs", "tmpfs", "size=64k")
    box.running()
    if not options:
        box.kill("KILL")
        box.until_stopped()
    winners, told = counted(at_once(runtime, *[["delete", *options, box.id]] * CALLERS))
    assert winners, told
    box.exists = False
    box.gone()
    workshop.nothing_left()
    again = container(id=box.id).running()
    end(again)


@decides("beyond.concurrency.while-creating")
@pytest.mark.parametrize("verb", ["state", "start", "delete", "create"])
def test_a_container_that_is_being_created_is_creating_or_nothing(
    workshop: Workshop, container: Maker, runtime: Runtime, verb: str
) -> None:
    """A createRuntime hook holds the create while others call; who waits until it has ended is not looked at."""
    box = container()
    marks = Marks(workshop, box)
    marks.hold("createRuntime")
    creating = runtime.begin(*creates([box])[0])
    marks.reached("createRuntime", creating)
    others = [workshop.container(id=box.id) for _ in range(4)]
    calls = begun(runtime, creates(others) if verb == "create" else [[verb, box.id]] * 4)
    patience = time.monotonic() + 2
    early = [call for call in calls if call.ended(max(0, patience - time.monotonic()))]
    marks.let_go("createRuntime")
    late = [call for call in calls if call not in early]
    outcomes = ended(runtime, early)
    creating.wait(runtime.deadline).succeeded()
    box.exists, box.out = True, creating.out
    box.watch()
    ended(runtime, late)
    for outcome in outcomes:
        if verb != "state" or outcome.status:
            outcome.refused()
        else:
            assert state.parse(outcome)["status"] == "creating", outcome.told()
    if not late:
        assert box.status() == "created"
        box.start()
        box.until_output("waiting")
