"""The program of pyrunc-init as bytes; docs/internals.md has the layout.

Encoding only: the other end is native/wire.c.  Kinds of arguments come from ``ops.INIT``.
"""

from __future__ import annotations

from _struct import pack

from .ops import INIT, OPCODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .ops import Op

MAGIC = 0x31525950
MAX_LENGTH = 64 << 20

#: name -> (opcode, kinds as a string), derived once
_SHAPES = {
    name: (OPCODES[name], "".join(argument.split(":")[1] for argument in shape.split()))
    for name, shape in INIT.items()
}


def text(value: str) -> bytes:
    """A string as the kernel will see it; bytes that came undecoded go back as they came."""
    return value.encode("utf-8", "surrogateescape")


def encode(ops: Iterable[Op]) -> bytes:
    """The complete program; raises ValueError when an op does not fit its shape.

    Only ops of the ``INIT`` table are allowed.
    """
    parts = [b""]
    add = parts.append
    count = 0
    for op in ops:
        opcode, kinds = _SHAPES[op.name]
        if len(kinds) != len(op.args):
            raise ValueError(f"{op!r}: takes {len(kinds)} arguments")
        add(pack("<HH", opcode, len(kinds)))
        count += 1
        for kind, value in zip(kinds, op.args):
            if kind == "i" or kind == "n":
                add(pack("<q", value))
            elif kind == "s":
                add(_string(value))  # type: ignore[arg-type]
            elif kind == "b":
                add(pack("<I", len(value)))  # type: ignore[arg-type]
                add(value)  # type: ignore[arg-type]
            else:
                add(pack("<I", len(value)))  # type: ignore[arg-type]
                for item in value:  # type: ignore[union-attr]
                    add(_string(item) if kind == "l" else pack("<q", item))  # type: ignore[arg-type]
    length = 12 + sum(map(len, parts))
    if length > MAX_LENGTH:
        raise ValueError(f"the program has {length} bytes; the limit is {MAX_LENGTH}")
    parts[0] = pack("<III", MAGIC, length, count)
    return b"".join(parts)


def _string(value: str) -> bytes:
    data = text(value)
    if b"\0" in data:
        raise ValueError(f"a NUL in {value!r}")
    return pack("<I", len(data)) + data + b"\0"
