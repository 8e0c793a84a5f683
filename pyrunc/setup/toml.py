"""pyrunc's part of a TOML file: lines between two marks, so that every byte of the others stays what it is.

Two kinds: lines that were added, and lines that stand for one that was there and is kept as a comment.  Text is cut
and pasted; whether the result says what it should is known from parsing it (``checked``).
"""

from __future__ import annotations

import re
import tomllib

from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ADDED = "# >>> added by pyrunc setup; pyrunc setup --remove takes it out >>>"
CHANGED = "# >>> changed by pyrunc setup; pyrunc setup --remove changes it back >>>"
END = "# <<< pyrunc setup <<<"
_WAS = "# was: "

_BODY = r"(?:(?!# (?:>>>|<<<) )[^\n]*\n)*"
_PARTS = re.compile(
    rf"(?P<own>\A{ADDED}\n{_BODY}{END}(?:\n|\Z))|\n{ADDED}\n{_BODY}{END}$"
    rf"|^{CHANGED}\n{_WAS}(?P<was>[^\n]*)\n{_BODY}{END}$",
    re.MULTILINE,
)
_MARK = re.compile("^(?:" + "|".join(re.escape(mark) for mark in (ADDED, CHANGED, END)) + ")", re.MULTILINE)


def parse(text: str, path: str) -> dict[str, Any]:
    """The data of a TOML file; HostError with file and line where it is none."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error) if not isinstance(error, RecursionError) else "nested too deep"
        at = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", reason)
        where = f"{path}:{at[1] or text.count(chr(10)) + 1}" if at else path
        reason = reason[: at.start()] if at else reason
        raise HostError(f"is no valid TOML: {reason}", where=where, hint="mend it first; nothing was changed") from None


def append(text: str | None, lines: list[str]) -> str:
    """Add lines at the end."""
    block = "\n".join((ADDED, *lines, END))
    if text is None:
        return block + "\n"
    at = len(text) - text.endswith("\n")
    return f"{text[:at]}\n{block}{text[at:]}"


def insert(text: str, line: int, added: str) -> str:
    """Add a line behind line ``line``, counted from 0."""
    lines = text.split("\n")
    lines[line + 1 : line + 1] = [ADDED, added, END]
    return "\n".join(lines)


def change(text: str, line: int, changed: str) -> str:
    """Put another line in the place of line ``line``, counted from 0."""
    lines = text.split("\n")
    lines[line : line + 1] = [CHANGED, _WAS + lines[line], changed, END]
    return "\n".join(lines)


def without(text: str | None, path: str, own: tuple[tuple[str, ...], ...]) -> str | None:
    """The text without the lines of this module; None for a file that they were all of.

    ``own``: the keys that those lines may have set.  Raises HostError where marks have no partner, or where a line that
    somebody wrote behind ours belongs to our table, and would belong to another one.
    """
    if text is None or not _MARK.search(text):
        return text
    made = False

    def before(match: re.Match[str]) -> str:
        nonlocal made
        made = made or match["own"] is not None
        return match["was"] or ""

    rest = _PARTS.sub(before, text)
    if stray := _MARK.search(rest):
        raise HostError(
            f"a mark of pyrunc setup has lost its other half: {stray[0]}",
            where=f"{path}:{line_of(text, stray[0])}",
            hint="remove pyrunc's lines and the mark by hand",
        )
    if _apart(parse(text, path), own) != _apart(parse(rest, path), own):
        raise HostError(
            f"what follows '{END}' belongs to pyrunc's table",
            where=f"{path}:{line_of(text, END) + 1}",
            hint="put a table's header above it, or move it up",
        )
    return None if made and not rest else rest


def line_of(text: str, part: str) -> int:
    """The line, from 1, of the first place of ``part``."""
    return text.count("\n", 0, text.index(part)) + 1


def _apart(data: dict[str, Any], own: tuple[tuple[str, ...], ...], above: tuple[str, ...] = ()) -> dict[str, Any]:
    """The data apart from our own keys, and from tables that hold nothing else."""
    kept = {}
    for name, value in data.items():
        if (*above, name) in own:
            continue
        if isinstance(value, dict):
            value = _apart(value, own, (*above, name))
            if not value:
                continue
        kept[name] = value
    return kept


def merged(data: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Both; in tables of both, the values of ``more`` win."""
    result = dict(data)
    for key, value in more.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def at(data: Any, *keys: str) -> Any:
    """The value below these keys, None where there is none."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def table(data: Any, *keys: str) -> dict[str, Any]:
    """The table below these keys, an empty one where there is something else: the engine itself will refuse that."""
    found = at(data, *keys)
    return found if isinstance(found, dict) else {}


def texts(data: Any, *keys: str) -> list[str]:
    """The strings of the list below these keys."""
    found = at(data, *keys)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def nested(keys: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A table of tables with one value in the innermost."""
    for key in reversed(keys[1:]):
        value = {key: value}
    return {keys[0]: value}


def quoted(text: str) -> str:
    """A basic string; the text has no control characters."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def key(words: tuple[str, ...]) -> str:
    """A dotted key."""
    return ".".join(word if re.fullmatch(r"[A-Za-z0-9_-]+", word) else quoted(word) for word in words)


def says(text: str, expected: dict[str, Any]) -> bool:
    """Whether the text is TOML that means exactly this."""
    try:
        return tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        return False


def appended(text: str | None, where: str, lines: list[str], more: dict[str, Any]) -> str:
    """The text with these lines at its end, which set ``more``.

    HostError where that cannot be: a table of it is closed to more lines, or there already.
    """
    data = parse(text or "", where)
    result = append(text, lines)
    if not says(result, merged(data, more)):
        words = ", ".join(lines[number] for number in range(len(lines)) if lines[number].startswith("["))
        raise HostError(
            f"cannot be extended by {words}: it has these tables already, or as inline tables",
            where=where,
            hint="put them in by hand, or write inline tables as tables; nothing was changed",
        )
    return result
