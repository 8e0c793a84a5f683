"""Configs that no runtime may accept, and some that none may refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance import config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.config import Config
    from conformance.workshop import Workshop


def accepted(
    workshop: Workshop,
    *changes: dict[str, Any],
    base: Config | None = None,
    at: str = "start",
    console_socket: Path | None = None,
) -> list[str]:
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
        if box.create(expect="any", console_socket=console_socket).status:
            continue
        if at == "create" or box.start(expect="any").status == 0:
            found.append(", ".join(f"{path}: {shown(value)}" for path, value in change.items()))
    return found


def shown(value: object) -> str:
    return "absent" if value is config.ABSENT else json.dumps(value)


def texts_accepted(workshop: Workshop, *texts: bytes) -> list[bytes]:
    """Which texts as config.json the runtime accepts."""
    found = []
    for text in texts:
        box = workshop.container()
        (box.bundle.path / "config.json").write_bytes(text)
        box.bundle.written = box.bundle.snapshot()
        if box.create_again(expect="any").status == 0:
            found.append(text)
    return found


def refused_singly(workshop: Workshop, values: list[str], apply: Callable[[Config, str], None]) -> list[str]:
    """Which of the values, each applied to a good config by itself, keep a container from running."""
    found = []
    for value in values:
        box = workshop.container("exit", "0")
        apply(box.config, value)
        if box.create(expect="any").status or box.start(expect="any").status or box.wait() not in (0, None):
            found.append(value)
    return found
