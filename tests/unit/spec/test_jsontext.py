"""JSON text: the same values as the json package, and errors that say where."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.errors import SpecError, Violation
from pyrunc.spec import jsontext
from tests.unit.spec.support import refusal

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_a_document_of_the_json_package_reads_as_the_same_value(value: object) -> None:
    assert jsontext.loads(json.dumps(value).encode(), "f") == value


@given(VALUES.filter(lambda value: not surrogate(value)))
def test_what_is_written_is_what_the_json_package_writes(value: object) -> None:
    assert jsontext.dumps(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert jsontext.dumps_pretty(value) == json.dumps(value, ensure_ascii=False, indent=2)
    assert jsontext.loads(jsontext.dumps_pretty(value, "\t").encode(), "f") == value


@given(st.binary())
def test_any_bytes_are_a_value_or_one_violation(data: bytes) -> None:
    error = refusal(data, lambda text: jsontext.loads(text, "f"))
    if error is None:
        json.loads(data.decode())
        return
    assert [violation.path for violation in error.violations] == ["f"]
    with pytest.raises(ValueError):
        json.loads(data.decode(), parse_constant=refuse)


def refuse(text: str) -> None:
    raise ValueError(text)


def surrogate(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


REFUSED = {
    b"": "is empty",
    b" \r\n\t": "is empty",
    b'{"a": 1 "b": 2}': "line 1 column 9: expected ',' delimiter",
    b'{\n  "a": [1,\n  2\n}': "line 4 column 1: expected ',' delimiter",
    b'{"a"}': "line 1 column 5: expected ':' delimiter",
    b'{"a": }': "line 1 column 7: expected a value",
    b"\n nul": "line 2 column 2: expected a value",
    b"{a: 1}": "line 1 column 2: expected property name enclosed in double quotes",
    b'["abc]': "line 1 column 2: unterminated string",
    b'["a\tb"]': "line 1 column 4: invalid control character",
    b'["\\x"]': "line 1 column 3: invalid \\escape",
    b"{}\n{}": "line 2 column 1: more text after the end of the JSON value",
    b"\xef\xbb\xbf{}": "starts with a byte order mark, which JSON must not have",
    b'{"a": "\xff"}': "not UTF-8: byte 0xff at offset 7",
    b'"\xed\xa0\x80"': "not UTF-8: byte 0xed at offset 1",
    b"[NaN]": "NaN is not a number of JSON",
    b"[-Infinity]": "-Infinity is not a number of JSON",
    b"[1e999]": "1e999 is not a number of JSON",
    b"1" * 5000: "a number has too many digits",
    b"[" * 100_000: "nested too deep",
}


@pytest.mark.parametrize("data", REFUSED, ids=lambda data: repr(data[:20]))
def test_text_that_is_no_json_is_refused_with_its_place(data: bytes) -> None:
    with pytest.raises(SpecError) as caught:
        jsontext.loads(data, "config.json")
    assert caught.value.violations == (Violation("config.json", REFUSED[data]),)


def test_an_error_can_be_worded_in_a_process_that_never_imported_json() -> None:
    # Before 3.12 the scanner fails without an exception there.
    program = (
        f"import sys; sys.path.insert(0, {sys.path[0]!r}); sys.path[1:1] = {sys.path[1:]!r}\n"
        "from pyrunc.spec import jsontext\n"
        "assert 'json' not in sys.modules\n"
        "try: jsontext.loads(b'[1 2]', 'f')\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "f: line 1 column 4: expected ',' delimiter\n"


def test_what_json_has_no_form_for_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="bytes has no JSON form"):
        jsontext.dumps({"a": b""})
    with pytest.raises(ValueError):
        jsontext.dumps(float("nan"))
