"""The manual pages: complete, the same at each build, and without a complaint of what formats them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyrunc.cli.commands import COMMANDS, GLOBAL
from pyrunc.cli.manual import page, roff, texts
from pyrunc.cli.manual.examples import EXAMPLES

PAGES = page.pages()
CHECKOUT = Path(__file__).parents[3]


def plain(text: str) -> str:
    """A page without what is for roff: words in one line."""
    for mark in (roff.BOLD, roff.ITALIC, roff.ROMAN):
        text = text.replace(mark, "")
    return " ".join(text.replace(r"\-", "-").replace(r"\(aq", "'").split())


def test_the_program_and_every_command_has_a_page() -> None:
    assert set(PAGES) == {"pyrunc.8", *(f"pyrunc-{name}.8" for name in COMMANDS)}


def test_every_command_has_texts_and_examples_and_none_is_of_another() -> None:
    assert set(texts.COMMANDS) == set(COMMANDS)
    assert set(EXAMPLES) == {"", *COMMANDS}
    for name, said in texts.COMMANDS.items():
        assert set(said.also) <= set(COMMANDS) - {name}


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_a_page_has_every_option_and_every_section(name: str) -> None:
    text = PAGES[f"pyrunc-{name}.8" if name else "pyrunc.8"]
    for option in COMMANDS[name].options if name else GLOBAL:
        assert f"--{option.name}" in plain(text)
        assert " ".join(option.help.split()).lower() in plain(text).lower()
    sections = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]
    assert [line[4:] for line in text.splitlines() if line.startswith(".SH ") and line[4:] in sections] == sections


def test_the_program_names_every_page() -> None:
    for name in COMMANDS:
        assert f"pyrunc-{name}(8)" in plain(PAGES["pyrunc.8"])


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.needs("mandoc")
def test_mandoc_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(PAGES[name])
    done = subprocess.run(["mandoc", "-Tlint", str(tmp_path / name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.needs("groff")
def test_groff_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(PAGES[name])
    words = ["groff", "-man", "-ww", "-z", "-Tutf8", str(tmp_path / name)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.needs("mandoc")
def test_what_is_to_be_typed_can_be_copied_from_the_page(tmp_path: Path) -> None:
    for name, examples in EXAMPLES.items():
        file = tmp_path / "page.8"
        file.write_text(PAGES[f"pyrunc-{name}.8" if name else "pyrunc.8"])
        words = ["mandoc", "-Tutf8", "-Owidth=200", str(file)]
        shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        readable = "".join(  # a bold letter is printed twice, with a backspace between
            character for at, character in enumerate(shown) if character != "\b" and shown[at + 1 : at + 2] != "\b"
        )
        for example in examples.shown:
            for line in example.lines:
                assert line in readable


def test_the_same_source_makes_the_same_pages_and_needs_no_library(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-S", "-m", "pyrunc.cli.manual", tmp_path], cwd=CHECKOUT, check=True, env={})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == PAGES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`--root` *DIR* is it", r"\fB\-\-root\fR \fIDIR\fR is it"),
        (".a line", r"\&.a line"),
        ("One. Two", "One.\nTwo"),
        ("a\\b", r"a\eb"),
        ("`'a' \"b\" \\`", r"\fB\(aqa\(aq \(dqb\(dq \e\fR"),
    ],
)
def test_running_text_becomes_roff(text: str, expected: str) -> None:
    assert roff.prose(text) == expected
