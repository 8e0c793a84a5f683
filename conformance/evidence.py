"""What a test saw: the configs that it used, the commands in their order, and whatever it notes.

It is made of plain lists, dicts, strings and numbers, so that it survives the way from a worker to the report.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from conformance.call import shown

if TYPE_CHECKING:
    from conformance.call import Outcome


class Evidence:
    """Of one test with one runtime."""

    def __init__(self) -> None:
        self.configs: list[dict[str, Any]] = []
        self.calls: list[Outcome] = []
        self.notes: list[dict[str, str]] = []

    def config(self, bundle: str, config: object) -> None:
        """The config that was written to ``bundle``, as it is now."""
        self.configs.append({"bundle": bundle, "config": copy.deepcopy(config)})

    def call(self, outcome: Outcome) -> None:
        self.calls.append(outcome)

    def note(self, what: str, seen: object) -> None:
        """Something that was observed, in the words of the test."""
        self.notes.append({"what": what, "seen": shown(seen if isinstance(seen, str) else repr(seen))})

    def plain(self) -> dict[str, Any]:
        """``{"configs": […], "commands": […], "notes": […]}``."""
        return {
            "configs": self.configs,
            "commands": [outcome.evidence() for outcome in self.calls],
            "notes": self.notes,
        }
