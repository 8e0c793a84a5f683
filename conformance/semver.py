"""Versions by the rules of Semantic Versioning 2.0.0: read, and put in their order."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"(0|[1-9][0-9]*)"
_WORD = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_FORM = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_WORD}(?:\.{_WORD})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)

#: A number stands before a word; of two lists the shorter one is lower.
_Word = tuple[int, int, str]


@dataclass(frozen=True, order=True)
class Version:
    """``pre`` is empty for a release, which ``final`` puts above its pre-releases.  What follows a + is not kept."""

    numbers: tuple[int, int, int]
    final: bool
    pre: tuple[_Word, ...] = ()


def parse(text: object) -> Version | None:
    """The version, or None for what is none."""
    found = _FORM.fullmatch(text) if isinstance(text, str) and text.isascii() else None
    if found is None:
        return None
    major, minor, patch, pre = found.groups()
    words = tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in (pre.split(".") if pre else ()))
    return Version((int(major), int(minor), int(patch)), not words, words)
