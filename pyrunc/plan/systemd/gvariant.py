"""The text form of D-Bus values: properties of units, in annotations, in a plan and on the way to systemd.

GLib's GVariant text format without what D-Bus does not have (``just``, ``nothing``).  As in GLib a number without a
type is an int32, or a double if it has a point or an exponent; the elements of an array take the type of the first.

A value is what jeepney takes for the signature: str, int, float, bool; bytes for ``ay``; a list, a dict or a tuple; of
a variant a pair of signature and value.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Words that may stand before a value -> the signature that it has then.
KEYWORDS = {
    "boolean": "b", "byte": "y", "int16": "n", "uint16": "q", "int32": "i", "uint32": "u", "int64": "x",
    "uint64": "t", "handle": "h", "double": "d", "string": "s", "objectpath": "o", "signature": "g",
}  # fmt: skip

#: Signature of an integer -> its least and greatest value.
RANGES = {
    "y": (0, (1 << 8) - 1),
    "n": (-(1 << 15), (1 << 15) - 1),
    "q": (0, (1 << 16) - 1),
    "i": (-(1 << 31), (1 << 31) - 1),
    "u": (0, (1 << 32) - 1),
    "x": (-(1 << 63), (1 << 63) - 1),
    "t": (0, (1 << 64) - 1),
}

_NAMES = {signature: word for word, signature in KEYWORDS.items()}
_STRINGS = "sog"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\n": ""}
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
#: What tells a double from an integer, inf and nan included.
_DOUBLE = frozenset(".eEfFnN")
_WORD_END = frozenset(" \t\r\n,:[](){}<>'\"")
#: D-Bus itself allows 32 arrays within 32 structs.
_DEPTH = 32


def parse(text: str) -> tuple[str, Any]:
    """Signature and value of the whole text; ValueError says at which character it is wrong."""
    reader = _Reader(text)
    found = reader.value(None)
    reader.skip()
    if reader.at < len(text):
        raise reader.error("the end was expected")
    return found


def quoted(text: str) -> str:
    """A string as ``parse`` reads it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + "'"


def complete_type(signature: str, at: int = 0, depth: int = 0) -> int:
    """Where the one complete type that begins at ``at`` ends; ValueError if none does."""
    code = signature[at : at + 1]
    if not code or depth > _DEPTH:
        raise ValueError("no type")
    if code == "a":
        if signature[at + 1 : at + 2] != "{":
            return complete_type(signature, at + 1, depth + 1)
        if signature[at + 2 : at + 3] not in _NAMES:
            raise ValueError("the key of a dictionary is no basic type")
        end = complete_type(signature, at + 3, depth + 1)
        if signature[end : end + 1] != "}":
            raise ValueError("} was expected")
        return end + 1
    if code == "(":
        end = at + 1
        while signature[end : end + 1] != ")":
            end = complete_type(signature, end, depth + 1)
        if end == at + 1:
            raise ValueError("D-Bus has no empty structs")
        return end + 1
    if code != "v" and (code not in _NAMES or code == "h"):
        raise ValueError(f"{code} is no type of D-Bus that can be written down")
    return at + 1


