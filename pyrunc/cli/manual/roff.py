"""man(7), as far as the pages need it: characters that mean something to roff, and the few macros.

Running text marks literal words with backquotes and what the user replaces with asterisks: ``` `--root` *DIR* ```.
"""

from __future__ import annotations

import re
import textwrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

BOLD, ITALIC, ROMAN = r"\fB", r"\fI", r"\fR"

_SPECIAL = str.maketrans(
    {"\\": r"\e", "-": r"\-", "'": r"\(aq", '"': r"\(dq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
)


def literal(text: str) -> str:
    """Characters as they stand: what is copied from the page works in a shell."""
    return text.translate(_SPECIAL)


def bold(text: str) -> str:
    return f"{BOLD}{literal(text)}{ROMAN}"


def italic(text: str) -> str:
    return f"{ITALIC}{literal(text)}{ROMAN}"


def prose(text: str) -> str:
    """Running text with its marks; a sentence begins a line of input."""
    pieces = re.split(r"`([^`]+)`|\*([^*]+)\*", re.sub(r"\s+", " ", text).strip())
    said = []
    for plain, code, replaced in zip(pieces[::3], [*pieces[1::3], None], [*pieces[2::3], None], strict=True):
        said.append(plain.translate({ord("\\"): r"\e", ord("-"): "-"}))
        said.append(bold(code) if code else italic(replaced) if replaced else "")
    sentences = re.split(r"(?<=[a-z)R][.:]) (?=[A-Z\\])", "".join(said))
    return protected("\n".join(line for sentence in sentences for line in _wrapped(sentence)))


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, 78, break_long_words=False, break_on_hyphens=False)


def protected(text: str) -> str:
    """No line may begin with a control character by chance."""
    return re.sub(r"^(?=['.])", r"\\&", text, flags=re.MULTILINE)


def title(name: str, date: str, source: str, volume: str) -> str:
    return f'.TH {name.upper()} 8 "{date}" "{source}" "{volume}"'


def section(name: str, lines: Iterable[str]) -> list[str]:
    """Nothing where there are no lines."""
    body = list(lines)
    return [f".SH {name}", *body] if body else []


def entries(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """A list of terms, which are roff already, with what prose says about each."""
    return [line for term, text in pairs for line in (".TP", term, prose(text))]


def paragraphs(text: str) -> list[str]:
    """Running text, in which an empty line ends a paragraph."""
    found: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        found += [".PP", prose(paragraph)] if found else [prose(paragraph)]
    return found


def commands(lines: Iterable[str]) -> list[str]:
    """What is typed, line by line."""
    return [".RS 4", ".nf", *(protected(bold(line)) for line in lines), ".fi", ".RE"]
