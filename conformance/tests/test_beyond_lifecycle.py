"""beyond#lifecycle: sequences of verbs that nobody thought of, against a model of what has to come of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import options
from conformance.marks import decides
from conformance.support.lifecycle import Search

if TYPE_CHECKING:
    from conformance.workshop import Workshop

#: Sequences of one test; as many tests as it takes for those of --sequences.
TOGETHER = 4


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "part" in metafunc.fixturenames:
        wanted = metafunc.config.stash[options.KEY].sequences
        metafunc.parametrize("part", range(1, max(1, -(-wanted // TOGETHER)) + 1))


@decides("beyond.lifecycle.sequences", "beyond.lifecycle.neighbours", "beyond.lifecycle.nothing-left")
@pytest.mark.deadline(120)
def test_after_each_verb_of_any_sequence_all_is_as_its_history_says(
    workshop: Workshop, request: pytest.FixtureRequest, part: int
) -> None:
    """--sequences for more of them, --hypothesis-seed for others."""
    search = Search(workshop.runtime.installed, workshop.runtime.deadline)
    chance = request.config.getoption("hypothesis_seed", default=None)
    try:
        search.run(TOGETHER, f"{chance}-{part}")
    finally:
        seen = search.evidence
        for mine, theirs in (
            (workshop.evidence.configs, seen.configs),
            (workshop.evidence.calls, seen.calls),
            (workshop.evidence.notes, seen.notes),
        ):
            mine.extend(theirs)  # type: ignore[arg-type]
