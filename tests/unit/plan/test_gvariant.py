"""The text form of D-Bus values, as annotations and plans have it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jeepney import DBusAddress, new_method_call

from pyrunc.plan.systemd.gvariant import parse, quoted


@pytest.mark.parametrize(
    ("text", "signature", "value"),
    [
        ("uint64 123456789", "t", 123456789),
        ("'inactive-or-failed'", "s", "inactive-or-failed"),
        ('"double"', "s", "double"),
        ("true", "b", True),
        ("false", "b", False),
        ("5", "i", 5),
        ("-3", "i", -3),
        ("0x10", "i", 16),
        ("1.5", "d", 1.5),
        ("1e3", "d", 1000.0),
        ("double 5", "d", 5.0),
        ("byte 255", "y", 255),
        ("int16 -1", "n", -1),
        ("uint16 1", "q", 1),
        ("uint32 1", "u", 1),
        ("int64 -1", "x", -1),
        ("@t 7", "t", 7),
        ("objectpath '/a/b'", "o", "/a/b"),
        ("signature 'a{sv}'", "g", "a{sv}"),
        ("['a', 'b']", "as", ["a", "b"]),
        ("@as []", "as", []),
        ("@ay [0x03, 1]", "ay", b"\x03\x01"),
        ("[byte 1, 2]", "ay", b"\x01\x02"),
        ("b'abc'", "ay", b"abc\0"),
        ("[[1], [2, 3]]", "aai", [[1], [2, 3]]),
        ("('a', uint64 1, true)", "(stb)", ("a", 1, True)),
        ("(1,)", "(i)", (1,)),
        ("@a(ss) [('/dev/char/1:3', 'rw')]", "a(ss)", [("/dev/char/1:3", "rw")]),
        ("[('a', uint64 1), ('b', 2)]", "a(st)", [("a", 1), ("b", 2)]),
        ("{'a': <5>, 'b': <'x'>}", "a{sv}", {"a": ("i", 5), "b": ("s", "x")}),
        ("@a{ss} {}", "a{ss}", {}),
        ("<@u 5>", "v", ("u", 5)),
        (r"'a\n\tb\\\'\u00e9\U0001F600'", "s", "a\n\tb\\'é😀"),
        ("  [ 1 ,2 ]\n", "ai", [1, 2]),
    ],
)
def test_a_value_has_the_type_that_it_says_or_that_it_looks_like(text: str, signature: str, value: object) -> None:
    assert parse(text) == (signature, value)
    assert type(parse(text)[1]) is type(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a value was expected at character 1"),
        ("infinity please", "the end was expected at character 10"),
        ("foo", "a value was expected at character 1"),
        ("1_0", "a value was expected at character 1"),
        ("007", "a value was expected at character 1"),
        ("uint64 -1", "-1 is out of range for uint64 at character 8"),
        ("2147483648", "2147483648 is out of range for int32 at character 1"),
        ("uint64 1.5", "a value of type uint64 was expected at character 8"),
        ("string 5", "a value of type string was expected at character 8"),
        ("boolean 1", "a value of type boolean was expected at character 9"),
        ("'abc", "a string does not end that begins at character 1"),
        ("[1, 'a']", "a value of type int32 was expected at character 5"),
        ("@as ['a', 5]", "a value of type string was expected at character 11"),
        ("@(ss) ('a',)", "a value of type (ss) was expected at character 7"),
        ("@(s) ('a', 'b')", "a value of type (s) was expected at character 6"),
        ("[1 2]", ", was expected at character 4"),
        ("[1", ", was expected at character 3"),
        ("[]", "an empty array needs a type, such as @as [] at character 1"),
        ("{}", "an empty dictionary needs a type, such as @a{ss} {} at character 1"),
        ("{[1]: 2}", "the key of a dictionary is a basic type at character 2"),
        ("()", "D-Bus has no empty structs at character 1"),
        ("<1", "> was expected at character 3"),
        ("@z 5", "no signature of D-Bus (z is no type of D-Bus that can be written down) at character 2"),
        ("@a{vs} {}", "no signature of D-Bus (the key of a dictionary is no basic type) at character 2"),
        ("@ 5", "no signature of D-Bus (  is no type of D-Bus that can be written down) at character 2"),
        ("handle 3", "a file descriptor cannot be written down at character 1"),
        (r"'\u00'", r"\u needs the 4 hexadecimal digits of a character at character 2"),
        (r"'\u0000'", r"\u needs the 4 hexadecimal digits of a character at character 2"),
        (r"'\ud800'", r"\u needs the 4 hexadecimal digits of a character at character 2"),
        ("nothing", "a value was expected at character 1"),
        ("just 5", "a value was expected at character 1"),
        ("[" * 1000, "nested too deeply at character 33"),
        ("@" + "a" * 1000, "no signature of D-Bus (no type) at character 2"),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as error:
        parse(text)
    assert str(error.value) == reason


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_every_string_can_be_quoted(text: str) -> None:
    assert parse(quoted(text)) == ("s", text)
    assert quoted(text).isprintable()


@given(st.text("0123456789-.eExabfi'\"[]{}()<>,: @stvuoynqd\\", max_size=30))
def test_whatever_the_text_it_is_a_value_that_the_bus_takes_or_a_value_error(text: str) -> None:
    try:
        found: tuple[str, Any] = parse(text)
    except ValueError:
        return
    if found[0] in ("o", "g") or "o" in found[0] or "g" in found[0]:
        return  # these have an inner form that systemd judges
    message = new_method_call(DBusAddress("/", "a.b", "a.b"), "M", "v", (found,))
    assert message.serialise(serial=1)
