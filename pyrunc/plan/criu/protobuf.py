"""The wire format of protocol buffers, as far as CRIU's messages need it (protobuf.dev, "Encoding").

A message is a table, field -> (number, kind); its value is a dict.  Kinds: ``int``, ``bool``, ``str`` or the table of
a message within it; a list around a kind stands for a repeated field.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    #: number, kind
    Field = tuple[int, Any]
    Table = Mapping[str, Field]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_U64 = 1 << 64
_I32 = 1 << 31


def encode(table: Table, values: Mapping[str, Any]) -> bytes:
    """Fields in the order of ``values``; KeyError for one that the table does not have."""
    found = bytearray()
    for name, value in values.items():
        number, kind = table[name]
        if isinstance(kind, list):
            for item in value:
                found += _field(number, kind[0], item)
        else:
            found += _field(number, kind, value)
    return bytes(found)


def _field(number: int, kind: Any, value: Any) -> bytes:
    if kind in (int, bool):
        return _varint(number << 3 | _VARINT) + _varint(int(value) % _U64)
    data = value.encode("utf-8", "surrogateescape") if kind is str else encode(kind, value)
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def decode(table: Table, data: bytes) -> dict[str, Any]:
    """The fields that the table has; others are skipped.  ValueError for what is no message."""
    names = {number: (name, kind) for name, (number, kind) in table.items()}
    found: dict[str, Any] = {}
    at = 0
    while at < len(data):
        key, at = _read(data, at)
        wire = key & 7
        value: Any
        if wire == _VARINT:
            value, at = _read(data, at)
        elif wire == _BYTES or wire in _FIXED:
            size, at = _read(data, at) if wire == _BYTES else (_FIXED[wire], at)
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {wire}")
        if at > len(data):
            raise ValueError("it ends too early")
        if key >> 3 in names:
            name, kind = names[key >> 3]
            if (wire == _VARINT) != (kind in (int, bool)):
                raise ValueError(f"{name} has wire type {wire}")
            found[name] = _value(kind, value)
    return found


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number without an end")


def _value(kind: Any, value: Any) -> Any:
    if kind is bool:
        return bool(value)
    if kind is int:
        value %= 2 * _I32  # all numbers of these messages have 32 bits
        return value - 2 * _I32 if value >= _I32 else value
    return value.decode("utf-8", "surrogateescape") if kind is str else decode(kind, value)
