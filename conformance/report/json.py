"""The whole run, for programs and for --compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.runs.results import dump

if TYPE_CHECKING:
    from conformance.runs.results import Run


def render(run: Run) -> str:
    return dump(run) + "\n"