class _Reader:
    """A text and how far it is read."""

    __slots__ = ("at", "depth", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def error(self, reason: str, at: int | None = None) -> ValueError:
        return ValueError(f"{reason} at character {(self.at if at is None else at) + 1}")

    def _other(self, wanted: str | None, start: int) -> ValueError:
        return self.error(f"a value of type {_NAMES.get(wanted or '', wanted)} was expected", start)

    def skip(self) -> str:
        """Pass white space; the character behind it, or ""."""
        while self.text[self.at : self.at + 1] in (" ", "\t", "\r", "\n"):
            self.at += 1
        return self.text[self.at : self.at + 1]

    def take(self, character: str) -> bool:
        if self.skip() != character:
            return False
        self.at += 1
        return True

    def expect(self, character: str) -> None:
        if not self.take(character):
            raise self.error(f"{character} was expected")

    def word(self) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in _WORD_END:
            self.at += 1
        return self.text[start : self.at]

    def value(self, wanted: str | None) -> tuple[str, Any]:
        """A value of the signature ``wanted``, or of its own."""
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.error("nested too deeply")
        found = self._value(wanted, self.skip())
        self.depth -= 1
        return found

    def _value(self, wanted: str | None, first: str) -> tuple[str, Any]:
        start = self.at
        if first == "":
            raise self.error("a value was expected")
        if first == "@":
            self.at += 1
            return self._typed(wanted, self._signature(), start)
        if first == "[":
            return self._array(wanted)
        if first == "{":
            return self._dictionary(wanted)
        if first == "(":
            return self._struct(wanted)
        if first == "<":
            self.at += 1
            inner = self.value(None)
            self.expect(">")
            return self._checked("v", inner, wanted, start)
        if first in "'\"":
            return self._checked(wanted if wanted and wanted in _STRINGS else "s", self._string(), wanted, start)
        if self.text.startswith(("b'", 'b"'), self.at):
            self.at += 1
            return self._checked("ay", self._string().encode() + b"\0", wanted, start)
        word = self.word()
        if word in KEYWORDS:
            return self._typed(wanted, KEYWORDS[word], start)
        if word in ("true", "false"):
            return self._checked("b", word == "true", wanted, start)
        return self._number(word, wanted, start)

    def _checked(self, signature: str, value: Any, wanted: str | None, start: int) -> tuple[str, Any]:
        if wanted is not None and signature != wanted:
            raise self._other(wanted, start)
        return signature, value

    def _typed(self, wanted: str | None, signature: str, start: int) -> tuple[str, Any]:
        if signature == "h":
            raise self.error("a file descriptor cannot be written down", start)
        return self._checked(*self.value(signature), wanted, start)

    def _signature(self) -> str:
        start = self.at
        try:
            self.at = complete_type(self.text, start)
        except ValueError as error:
            raise self.error(f"no signature of D-Bus ({error})", start) from None
        return self.text[start : self.at]

    def _number(self, word: str, wanted: str | None, start: int) -> tuple[str, Any]:
        if "_" in word:  # Python's own
            raise self.error("a value was expected", start)
        signature = wanted or "i"
        if signature in RANGES:
            try:
                number = int(word, 0)
            except ValueError:
                if wanted is None:
                    return self._double(word, wanted, start)
                raise self._other(signature, start) from None
            low, high = RANGES[signature]
            if not low <= number <= high:
                raise self.error(f"{word} is out of range for {_NAMES[signature]}", start)
            return signature, number
        return self._double(word, wanted, start)

    def _double(self, word: str, wanted: str | None, start: int) -> tuple[str, Any]:
        if wanted not in (None, "d"):
            raise self._other(wanted, start)
        if wanted == "d" or not _DOUBLE.isdisjoint(word):
            try:
                return "d", float(word)
            except ValueError:
                pass  # no number at all
        raise self.error("a value was expected", start)

    def _array(self, wanted: str | None) -> tuple[str, Any]:
        start = self.at
        self.at += 1
        if wanted is not None and not wanted.startswith("a"):
            raise self._other(wanted, start)
        element = wanted[1:] if wanted is not None else None
        values: list[Any] = []
        while not self.take("]"):
            if values:
                self.expect(",")
            element, value = self.value(element)
            values.append(value)
        if element is None:
            raise self.error("an empty array needs a type, such as @as []", start)
        return "a" + element, bytes(values) if element == "y" else values

    def _dictionary(self, wanted: str | None) -> tuple[str, Any]:
        start = self.at
        self.at += 1
        key = item = None
        if wanted is not None:
            if not wanted.startswith("a{"):
                raise self._other(wanted, start)
            key, item = wanted[2], wanted[3:-1]
        values: dict[Any, Any] = {}
        while not self.take("}"):
            if values:
                self.expect(",")
            at = self.at
            key, name = self.value(key)
            if key not in _NAMES:
                raise self.error("the key of a dictionary is a basic type", at)
            self.expect(":")
            item, values[name] = self.value(item)
        if key is None or item is None:
            raise self.error("an empty dictionary needs a type, such as @a{ss} {}", start)
        return f"a{{{key}{item}}}", values

    def _struct(self, wanted: str | None) -> tuple[str, Any]:
        start = self.at
        self.at += 1
        parts: list[str | None] = []
        if wanted is not None:
            if not wanted.startswith("("):
                raise self._other(wanted, start)
            at = 1
            while at < len(wanted) - 1:
                end = complete_type(wanted, at)
                parts.append(wanted[at:end])
                at = end
        signature = ""
        values: list[Any] = []
        while not self.take(")"):
            if values:
                self.expect(",")
                if len(values) == 1 and self.take(")"):  # (a,) has one member
                    break
            if wanted is not None and len(values) == len(parts):
                raise self._other(wanted, start)
            part, value = self.value(parts[len(values)] if wanted is not None else None)
            signature += part
            values.append(value)
        if not values:
            raise self.error("D-Bus has no empty structs", start)
        return self._checked(f"({signature})", tuple(values), wanted, start)

    def _string(self) -> str:
        start = self.at
        quote = self.text[self.at]
        self.at += 1
        parts = []
        while (character := self.text[self.at : self.at + 1]) != quote:
            if character == "":
                raise self.error("a string does not end that begins", start)
            self.at += 1
            parts.append(self._escape() if character == "\\" else character)
        self.at += 1
        return "".join(parts)

    def _escape(self) -> str:
        start = self.at - 1
        character = self.text[self.at : self.at + 1]
        self.at += 1
        size = {"u": 4, "U": 8}.get(character, 0)
        if not size:
            return _ESCAPES.get(character, character)
        digits = self.text[self.at : self.at + size]
        self.at += size
        number = int(digits, 16) if len(digits) == size and _HEXADECIMAL.issuperset(digits) else 0
        if not 0 < number < 0x110000 or 0xD800 <= number < 0xE000:
            raise self.error(f"\\{character} needs the {size} hexadecimal digits of a character", start)
        return chr(number)
