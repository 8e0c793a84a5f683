"""Which pyrunc this is, and which version of the runtime-spec it implements."""

from __future__ import annotations

import os

NAME = "pyrunc"
VERSION = "0.1.0"
SPEC = "1.3.0"
#: The oldest ociVersion that a config.json may name.
SPEC_OLDEST = "1.0.0"


def commit() -> str:
    """The commit that this build was made from; of a source tree, the one that is checked out."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    built = _line(os.path.join(package, "COMMIT"))  # written by the build of a wheel
    return built or _checked_out(os.path.join(os.path.dirname(package), ".git")) or "unknown"


def _checked_out(repository: str) -> str:
    head = _line(os.path.join(repository, "HEAD"))
    if not head.startswith("ref: "):
        return head
    reference = head[5:]
    loose = _line(os.path.join(repository, reference))
    if loose:
        return loose
    for line in _lines(os.path.join(repository, "packed-refs")):
        if line.endswith(" " + reference):
            return line.split()[0]
    return ""


def _line(path: str) -> str:
    return next(iter(_lines(path)), "")


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
