"""The decoder takes every program that follows the table, and no other; it never reads beyond the end."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrunc.plan.ops import INIT, MAGIC, SLOT_LIMIT, Op
from pyrunc.plan.wire import encode
from tests.native.driver import NOT_AN_OP, drive, memfd, ops

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ["".join(argument.split(":")[1] for argument in shape.split()) for shape in INIT.values()]
SANITIZERS = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=0", "UBSAN_OPTIONS": "exitcode=98"}

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1)
values = {
    "i": numbers,
    "n": st.integers(-1, SLOT_LIMIT - 1),
    "s": texts,
    "b": st.binary(max_size=20),
    "l": st.lists(texts, max_size=4).map(tuple),
    "v": st.lists(numbers, max_size=4).map(tuple),
}
any_op = st.sampled_from(list(zip(INIT, KINDS, strict=True))).flatmap(
    lambda op: st.tuples(*(values[kind] for kind in op[1])).map(lambda args: Op(op[0], args, ""))
)
programs = st.lists(any_op, max_size=6).map(encode)


class Reader:
    """The wire format once more, as docs/internals.md has it: the model for the C decoder."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise ValueError
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def string(self) -> None:
        if b"\0" in self.take(self.number("<I")) or self.take(1) != b"\0":
            raise ValueError

    def argument(self, kind: str) -> None:
        if kind in "in":
            value = self.number("<q")
            if kind == "n" and not -1 <= value < SLOT_LIMIT:
                raise ValueError
        elif kind == "s":
            self.string()
        elif kind == "b":
            self.take(self.number("<I"))
        else:
            for _ in range(self.number("<I")):
                self.string() if kind == "l" else self.number("<q")


def is_valid(data: bytes) -> bool:
    reader = Reader(data)
    try:
        magic, length, count = struct.unpack("<III", reader.take(12))
        if magic != MAGIC or length != len(data):
            return False
        for _ in range(count):
            opcode, given_arguments = struct.unpack("<HH", reader.take(4))
            if opcode >= len(KINDS) or given_arguments != len(KINDS[opcode]):
                return False
            for kind in KINDS[opcode]:
                reader.argument(kind)
    except ValueError:
        return False
    return reader.at == len(data)


def judge(executable: Path, data: bytes) -> None:
    outcome = drive(executable, data, "decode", env=SANITIZERS)
    (status,) = outcome.statuses.values()
    assert not outcome.stderr
    if is_valid(data):
        assert (status, outcome.messages) == (0, [])
    else:
        assert status == 1
        assert outcome.failed(errno.EPROTO, NOT_AN_OP)


relaxed = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@given(program=programs)
def test_every_program_of_the_encoder_is_accepted(sanitized: Path, program: bytes) -> None:
    assert is_valid(program)
    judge(sanitized, program)


@relaxed
@given(program=programs, data=st.data())
def test_a_program_with_changed_bytes_is_judged_like_by_the_model(
    sanitized: Path, program: bytes, data: st.DataObject
) -> None:
    changed = bytearray(program)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        interesting = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)
        changed[at] = data.draw(interesting)
    judge(sanitized, bytes(changed))


@relaxed
@given(program=programs, data=st.data())
def test_a_program_that_is_cut_off_or_longer_is_refused(sanitized: Path, program: bytes, data: st.DataObject) -> None:
    cut = program[: data.draw(st.integers(0, len(program)))] + data.draw(st.binary(max_size=9))
    if len(cut) >= 8 and data.draw(st.booleans()):
        cut = cut[:4] + struct.pack("<I", len(cut)) + cut[8:]
    judge(sanitized, cut)


@relaxed
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_behind_a_valid_header_are_judged_like_by_the_model(sanitized: Path, data: bytes) -> None:
    judge(sanitized, struct.pack("<III", MAGIC, len(data) + 12, 1) + data)


@pytest.mark.parametrize("count", [0xFFFFFFFF, 0x80000000, 0x20000000, 5])
@pytest.mark.parametrize("name", ["find_executable", "join_namespaces", "seccomp", "hostname"])
def test_a_count_or_length_beyond_the_end_is_refused(sanitized: Path, name: str, count: int) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "find_executable": ("x", ()),
        "join_namespaces": ((), ()),
        "seccomp": (b"", 0, 0),
        "hostname": ("",),
    }
    program = bytearray(encode([Op(name, arguments[name], "")]))
    at = {"find_executable": -4, "join_namespaces": -4, "seccomp": 16, "hostname": 16}[name] % len(program)
    program[at : at + 4] = struct.pack("<I", count)
    judge(sanitized, bytes(program))


def test_the_message_says_which_rule_is_broken_and_where(testing: Path) -> None:
    program = bytearray(encode(ops(("setsid",), ("hostname", "name"))))
    program[-1] = 1
    detail = drive(testing, bytes(program)).failed(errno.EPROTO, NOT_AN_OP)
    assert detail == "the program is broken: a string without its NUL in operation 1"


def test_nothing_runs_before_the_whole_program_was_checked(testing: Path) -> None:
    program = encode(ops(("ready",), ("ready",)))
    cut = program[:4] + struct.pack("<I", len(program) - 1) + program[8:-1]
    outcome = drive(testing, cut)
    assert [message.errno for message in outcome.messages] == [errno.EPROTO]


def test_a_program_that_could_still_change_is_refused(testing: Path) -> None:
    outcome = drive(testing, encode([]), seals=0)
    assert outcome.failed(errno.EPROTO, NOT_AN_OP) == "the program is not sealed"


@pytest.mark.parametrize("argument", ["what", "8=", "=8", "2048=3", "8=x", "-1=3"])
def test_an_argument_that_is_no_preset_slot_is_refused(ordinary: Path, argument: str) -> None:
    assert argument in drive(ordinary, encode([]), argument).failed(errno.EPROTO, NOT_AN_OP)


@pytest.mark.parametrize("argument", ["decode", "fail=0:1", "stop=0"])
def test_the_ordinary_build_does_not_know_the_arguments_of_tests(ordinary: Path, argument: str) -> None:
    drive(ordinary, encode([]), argument).failed(errno.EPROTO, NOT_AN_OP)


def test_memfd_helper_seals() -> None:
    """What the tests above rely on."""
    import fcntl
    import os

    fd = memfd(b"x")
    try:
        assert fcntl.fcntl(fd, 1034) == 0xF
    finally:
        os.close(fd)
