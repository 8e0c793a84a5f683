"""schemas/isolation.json and the parser say the same of any annotations, and nothing makes the parser fall over."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrunc.spec import isolation, paths
from pyrunc.spec.isolation import COW, KEYS, ROOTFS, TMP, WORKSPACE
from pyrunc.spec.mount_checks import normal
from tests.unit.spec.support import BIND, ISOLATION, OTHER, SCHEMAS, annotated, said


@st.composite
def sizes(draw: st.DrawFn) -> str:
    unit = draw(st.sampled_from(["", *"kKmMgG%"]))
    most = 10 ** isolation.DIGITS[unit.lower()] - 1
    return f"{draw(st.just(most) | st.integers(1, most))}{unit}"


COMPONENT = st.text(st.characters(codec="utf-8", exclude_characters="/,:\0"), min_size=1, max_size=5).filter(
    lambda name: name not in ("..", "proc", "sys")
)
PATH = st.lists(st.sampled_from(["", "."]) | COMPONENT, min_size=1, max_size=4).map(lambda words: "/" + "/".join(words))
BELOW_ROOT = PATH.filter(lambda path: normal(path) != "/")


@st.composite
def sized(draw: st.DrawFn, head: st.SearchStrategy[str]) -> str:
    return draw(head) + draw(st.just("") | sizes().map(",size={}".format))


VALID: dict[str, st.SearchStrategy[str]] = {
    TMP: sized(st.just("private")),
    ROOTFS: sized(st.just("ephemeral")),
    WORKSPACE: sized(st.just("cwd") | BELOW_ROOT),
    COW: st.lists(BELOW_ROOT, min_size=1, max_size=3).map(":".join),
}
#: What is nearly a path or a size, or is one in an unusual form.
DOUBTFUL_PATH = st.builds(
    "{}{}{}".format,
    st.sampled_from(["/", "/", "//", "/./", ""]),
    st.sampled_from(["", ".", "..", "proc", "sys", "a", "process", "...", "..\n", "\n", ".\n", "sys\n", "cwd"]),
    st.sampled_from(["", "", "/", "/.", "/..", "/../a", "/proc", "/x\n", "/\n"]),
)
DOUBTFUL_SIZE = st.builds(
    "{}{}".format,
    st.sampled_from(["", "0", "01", "1", "1\n", *("1" * length for length in range(2, 21))]),
    st.sampled_from(["", *"kKmMgG%", "t", "kk", "\n", "\u212a", " "]),
)
PIECES = st.sampled_from(["private", "ephemeral", "cwd", ",", "size=", "1", "/", "..", "\n", "\u2028", " ", ":", "٣"])


@st.composite
def values(draw: st.DrawFn, key: str) -> str:
    """A valid value, one that is made of doubtful parts, or one with something put in or taken out."""
    value = draw(VALID[key])
    match draw(st.integers(0, 3)):
        case 1:
            head, comma, _ = value.partition(",")
            value = f"{head if key in isolation.WORDS else draw(DOUBTFUL_PATH)}{comma}{comma and 'size='}"
            value += draw(DOUBTFUL_SIZE) if comma else ""
        case 2 if key == COW:
            value = ":".join(draw(st.lists(DOUBTFUL_PATH, max_size=3)))
        case 3:
            place = draw(st.integers(0, len(value)))
            cut = draw(st.integers(0, 2))
            value = value[:place] + draw(st.just("") | PIECES) + value[place + cut :]
    return value


KEY = st.sampled_from([*KEYS, *KEYS, "io.pyrunc.", "io.pyrunc.tmp\n", "io.pyrunc.tmpx", "io.pyruncxtmp", "io.pyrunc"])


@st.composite
def objects(draw: st.DrawFn) -> dict[str, str]:
    keys = draw(st.lists(KEY, max_size=3, unique=True))
    return {key: draw(values(key if key in KEYS else TMP)) for key in keys}


@pytest.mark.parametrize("key", KEYS)
@settings(max_examples=1000)
@given(st.data())
def test_the_schema_and_the_parser_agree_on_a_value(key: str, data: st.DataObject) -> None:
    annotations = {key: data.draw(values(key))}
    assert ISOLATION.is_valid(annotations) == (not list(isolation.syntax(annotations)))


@given(objects())
def test_the_schema_and_the_parser_agree_on_many_annotations(annotations: dict[str, str]) -> None:
    assert ISOLATION.is_valid(annotations) == (not list(isolation.syntax(annotations)))


@given(st.fixed_dictionaries({}, optional=VALID))
def test_everything_valid_is_accepted_by_both_and_read_as_it_was_meant(annotations: dict[str, str]) -> None:
    assert list(isolation.syntax(annotations)) == []
    assert ISOLATION.is_valid(annotations)
    asked = isolation.read(annotations, {})
    assert {f"io.pyrunc.{name}" for name in asked} == annotations.keys()
    for name, wish in asked.items():
        assert isinstance(wish, dict)
        value = annotations[f"io.pyrunc.{name}"]
        assert wish["where"] == paths.join("annotations", f"io.pyrunc.{name}")
        if "size" in wish:
            assert value.lower().endswith(f",size={wish['size']}") if wish["size"] else ",size=" not in value
    if "workspace" in asked and asked["workspace"]["path"] != "cwd":
        assert asked["workspace"]["path"] == normal(annotations[WORKSPACE].partition(",")[0])
    if "cow" in asked:
        assert ":".join(asked["cow"]["destinations"]) == ":".join(map(normal, annotations[COW].split(":")))


@given(objects())
def test_a_flag_is_refused_exactly_when_its_annotation_would_be(annotations: dict[str, str]) -> None:
    for key in KEYS.keys() & annotations.keys():
        refused = [violation.reason for violation in isolation.syntax({key: annotations[key]})]
        assert (isolation.flag_problem(key, annotations[key]) or "") == "; ".join(refused)
        assert [violation.path for violation in isolation.syntax({}, {key: annotations[key]})] == [KEYS[key][0]] * len(
            refused
        )


@settings(max_examples=300)
@given(objects(), st.sampled_from(["/", "/tmp", "/data", "/work", "x", "/.."]))
def test_any_annotations_are_taken_or_refused_on_lines_of_their_own(annotations: dict[str, str], cwd: str) -> None:
    document = annotated({}, BIND, OTHER, cwd=cwd)
    document["annotations"] = annotations
    for line in said(document):
        assert line.startswith(("annotations[", "process.cwd: "))


def test_the_schema_is_a_schema_and_names_what_there_is() -> None:
    schema = json.loads((SCHEMAS / "isolation.json").read_text())
    jsonschema.Draft4Validator.check_schema(schema)
    assert list(schema["properties"]) == list(KEYS)
    for key, (_, form) in KEYS.items():
        assert schema["properties"][key]["description"].startswith(form + ":")
