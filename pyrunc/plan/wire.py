"""The program of pyrunc-init as bytes; docs/internals.md has the layout.

Encoding only: the other end is native/wire.c.  Kinds of arguments come from ``ops.INIT``.
"""

from __future__ import annotations

from _struct import pack

from pyrunc.plan.ops import INIT, OPCODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyrunc.plan.ops import Op

MAGIC = 0x31525950
MAX_LENGTH = 64 << 20


def _shape(name: str, arguments: str) -> tuple[int, str, str]:
    """Opcode, kinds, and for an op with numbers only the one format that packs it whole."""
    kinds = "".join(argument.split(":")[1] for argument in arguments.split())
    numbers = "" if kinds.strip("in") else f"<HH{len(kinds)}q"
    return OPCODES[name], kinds, numbers


_SHAPES = {name: _shape(name, arguments) for name, arguments in INIT.items()}


def encode(ops: Iterable[Op]) -> bytes:
    """The complete program; raises ValueError when an op does not fit its shape.

    Only ops of the ``INIT`` table are allowed.
    """
    parts = [b""]
    add = parts.append
    count = 0
    for op in ops:
        opcode, kinds, numbers = _SHAPES[op.name]
        args: Any = op.args
        if len(kinds) != len(args):
            raise ValueError(f"{op!r}: takes {len(kinds)} arguments")
        count += 1
        if numbers:
            add(pack(numbers, opcode, len(kinds), *args))
            continue
        add(pack("<HH", opcode, len(kinds)))
        for kind, value in zip(kinds, args, strict=True):
            if kind == "s":
                add(_string(value))
            elif kind == "i" or kind == "n":
                add(pack("<q", value))
            elif kind == "b":
                add(pack("<I", len(value)))
                add(value)
            else:
                add(pack("<I", len(value)))
                for item in value:
                    add(_string(item) if kind == "l" else pack("<q", item))
    length = 12 + sum(map(len, parts))
    if length > MAX_LENGTH:
        raise ValueError(f"the program has {length} bytes; the limit is {MAX_LENGTH}")
    parts[0] = pack("<III", MAGIC, length, count)
    return b"".join(parts)


def _string(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError(f"a NUL in {value!r}")
    return b"%b%b\0" % (pack("<I", len(data)), data)
