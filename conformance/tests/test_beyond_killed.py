"""beyond#killed: SIGKILL to the runtime, in the middle of a verb or of a hook, and what a caller does then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import config, processes, state
from conformance.container import until
from conformance.marks import decides
from conformance.runtime import create_arguments
from conformance.support.hooking import OF_CREATE, OF_START, Marks
from conformance.verdict import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.call import Call
    from conformance.container import Container
    from conformance.shared import Shared
    from conformance.workshop import Maker, Workshop

#: How often each verb is killed, from its beginning to when it should have ended.
MOMENTS = 6


def seconds(workshop: Workshop) -> dict[str, float]:
    """How long each verb takes when nobody kills it."""
    box = workshop.container("spawn", "+", "wait")
    taken = {"create": box.create().seconds, "start": box.start().seconds}
    box.until_output("waiting")
    taken["state"] = workshop.runtime.state(box.id).succeeded().seconds
    taken["kill"] = box.kill("KILL").seconds
    box.until_stopped()
    taken["delete"] = box.delete().seconds
    return taken


def moments(whole: float) -> Iterator[float]:
    return (whole * (number + 0.5) / MOMENTS for number in range(MOMENTS))


def begin_create(box: Container) -> Call:
    box.bundle.write()
    return box.runtime.begin("create", *create_arguments(box.id, box.bundle.path, box.pid_file))


def told(box: Container) -> str:
    """The status after all that has happened, "" where the runtime knows of no such container."""
    outcome = box.runtime.state(box.id)
    if outcome.status:
        return ""
    said = state.parse(outcome)
    assert said["id"] == box.id
    assert said["status"] in state.STATUSES
    return str(said["status"])


def clear_away(workshop: Workshop, box: Container) -> None:
    """What a caller does who does not know how far the runtime came; whether there is something to do is open."""
    told(box)
    box.kill("KILL", expect="any")
    box.delete(expect="any", force=True)
    box.exists = False
    box.gone()
    workshop.nothing_left()


def use_again(workshop: Workshop, box: Container) -> None:
    fresh = workshop.container(id=box.id).running()
    fresh.kill("KILL")
    fresh.until_stopped()
    fresh.delete()
    workshop.nothing_left()


@decides("beyond.killed.create", "beyond.killed.create-again")
@pytest.mark.deadline(180)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with all that it started"])
def test_a_create_that_was_killed_can_be_cleared_away(workshop: Workshop, shared: Shared, alone: bool) -> None:
    for moment in moments(shared(seconds)["create"]):
        box = workshop.container()
        config.add_mount(box.config, "/mnt", "tmpfs", "tmpfs", "size=64k")
        creating = begin_create(box)
        creating.ended(moment)
        if alone:
            creating.kill_alone()
        else:
            creating.kill()
        clear_away(workshop, box)
        use_again(workshop, box)


@decides("beyond.killed.create-hook")
@pytest.mark.parametrize("kind", OF_CREATE)
def test_a_create_that_was_killed_in_a_hook_can_be_cleared_away(workshop: Workshop, kind: str) -> None:
    box = workshop.container()
    marks = Marks(workshop, box)
    marks.hold(kind)
    creating = begin_create(box)
    marks.reached(kind, creating)
    creating.kill_alone()
    told(box)
    marks.let_go(kind)
    clear_away(workshop, box)
    use_again(workshop, box)


@decides("beyond.killed.start")
@pytest.mark.deadline(180)
def test_a_start_that_was_killed_runs_the_program_once_or_not(workshop: Workshop, shared: Shared) -> None:
    """What is created may begin to run meanwhile; then a second start comes too late."""
    for moment in moments(shared(seconds)["start"]):
        box = workshop.container("write", "/tmp/mark", "once ", "+", "wait")
        box.create()
        starting = workshop.runtime.begin("start", box.id)
        starting.ended(moment)
        starting.kill_alone()
        status = told(box)
        assert status in ("created", "running")
        if status == "created":
            box.start(expect="any")
        box.until_output("waiting")
        assert box.status() == "running"
        assert (box.rootfs / "tmp" / "mark").read_text() == "once "
        box.kill("KILL")
        box.until_stopped()
        box.delete()
        workshop.nothing_left()


@decides("beyond.killed.start-hook")
@pytest.mark.parametrize("kind", OF_START)
def test_a_start_that_was_killed_in_a_hook_can_be_cleared_away(workshop: Workshop, kind: str) -> None:
    box = workshop.container()
    marks = Marks(workshop, box)
    marks.hold(kind)
    creating = begin_create(box)
    until(lambda: creating.ended(0) or kind in marks.labels(), "create should end")
    if kind in marks.labels():
        marks.let_go(kind)
        raise Failed(f"the {kind} hook runs within create: {creating.wait(workshop.runtime.deadline).told()}")
    creating.wait(workshop.runtime.deadline).succeeded()
    starting = workshop.runtime.begin("start", box.id)
    marks.reached(kind, starting)
    starting.kill_alone()
    assert told(box) in ("created", "running")
    marks.let_go(kind)
    clear_away(workshop, box)
    use_again(workshop, box)


@decides("beyond.killed.delete")
@pytest.mark.deadline(180)
def test_a_delete_that_was_killed_can_be_repeated(workshop: Workshop, shared: Shared) -> None:
    for moment in moments(shared(seconds)["delete"]):
        box = workshop.container("spawn", "+", "wait").running()
        box.kill("KILL")
        box.until_stopped()
        deleting = workshop.runtime.begin("delete", box.id)
        deleting.ended(moment)
        deleting.kill_alone()
        assert told(box) in ("stopped", "")
        clear_away(workshop, box)
        use_again(workshop, box)


@decides("beyond.killed.delete-hook")
def test_a_delete_that_was_killed_in_a_hook_can_be_repeated(workshop: Workshop) -> None:
    box = workshop.container("exit", "0")
    marks = Marks(workshop, box)
    marks.hold("poststop")
    box.run()
    box.until_stopped()
    deleting = workshop.runtime.begin("delete", box.id)
    marks.reached("poststop", deleting)
    deleting.kill_alone()
    assert told(box) in ("stopped", "")
    marks.let_go("poststop")
    clear_away(workshop, box)
    use_again(workshop, box)


@decides("beyond.killed.others")
@pytest.mark.deadline(180)
@pytest.mark.parametrize(("verb", "words"), [("kill", ["USR1"]), ("state", [])], ids=["kill", "state"])
def test_a_verb_that_was_killed_leaves_a_container_as_any_other(
    workshop: Workshop, shared: Shared, verb: str, words: list[str]
) -> None:
    box = workshop.container("wait", "3").running()
    for moment in moments(shared(seconds)[verb]):
        calling = workshop.runtime.begin(verb, box.id, *words)
        calling.ended(moment)
        calling.kill_alone()
        assert told(box) == "running"
    box.kill("TERM")
    box.until_stopped()
    first, *between, last = box.output().splitlines()
    assert (first, last) == ("waiting", "signal 15")
    assert set(between) <= ({"signal 10"} if verb == "kill" else set())


@decides("beyond.killed.resident")
def test_what_stays_beside_a_container_may_be_killed(workshop: Workshop, container: Maker) -> None:
    box = container("wait", "3")
    box.create()
    processes.kill(pid for pid in processes.marked(workshop.token) if pid != box.pid)
    assert box.status() == "created"
    box.start()
    box.until_output("waiting")
    processes.kill(pid for pid in processes.marked(workshop.token) if pid != box.pid)
    assert box.status() == "running"
    box.kill("TERM")
    assert box.until_stopped() in (3, None)
    box.delete()
