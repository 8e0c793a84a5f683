"""The conformance suite can fail: each mutant of pyrunc is caught by the statement that it breaks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conformance.mutants.proof import prove
from conformance.mutants.table import MUTANTS

if TYPE_CHECKING:
    from pathlib import Path

#: So many at a time: one run of the suite for each, of which some go on at once.
GROUP = 22
NAMES = sorted(MUTANTS)
GROUPS = [NAMES[first : first + GROUP] for first in range(0, len(NAMES), GROUP)]


@pytest.mark.needs("root", "static")
@pytest.mark.parametrize("names", GROUPS, ids=[group[0] for group in GROUPS])
def test_every_mutant_is_caught(pyrunc: Path, names: list[str]) -> None:
    missed, undecided = prove(pyrunc, [MUTANTS[name] for name in names])
    assert missed == {}
    if undecided:
        (pytest.fail if os.environ.get("PYRUNC_REQUIRE") == "all" else pytest.skip)(str(undecided))
