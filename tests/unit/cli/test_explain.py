"""docs/errors.md has an entry for every text of an error, and ``explain`` finds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pyrunc
from pyrunc.cli import explain, lean
from pyrunc.errors import UsageError
from tests.support import raised

PACKAGE = Path(pyrunc.__path__[0])
ENTRIES = explain.read()
TEXTS = {text: entry for entry in ENTRIES for text in entry.texts}
PLACES = list(raised.places(PACKAGE))

#: Texts that the source has in another form: of the native program, of the C library, of json.
ELSEWHERE = re.compile(
    r"NOTIFY_SOCKET: …|exec(:| …:) .*|"
    r"permission denied|operation not permitted|no such file or directory|no space left on device|"
    r"cannot allocate memory|resource temporarily unavailable|too many open files|device or resource busy|"
    r"read-only file system|…: expected …|there is no D-Bus"
)


def test_every_place_that_makes_an_error_has_an_entry() -> None:
    missing = [place for place in PLACES if place.text and place.text not in TEXTS]
    assert not missing, (
        "add these texts to an entry of docs/errors.md, or write one that says what to do:\n"
        + "\n".join(f"    {place.text}    ({place.path}:{place.line})" for place in missing)
    )


def test_every_text_of_an_entry_has_a_place() -> None:
    made = {place.text for place in PLACES}
    assert [text for text in TEXTS if text not in made and not ELSEWHERE.fullmatch(text)] == []


def test_entries_have_names_of_their_own_texts_and_advice() -> None:
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    assert len(TEXTS) == sum(len(entry.texts) for entry in ENTRIES)
    for entry in ENTRIES:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.name)
        assert entry.texts
        assert len(entry.advice) > 20, entry.name


@pytest.mark.parametrize("text", TEXTS)
def test_a_message_leads_to_its_entry(text: str) -> None:
    filled = text.replace("…", "FILLED")
    message = f"level=error msg=/some/where: {filled} (a hint)"
    assert TEXTS[text] in explain.find(message, ENTRIES)


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("pyrunc: box: container does not exist", ["no-such-container"]),
        ("exec failed: cannot exec in a paused container (use --ignore-paused to override)", ["paused"]),
        ("CONTAINER NOT\n  RUNNING", ["not-running"]),
        ("--log /x/log: permission denied", ["log-file", "permission-denied"]),
        ("/x/config.json: permission denied", ["permission-denied"]),
        ("linux.resources.memory.swap: is less than memory.limit (1024): it is the sum of both",
         ["contradicting-fields"]),
        ("no-such-container", ["no-such-container"]),
        ("mycontainer not running2", []),
        ("something else", []),
    ],
)  # fmt: skip
def test_what_is_found_for_a_message(message: str, names: list[str]) -> None:
    assert [entry.name for entry in explain.find(message, ENTRIES)] == names


def test_the_command_prints_entries_or_all_names(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lean.main(["explain", "box:", "container", "does", "not", "exist"]) == 0
    said = capfd.readouterr().out
    assert said.startswith("no-such-container\n    container does not exist\n\nNo container of that id")
    assert lean.main(["explain"]) == 0
    assert len(capfd.readouterr().out.splitlines()) == len(ENTRIES)
    assert lean.main(["explain", "nobody knows this"]) == 1
    assert capfd.readouterr().err.startswith("pyrunc: no error that is known has this text")


def test_standard_input_is_a_message() -> None:
    assert explain.explain(["-"], "pyrunc: x: container does not exist\n").startswith("no-such-container\n")
    with pytest.raises(UsageError):
        explain.explain(["-"], "")


def test_texts_are_read_from_source_in_every_form() -> None:
    source = """
def f(x):
    reason = f"because of {x}" if x else "for no reason"
    raise HostError(reason, where="a")
def g(b):
    b.problem("a.b", "left " + str(b) + " right")
    raise OpFailed(why(b), op="x")
def why(b):
    if b:
        return ""
    return f"{b}{b} is odd"
def h(error):
    raise SpecError(TABLE[error](1))
def one(x):
    return "one of these"
TABLE = {"a": one}
raise StateError(str(1))
"""
    assert [place.text for place in raised.of_source("x.py", source)] == [
        "", "because of …", "for no reason", "left … right", "… is odd", "one of these",
    ] or {place.text for place in raised.of_source("x.py", source)} == {
        "", "because of …", "for no reason", "left … right", "… is odd", "one of these",
    }  # fmt: skip
