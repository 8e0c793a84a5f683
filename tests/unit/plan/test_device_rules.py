"""The device rules as an eBPF program: a small interpreter runs it beside a plain reading of the rules."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.plan.device_rules import Rule, program, rules

READ, WRITE, MKNOD = "r", "w", "m"
BITS = {"m": 1, "r": 2, "w": 4}


def run(code: bytes, kind: str, access: str, major: int, minor: int) -> bool:
    """Interpret the handful of instructions that the generator uses."""
    context = struct.pack("<III", sum(BITS[a] for a in access) << 16 | {"b": 1, "c": 2}[kind], major, minor)
    registers = [0] * 11
    at = 0
    while True:
        op, regs, off, imm = struct.unpack_from("<BBhi", code, at * 8)
        dst, src = regs & 15, regs >> 4
        at += 1
        if op == 0x61:
            registers[dst] = struct.unpack_from("<I", context, off)[0]
        elif op == 0xBF:
            registers[dst] = registers[src]
        elif op == 0xB7:
            registers[dst] = imm
        elif op == 0x57:
            registers[dst] &= imm
        elif op == 0x77:
            registers[dst] >>= imm
        elif op == 0x55:
            at += off if registers[dst] != imm else 0
        elif op == 0x15:
            at += off if registers[dst] == imm else 0
        elif op == 0x5D:
            at += off if registers[dst] != registers[src] else 0
        elif op == 0x95:
            return bool(registers[0])
        else:
            raise AssertionError(hex(op))


def decide(found: list[Rule], kind: str, access: str, major: int, minor: int) -> bool:
    """The last rule that matches: one that allows covers all of the access, one that denies any of it."""
    for rule in reversed(found):
        numbers = rule.major in (None, major) and rule.minor in (None, minor)
        if rule.kind not in ("a", kind) or not numbers:
            continue
        if set(access) <= set(rule.access) if rule.allow else set(access) & set(rule.access):
            return rule.allow
    return False


ACCESS = st.sets(st.sampled_from("rwm"), min_size=1).map(lambda letters: "".join(sorted(letters)))
NUMBER = st.sampled_from([None, 0, 1, 5])
RULES = st.lists(st.builds(Rule, st.booleans(), st.sampled_from("abc"), NUMBER, NUMBER, ACCESS), max_size=6)


@given(RULES, st.sampled_from("bc"), ACCESS, st.sampled_from([0, 1, 5, 9]), st.sampled_from([0, 1, 5, 9]))
def test_the_program_decides_as_the_rules_say(
    found: list[Rule], kind: str, access: str, major: int, minor: int
) -> None:
    assert run(program(found), kind, access, major, minor) == decide(found, kind, access, major, minor)


@pytest.mark.parametrize(
    ("major", "minor", "allowed"), [(1, 3, True), (1, 11, False), (136, 7, True), (10, 229, False)]
)
def test_default_devices_are_open_and_others_closed(major: int, minor: int, allowed: bool) -> None:
    assert run(program(rules([])), "c", "rw", major, minor) is allowed


def test_a_node_of_anything_may_be_made_but_not_opened() -> None:
    code = program(rules([]))
    assert run(code, "b", "m", 8, 0)
    assert not run(code, "b", "rm", 8, 0)


def test_a_privileged_config_allows_everything() -> None:
    assert run(program(rules([{"allow": True, "access": "rwm"}])), "b", "rwm", 8, 0)


def test_a_narrow_rule_for_all_types_is_two_lines_on_v1() -> None:
    assert Rule(True, "a", 1, None, "r").v1_lines() == ["b 1:* r", "c 1:* r"]
    assert Rule(False, "a", None, None, "rwm").v1_lines() == ["a"]
    assert Rule(True, "c", 1, 3, "rw").v1_lines() == ["c 1:3 rw"]
