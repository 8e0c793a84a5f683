"""The formats of a report: one module each, with ``render(run: Run) -> str``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.report import html, json, junit, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.results import Run

#: What --format and --report know.
FORMATS: dict[str, Callable[[Run], str]] = {
    "text": text.render,
    "json": json.render,
    "junit": junit.render,
    "html": html.render,
}
