"""What a test saw: the configs that it used, the commands in their order, and whatever it notes.

It is made of plain lists, dicts, strings and numbers, so that it survives the way from a worker to the report.  A
test's directory and the ids of its containers have a random part, which is left out: what stands there can be typed
again, and is the same for each runtime and in each run.
"""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

from conformance.call import BRIEF, SHOWN, shown

if TYPE_CHECKING:
    from conformance.call import Outcome

#: The names of workshop.py: a token, and the directory that begins with it.
RANDOM = re.compile(r"(conformance)-[0-9a-f]{8}(?:-[a-z0-9_]{8}(?![a-z0-9_]))?")


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
        self.notes.append({"what": what, "seen": seen if isinstance(seen, str) else repr(seen)})

    def plain(self, *, brief: bool = False) -> dict[str, Any]:
        """``{"configs": […], "commands": […], "notes": […]}``; ``brief`` as that of a test that passed."""
        limit = BRIEF if brief else SHOWN
        whole = {
            "configs": self.configs,
            "commands": [outcome.evidence(limit) for outcome in self.calls],
            "notes": [{**note, "seen": shown(note["seen"], limit)} for note in self.notes],
        }
        found: dict[str, Any] = json.loads(RANDOM.sub(r"\1", json.dumps(whole)))
        return found
