"""Configs that no runtime may accept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance import config

if TYPE_CHECKING:
    from conformance.config import Config
    from conformance.workshop import Workshop


def accepted(workshop: Workshop, *changes: dict[str, Any], base: Config | None = None, at: str = "start") -> list[str]:
    """Which of the ``changes`` (config.change) to a good config the runtime accepts; [] is what a test wants.

    A config is refused when create fails, or ``at`` "start" that: the specification leaves open when the properties of
    process are looked at.
    """
    found = []
    for change in changes:
        box = workshop.container("echo", "it runs")
        if base is not None:
            box.bundle.config = json.loads(json.dumps(base))
        config.change(box.config, change)
        if box.create(expect="any").status == 0 and (at == "create" or box.start(expect="any").status == 0):
            found.append(", ".join(f"{path}: {shown(value)}" for path, value in change.items()))
    return found


def shown(value: object) -> str:
    return "absent" if value is config.ABSENT else json.dumps(value)
