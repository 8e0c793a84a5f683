"""``explain``: what docs/errors.md says about a message.  The file is the only place where errors are explained.

An entry is a heading of the third rank, whose words are the short name; indented lines with the texts, in which ``…``
stands for what is filled in; and paragraphs.
"""

from __future__ import annotations

import re
from pathlib import Path

from pyrunc.errors import HostError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BLANK = "…"
#: The heading above the entries for what stands behind another message.
KERNEL = "The answers of the kernel"

#: In a wheel the file lies in the package, in a source tree where people look for it.
_PACKAGE = Path(__file__).resolve().parents[1]
PLACES = (_PACKAGE / "errors.md", _PACKAGE.parent / "docs/errors.md")


class Entry:
    """``name`` is short and stays; ``texts`` are patterns; ``advice`` is Markdown; ``last``: of the kernel's answer."""

    __slots__ = ("advice", "last", "name", "texts")

    def __init__(self, name: str, texts: list[str], advice: str, *, last: bool) -> None:
        self.last = last
        self.name = name
        self.texts = texts
        self.advice = advice

    def __str__(self) -> str:
        return "\n".join([self.name, *(f"    {text}" for text in self.texts), "", self.advice]) + "\n"


def read() -> list[Entry]:
    for path in PLACES:
        if path.exists():
            return list(parse(path.read_text(encoding="utf-8")))
    raise HostError("the explanations are not installed", where=str(PLACES[0]), hint="install pyrunc again")


def parse(document: str) -> Iterator[Entry]:
    for part in re.split(r"^## ", document, flags=re.MULTILINE)[1:]:
        group, *sections = re.split(r"^### ", part, flags=re.MULTILINE)
        for section in sections:
            name, _, body = section.partition("\n")
            lines = body.strip("\n").split("\n")
            texts = [line[4:] for line in lines if line.startswith("    ")]
            advice = "\n".join(line for line in lines if not line.startswith("    ")).strip()
            yield Entry(name, texts, advice, last=group.startswith(KERNEL))


def find(message: str, entries: list[Entry]) -> list[Entry]:
    """The entry of that name, or the one that has a text with the most letters of the message (all, if equal).

    Behind it stands what is known about the kernel's answer, where the message has one.
    """
    named = [entry for entry in entries if entry.name == message.strip()]
    said = re.sub(r"\s+", " ", message)
    hits = [(_fit(entry, said), entry) for entry in entries]
    best = max((fit for fit, entry in hits if not entry.last), default=0)
    return named or [
        *(entry for fit, entry in hits if fit and fit == best and not entry.last),
        *(entry for fit, entry in hits if fit and entry.last),
    ]


def _fit(entry: Entry, said: str) -> int:
    """Letters of the longest text that the message has, 0 for none."""
    found = [text for text in entry.texts if pattern(text).search(said)]
    return max((sum(character.isalpha() for character in text) for text in found), default=0)


def pattern(text: str) -> re.Pattern[str]:
    """What a text matches: in the middle of a message, but no part of a word."""
    bare = text.strip(f"{BLANK} :")
    words = ".+?".join(re.escape(part) for part in bare.split(BLANK))
    before = r"(?<!\w)" if text[0] != BLANK and bare[0].isalnum() else ""
    behind = r"(?!\w)" if text[-1] != BLANK and bare[-1].isalnum() else ""
    return re.compile(before + words + behind, re.IGNORECASE)


def explain(words: list[str], standard_input: str) -> str:
    """What to print; ``-`` stands for ``standard_input``.  UsageError where nothing is known."""
    entries = read()
    if not words:
        width = max(len(entry.name) for entry in entries) + 2
        return "".join(f"{entry.name:<{width}}{entry.texts[0]}\n" for entry in entries)
    message = standard_input if words == ["-"] else " ".join(words)
    found = find(message, entries)
    if not found:
        raise UsageError("no error that is known has this text", hint="pyrunc explain lists all short names")
    return "\n".join(map(str, found))
