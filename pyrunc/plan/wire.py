"""The program of pyrunc-init as bytes; docs/internals.md has the layout.

Encoding only: the other end is native/wire.c.  Kinds of arguments come from ``ops.INIT``.
"""

from __future__ import annotations

from _struct import pack

from pyrunc.plan.ops import INIT, MAGIC, OPCODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyrunc.plan.ops import Op

MAX_LENGTH = 64 << 20


def _shape(name: str, arguments: str) -> tuple[int, str, str]:
    """Opcode, kinds, and for an op with numbers only the one format that packs it whole."""
    kinds = "".join(argument.split(":")[1] for argument in arguments.split())
    numbers = "" if kinds.strip("in") else f"<HH{len(kinds)}q"
    return OPCODES[name], kinds, numbers


_SHAPES = {name: _shape(name, arguments) for name, arguments in INIT.items()}


#: Encodings of ops by name and arguments: a program that creates many containers repeats most of them.
_known: dict[tuple[str, Any], bytes] = {}
_KNOWN_LIMIT = 4096
_KNOWN_LENGTH = 1024


def encode(ops: Iterable[Op]) -> bytes:
    """The complete program; raises ValueError when an op does not fit its shape.

    Only ops of the ``INIT`` table are allowed.
    """
    parts = [b""]
    for op in ops:
        data = _known.get((op.name, op.args))
        if data is None:
            data = _encode(op)
            if len(data) <= _KNOWN_LENGTH:
                if len(_known) >= _KNOWN_LIMIT:
                    _known.clear()
                _known[op.name, op.args] = data
        parts.append(data)
    length = 12 + sum(map(len, parts))
    if length > MAX_LENGTH:
        raise ValueError(f"the program has {length} bytes; the limit is {MAX_LENGTH}")
    parts[0] = pack("<III", MAGIC, length, len(parts) - 1)
    return b"".join(parts)


def _encode(op: Op) -> bytes:
    opcode, kinds, numbers = _SHAPES[op.name]
    args: Any = op.args
    if len(kinds) != len(args):
        raise ValueError(f"{op!r}: takes {len(kinds)} arguments")
    if numbers:
        return pack(numbers, opcode, len(kinds), *args)
    data = pack("<HH", opcode, len(kinds))
    for kind, value in zip(kinds, args, strict=True):
        if kind == "s":
            data += _string(value)
        elif kind == "i" or kind == "n":
            data += pack("<q", value)
        elif kind == "b":
            data += pack("<I", len(value)) + value
        elif kind == "l":
            data += pack("<I", len(value)) + b"".join(map(_string, value))
        else:
            data += pack(f"<I{len(value)}q", len(value), *value)
    return data


def _string(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError(f"a NUL in {value!r}")
    return pack("<I", len(data)) + data + b"\0"
