"""The wire: what goes in comes out, byte by byte as docs/internals.md has it; what does not fit is refused."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.plan.ops import INIT, MAGIC, OPCODES, Op
from pyrunc.plan.wire import encode

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
INTEGER = st.integers(-(1 << 63), (1 << 63) - 1)
VALUES: dict[str, Any] = {
    "i": INTEGER,
    "n": INTEGER,
    "s": TEXT,
    "b": st.binary(max_size=40),
    "l": st.lists(TEXT, max_size=4).map(tuple),
    "v": st.lists(INTEGER, max_size=4).map(tuple),
}


def kinds(name: str) -> list[str]:
    return [argument.split(":")[1] for argument in INIT[name].split()]


@st.composite
def operations(draw: st.DrawFn) -> list[Op]:
    names = draw(st.lists(st.sampled_from(sorted(INIT)), max_size=8))
    return [Op(name, tuple(draw(VALUES[kind]) for kind in kinds(name)), "") for name in names]


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return int(value)

    def string(self) -> str:
        length = self.take("<I")
        text = self.data[self.at : self.at + length]
        assert self.data[self.at + length] == 0
        self.at += length + 1
        return text.decode("utf-8", "surrogateescape")

    def value(self, kind: str) -> object:
        if kind in "in":
            return self.take("<q")
        if kind == "s":
            return self.string()
        if kind == "b":
            length = self.take("<I")
            self.at += length
            return self.data[self.at - length : self.at]
        count = self.take("<I")
        return tuple(self.string() if kind == "l" else self.take("<q") for _ in range(count))


@given(operations())
def test_a_program_reads_back_as_it_was_written(ops: list[Op]) -> None:
    reader = Reader(encode(ops))
    assert reader.take("<I") == MAGIC
    assert reader.take("<I") == len(reader.data)
    assert reader.take("<I") == len(ops)
    for op in ops:
        assert reader.take("<H") == OPCODES[op.name]
        assert reader.take("<H") == len(op.args)
        assert tuple(reader.value(kind) for kind in kinds(op.name)) == op.args
    assert reader.at == len(reader.data)


def test_bytes_that_are_not_utf8_arrive_as_they_came() -> None:
    assert b"caf\xe9\0" in encode([Op("hostname", ("caf\udce9",), "")])


@pytest.mark.parametrize(
    "op",
    [Op("hostname", (), ""), Op("hostname", ("a\0b",), ""), Op("umask", (1, 2), ""), Op("execve", (("a\0",), ()), "")],
)
def test_an_op_that_does_not_fit_its_shape_is_refused(op: Op) -> None:
    with pytest.raises((ValueError, struct.error)):
        encode([op])


def test_a_runtime_op_never_reaches_the_wire() -> None:
    with pytest.raises(KeyError):
        encode([Op("cgroup_create", ("/x",), "")])
