"""What a check has found: the record that is printed, as text or as JSON (schemas/doctor.json)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Literal

    Status = Literal["ok", "warning", "problem", "unknown"]

#: From the best to the worst; only a problem makes the command fail.
STATUSES = ("ok", "unknown", "warning", "problem")
_PLURALS = {"warning": "warnings", "problem": "problems"}
_MARKS = {"ok": "ok", "unknown": "?", "warning": "warning", "problem": "PROBLEM"}


class Finding:
    """``id`` is stable, for scripts; ``found`` is what is there, ``do`` what to do about it, "" for nothing."""

    __slots__ = ("do", "found", "id", "status", "title")

    def __init__(self, id: str, title: str, status: Status, found: str, do: str = "") -> None:
        self.id = id
        self.title = title
        self.status: Status = status
        self.found = found
        self.do = do


def worst(findings: Iterable[Finding]) -> str:
    return max((finding.status for finding in findings), key=STATUSES.index, default="ok")


def document(findings: list[Finding], version: str) -> dict[str, Any]:
    return {
        "version": version,
        "status": worst(findings),
        "checks": [{name: getattr(one, name) for name in ("id", "title", "status", "found", "do")} for one in findings],
    }


def text(findings: list[Finding]) -> str:
    lines = []
    for one in findings:
        lines.append(f"{_MARKS[one.status]:8} {one.title}: {one.found}")
        if one.do:
            lines.append(f"{'':8} -> {one.do}")
    counts = [(sum(one.status == status for one in findings), status) for status in reversed(STATUSES)]
    words = [f"{count} {_PLURALS.get(status, status) if count > 1 else status}" for count, status in counts if count]
    lines.append(", ".join(words))
    return "".join(f"{_plain(line)}\n" for line in lines)


def _plain(line: str) -> str:
    """A configuration can have names that would talk to the terminal."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)
