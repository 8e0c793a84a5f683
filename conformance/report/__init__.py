"""The formats of a report: one module each, with ``render(run: Run) -> str``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.report import html, json, junit, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conformance.runs.results import Run

#: What --format and --report know.
FORMATS: dict[str, Callable[[Run], str]] = {
    "text": text.render,
    "json": json.render,
    "junit": junit.render,
    "html": html.render,
}


class Unwritable(Exception):
    """A report has no place; the message says which and why."""


def wanted(word: str) -> tuple[str, str]:
    """``FORMAT[=FILE]`` as both, "-" for standard output.

    Raises Unwritable where there is no such format, or where the file cannot be written: a run takes time, so that it
    is said before.
    """
    name, equals, file = word.partition("=")
    if name not in FORMATS:
        raise Unwritable(f"{word}: there is no format {name!r}; there are {', '.join(FORMATS)}")
    if not equals or file == "-":
        return name, "-"
    path = Path(file)
    if not file or path.is_dir():
        raise Unwritable(f"{word}: it names no file; {name}=FILE does")
    if not path.parent.is_dir():
        raise Unwritable(f"{word}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise Unwritable(f"{word}: you may not write there")
    return name, file


def write(run: Run, reports: Iterable[tuple[str, str]]) -> None:
    """Each of ``wanted`` to its place.  Raises Unwritable when all others have been written."""
    failed = []
    for name, file in reports:
        rendered = FORMATS[name](run)
        try:
            if file == "-":
                encoding = sys.stdout.encoding or "utf-8"
                sys.stdout.write(rendered.encode(encoding, "backslashreplace").decode(encoding))
                sys.stdout.flush()
            else:
                # What a runtime says need not be what can be encoded.
                Path(file).write_text(rendered, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            failed.append(f"{name} to {'standard output' if file == '-' else file}: {error.strerror}")
    if failed:
        raise Unwritable(f"a report could not be written: {'; '.join(failed)}")
