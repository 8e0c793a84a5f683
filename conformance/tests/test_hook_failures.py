"""runtime#lifecycle: what a hook that fails means for the container and for the hooks behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import processes
from conformance.container import until
from conformance.marks import decides
from conformance.support.hooking import INSIDE, KINDS, OF_CREATE, Marks

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.workshop import Maker, Workshop

#: The kinds whose failure ends the container.
DEADLY = KINDS[:5]


def each_kind(claim: str, *kinds: str) -> pytest.MarkDecorator:
    """A parameter ``kind`` that decides ``runtime.lifecycle.KIND-failure-CLAIM``."""
    named = [pytest.param(kind, marks=decides(f"runtime.lifecycle.{kind.lower()}-failure-{claim}")) for kind in kinds]
    return pytest.mark.parametrize("kind", named)


def failing(workshop: Workshop, kind: str) -> tuple[Container, Marks]:
    """A container with a mark of each kind of hook, the first of ``kind`` failing; its program waits."""
    box = workshop.container("write", f"{INSIDE}/log", "program\n", "+", "wait")
    marks = Marks(workshop, box)
    for each in KINDS:
        marks.mark(each, each, *(["exit", "1"] if each == kind else []))
    marks.mark(kind, f"second {kind}")
    return box, marks


def fails(box: Container, kind: str) -> None:
    """Create, and start where ``kind`` belongs to it: that verb exits with an error."""
    if kind in OF_CREATE:
        box.create(expect="error")
    else:
        box.create()
        box.start(expect="error")


def undone(box: Container) -> None:
    """Delete what the failure may leave in the state "stopped", which a runtime does for itself or not."""
    if box.runtime.state(box.id).status == 0:
        box.until_stopped()
        box.delete()


@each_kind("error", *DEADLY)
def test_the_verb_fails(workshop: Workshop, kind: str) -> None:
    box, _ = failing(workshop, kind)
    fails(box, kind)


@each_kind("stops", *DEADLY)
def test_the_container_process_is_ended(workshop: Workshop, kind: str) -> None:
    box, _ = failing(workshop, kind)
    fails(box, kind)
    until(lambda: not processes.marked(workshop.token), "every process of the container should be ended")
    if box.watched is not None:
        assert box.watched.wait(10)


@each_kind("destroys", *DEADLY)
def test_the_container_is_destroyed(workshop: Workshop, kind: str) -> None:
    """No delete is needed: the id is free."""
    box, _ = failing(workshop, kind)
    fails(box, kind)
    box.gone()
    again = workshop.container("exit", "0", id=box.id)
    again.create()


@each_kind("skips", *DEADLY[:4])
def test_no_later_hook_runs_but_poststop(workshop: Workshop, kind: str) -> None:
    box, marks = failing(workshop, kind)
    fails(box, kind)
    undone(box)
    reached = KINDS[: KINDS.index(kind) + 1]
    assert [label for label in marks.labels() if label != "poststop"] == list(reached)


@each_kind("poststop", *DEADLY)
def test_poststop_hooks_run(workshop: Workshop, kind: str) -> None:
    box, marks = failing(workshop, kind)
    fails(box, kind)
    undone(box)
    assert marks.labels().count("poststop") == 1


@decides("runtime.lifecycle.poststop-failure-remaining", "runtime.lifecycle.poststop-failure-delete")
def test_a_poststop_hook_that_fails_changes_nothing(workshop: Workshop, container: Maker) -> None:
    box = container("exit", "0")
    marks = Marks(workshop, box)
    marks.mark("poststop", "first", "exit", "1")
    marks.mark("poststop", "second")
    box.run()
    box.until_stopped()
    box.delete()
    assert marks.labels() == ["first", "second"]
    box.gone()
