"""The search for a sequence that fails: it is short and told as commands, and a runtime that hangs is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.call import Outcome
from conformance.installed import Installed
from conformance.support import lifecycle
from conformance.support.lifecycle import Search
from conformance.verdict import Broken, Failed

if TYPE_CHECKING:
    from conformance.evidence import Evidence


class Workshop:
    """Of a runtime of which there is nothing."""

    def __init__(self, _: Installed, evidence: Evidence, __: float) -> None:
        self.evidence = evidence

    def __exit__(self, *_: object) -> None:
        pass


class Life:
    """Says what it was told; ``error`` is what comes of a kill."""

    error: Failed | None = None
    kills = 0

    def __init__(self, workshop: Workshop, name: str) -> None:
        self.workshop, self.name, self.status = workshop, name, ""

    def verb(self, name: str) -> None:
        self.workshop.evidence.call(Outcome((name, f"conformance-0123abcd-{self.name}"), 0, "", "", 0))

    def create(self, _: tuple[str, ...]) -> None:
        self.verb("create")
        self.status = self.status or "created"

    def start(self) -> None:
        self.verb("start")
        self.status = "running" if self.status == "created" else self.status

    def kill(self, _: str) -> None:
        self.verb("kill")
        if self.status == "running" and Life.error is not None:
            Life.kills += 1
            raise Life.error

    def nothing(self, *_: object) -> None:
        pass

    delete = die = lose_the_bundle = kill_with_nonsense = create_in_vain = compare = nothing


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.setattr(lifecycle, "Workshop", Workshop)
    monkeypatch.setattr(lifecycle, "Life", Life)
    monkeypatch.setattr(Life, "error", None)
    monkeypatch.setattr(Life, "kills", 0)
    return Search(Installed("fake", "/fake"), 20)


def test_a_sequence_that_fails_is_short_and_told_as_commands(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Life, "error", Failed("it kills the wrong one"))
    with pytest.raises(Failed) as raised:
        search.run(20, "chance")
    first, _, *lines = str(raised.value).splitlines()
    assert first == "it kills the wrong one"
    assert len(lines) <= 5
    assert lines[-1] == "kill conformance-a  # exits 0"
    assert not isinstance(raised.value, Broken)


def test_a_runtime_that_hangs_is_asked_once(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Life, "error", Broken("the runtime hangs"))
    with pytest.raises(Broken, match="the runtime hangs"):
        search.run(20, "chance")
    assert Life.kills == 1


def test_without_a_failure_there_is_none(search: Search) -> None:
    search.run(20, "chance")
    assert search.evidence.calls


def test_on_a_slow_machine_there_are_fewer_sequences(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is over after three of them, which have passed."""
    seen = []

    def ran(evidence: Evidence) -> None:
        seen.append(evidence)
        search.ends = 0 if len(seen) == 3 else search.ends

    monkeypatch.setattr(search, "ran", ran)
    search.run(20, "chance")
    assert len(seen) == 3
