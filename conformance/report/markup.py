"""HTML in the making: everything is text, and escaped, until ``element`` has made markup of it."""

from __future__ import annotations

import html
import re

#: What HTML cannot hold, what a parser would change, and what turns the order of letters around it.
_INVISIBLE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\uffff]"
)

#: Elements that have no end.
_VOID = frozenset({"input", "meta", "link", "br"})


class Html(str):
    """Markup, which is not escaped again."""

    __slots__ = ()


def visible(text: str) -> str:
    """``text`` with a backslash and a number for each character that could not be seen."""
    return _INVISIBLE.sub(lambda found: ascii(found[0])[1:-1], text)


def escape(text: str) -> Html:
    """For between elements, not for attributes: quotes stay, of which JSON is full."""
    return text if isinstance(text, Html) else Html(html.escape(visible(text), quote=False))


def element(name: str, /, *children: str, **attributes: str | bool | None) -> Html:
    """``element("td", "text", class_="a", data_row="1")``; True is one without a value, None and False none."""
    start = [name]
    for key, value in attributes.items():
        word = key.rstrip("_").replace("_", "-")
        if value is True:
            start.append(word)
        elif value is not None and value is not False:
            start.append(f'{word}="{html.escape(visible(value))}"')
    opened = f"<{' '.join(start)}>"
    return Html(opened if name in _VOID else f"{opened}{''.join(map(escape, children))}</{name}>")


def join(*parts: str, between: str = "") -> Html:
    return Html(escape(between).join(map(escape, parts)))
