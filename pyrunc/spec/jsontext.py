"""JSON text to values and back, without the json package.

Only the text format lives here; what the values mean is decided elsewhere.  The json package costs 4 ms to
import (re, codecs, two classes), its C scanner and encoder next to nothing.  They are used directly, and the
package is imported only to word an error.  Stricter than the package: no NaN or Infinity, no byte order mark.
"""

from __future__ import annotations

import _json

from pyrunc.errors import SpecError, Violation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_WHITESPACE = " \t\n\r"
_BOM = b"\xef\xbb\xbf"


class _NotANumber(ValueError):
    """A number that JSON does not have."""


def _constant(text: str) -> NoReturn:
    raise _NotANumber(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _NotANumber(text)
    return value


class _Context:
    """What the C scanner asks of the object that it is made from."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = staticmethod(_finite)
    parse_int = int
    parse_constant = staticmethod(_constant)
    memo: dict[str, str] = {}  # noqa: RUF012  json.decoder reads it too


# typeshed has no type for what the scanner is made from
_scan = _json.make_scanner(_Context)  # type: ignore[arg-type]
_quote: Callable[[str], str] = _json.encode_basestring


def loads(data: bytes, name: str) -> Any:
    """The value of a JSON document in UTF-8; ``name`` is what errors call it.

    Raises SpecError with one violation that says where: a byte offset, or line and column.
    """
    if data.startswith(_BOM):
        _refuse(name, "starts with a byte order mark, which JSON must not have")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse(name, f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}")
    start = len(text) - len(text.lstrip(_WHITESPACE))
    if start == len(text):
        _refuse(name, "is empty")
    try:
        value, end = _scan(text, start)
    except _NotANumber as error:
        _refuse(name, f"{error} is not a number of JSON")
    except RecursionError:
        _refuse(name, "nested too deep")
    except (StopIteration, ValueError, SystemError) as error:
        # SystemError: before 3.12 the scanner takes its exception from json.decoder, and fails without
        # an exception where nobody has imported that.
        _refuse(name, _diagnose(text, start, error))
    if text[end:].strip(_WHITESPACE):
        end = len(text) - len(text[end:].lstrip(_WHITESPACE))
        _refuse(name, f"{_position(text, end)}: more text after the end of the JSON value")
    return value


def dumps(value: object) -> str:
    """Compact JSON on one line; characters outside ASCII stay as they are."""
    encode = _json.make_encoder(None, _unknown, _quote, None, ":", ",", False, False, False)
    return "".join(encode(value, 0))


def dumps_pretty(value: object, indent: str = "  ") -> str:
    """JSON laid out as Go's MarshalIndent does, without a newline at the end."""
    return _pretty(value, "\n", indent)


def _pretty(value: object, newline: str, indent: str) -> str:
    inner = newline + indent
    if isinstance(value, dict) and value:
        members = [f"{inner}{_quote(key)}: {_pretty(item, inner, indent)}" for key, item in value.items()]
        return "{" + ",".join(members) + newline + "}"
    if isinstance(value, (list, tuple)) and value:
        return "[" + ",".join([inner + _pretty(item, inner, indent) for item in value]) + newline + "]"
    return dumps(value)


def _unknown(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _diagnose(text: str, start: int, error: Exception) -> str:
    """What is wrong with ``text``, in the words of the json package."""
    if isinstance(error, StopIteration):
        return f"{_position(text, error.value)}: expected a value"
    from json.decoder import JSONDecodeError

    try:
        _scan(text, start)
    except JSONDecodeError as found:
        reason = found.msg.removesuffix(" at").removesuffix(" starting").replace("Expecting", "expected")
        return f"{_position(text, found.pos)}: {reason[0].lower()}{reason[1:]}"
    except ValueError:
        return "a number has too many digits"
    raise error


def _position(text: str, offset: int) -> str:
    line = text.count("\n", 0, offset) + 1
    column = offset - text.rfind("\n", 0, offset)
    return f"line {line} column {column}"


def _refuse(name: str, reason: str) -> NoReturn:
    # Without "from None" the traceback of a library user would show the scanner's internals first.
    raise SpecError([Violation(name, reason)]) from None
