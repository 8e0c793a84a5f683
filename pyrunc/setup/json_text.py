"""Members of objects in a JSON text are added, replaced and removed in place: all the rest keeps its order and layout.

The text must be valid JSON (``pyrunc.spec.jsontext``); a key is a path of names from the outermost object.
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Member:
    """Where a member stands in the text: from ``start``, its value from ``value``, up to ``end``."""

    __slots__ = ("end", "name", "start", "value")

    def __init__(self, name: str, start: int, value: int, end: int) -> None:
        self.name = name
        self.start = start
        self.value = value
        self.end = end


def members(text: str, start: int) -> list[Member]:
    """The members of the object whose brace is at ``start``."""
    found = []
    at = _skip(text, start + 1)
    while text[at] != "}":
        name, after = _DECODER.raw_decode(text, at)
        value = _skip(text, _skip(text, after) + 1)  # over the colon
        _, end = _DECODER.raw_decode(text, value)
        found.append(Member(name, at, value, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def put(text: str, keys: tuple[str, ...], value: Any) -> str:
    """Set a member; objects on the way that are not there are made."""
    start = _skip(text, 0)
    for depth, name in enumerate(keys):
        inside = members(text, start)
        found = next((member for member in inside if member.name == name), None)
        if found is None:
            for key in reversed(keys[depth + 1 :]):
                value = {key: value}
            return _add(text, start, inside, name, value)
        if depth == len(keys) - 1:
            line = text[text.rfind("\n", 0, found.start) + 1 : found.start]
            margin = line[: len(line) - len(line.lstrip())]
            return text[: found.value] + _laid_out(value, margin, _unit(text)) + text[found.end :]
        start = found.value
    raise ValueError("no key")


def drop(text: str, keys: tuple[str, ...]) -> str:
    """Remove a member that is there."""
    start = _skip(text, 0)
    for name in keys[:-1]:
        start = next(member.value for member in members(text, start) if member.name == name)
    inside = members(text, start)
    number = next(number for number, member in enumerate(inside) if member.name == keys[-1])
    if number:
        return text[: inside[number - 1].end] + text[inside[number].end :]
    if len(inside) > 1:
        return text[: inside[0].start] + text[inside[1].start :]
    return text[: start + 1] + text[_skip(text, inside[0].end) :]


def _add(text: str, start: int, inside: list[Member], name: str, value: Any) -> str:
    """Behind the last member, laid out as the first one is."""
    quoted = json.dumps(name, ensure_ascii=False) + ": "
    unit = _unit(text)
    if not inside:
        line = text[text.rfind("\n", 0, start) + 1 : start]
        margin = line[: len(line) - len(line.lstrip())]
        if unit is None and start != _skip(text, 0):
            return f"{text[: start + 1]}{quoted}{_laid_out(value, '', None)}{text[start + 1 :]}"
        unit = unit or "  "
        end = _skip(text, start + 1)
        added = f"\n{margin}{unit}{quoted}{_laid_out(value, margin + unit, unit)}\n{margin}"
        return text[: start + 1] + added + text[end:]
    gap = text[start + 1 : inside[0].start]
    if "\n" not in gap:
        return f"{text[: inside[-1].end]}, {quoted}{_laid_out(value, '', None)}{text[inside[-1].end :]}"
    margin = gap[gap.rfind("\n") + 1 :]
    return f"{text[: inside[-1].end]},{gap}{quoted}{_laid_out(value, margin, unit)}{text[inside[-1].end :]}"


def _laid_out(value: Any, margin: str, unit: str | None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=unit).replace("\n", "\n" + margin)


def _unit(text: str) -> str | None:
    """What a level is indented by; None where the text is on one line."""
    start = _skip(text, 0)
    end = _skip(text, start + 1)
    gap = text[start + 1 : end]
    return gap[gap.rfind("\n") + 1 :] or None if "\n" in gap and text[end] != "}" else None


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
