"""Command lines that real callers use: both parsers of pyrunc accept them, and read the same from them.

The lines are in ``corpus``; test_corpus_program.py gives them to the program.
"""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cli import lean, rich
from pyrunc.cli.commands import BOOLEANS, COMMANDS, FLAGS, GLOBAL, REPEATABLE, Command, Option
from pyrunc.cli.failure import Misuse
from tests.callers.corpus import CORPUS, REFUSED


def both(words: list[str]) -> tuple[lean.Line | None, lean.Line | int | None]:
    """What each parser says; None for a refusal."""
    lean_says: lean.Line | None
    rich_says: lean.Line | int | None
    try:
        lean_says = lean.parse(words)
    except lean.Refused:
        lean_says = None
    try:
        rich_says = rich.read(words)
    except Misuse:
        rich_says = None
    return lean_says, rich_says


@pytest.mark.parametrize("line", CORPUS)
def test_both_parsers_accept_what_callers_say_and_agree_on_it(line: str) -> None:
    words = shlex.split(line)
    lean_says, rich_says = both(words)
    assert lean_says is not None
    assert rich_says == lean_says


def test_no_line_is_there_twice() -> None:
    assert sorted(set(CORPUS)) == sorted(CORPUS)


@pytest.mark.parametrize("line", REFUSED)
def test_both_parsers_refuse_what_pyrunc_does_not_know(line: str) -> None:
    assert both(shlex.split(line)) == (None, None)


def test_what_callers_say_is_what_is_understood() -> None:
    line = lean.parse(
        shlex.split("--log=L --rootless=T exec -e A=B --env=C=D=E -g 1 -g 2 -t=false -u 1:2 --cwd - ID ls -l --")
    )
    assert line.command is COMMANDS["exec"]
    assert line.arguments == ["ID", "ls", "-l", "--"]
    assert line.globals == {
        "debug": False,
        "log": "L",
        "log-format": "text",
        "root": None,
        "systemd-cgroup": False,
        "cgroup-manager": "cgroupfs",
        "rootless": "true",
        "private-tmp": False,
        "workspace": None,
        "ephemeral-rootfs": False,
        "cow": [],
    }
    changed = {name: value for name, value in line.options.items() if value not in (None, False, 0, [])}
    assert changed == {
        "env": ["A=B", "C=D=E"],
        "additional-gids": [1, 2],
        "user": "1:2",
        "cwd": "-",
    }


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("--private-tmp", True),
        ("--private-tmp=true", True),
        ("-private-tmp=1", True),
        ("--private-tmp=false", False),
        ("--private-tmp=F", False),
        ("--private-tmp=size=64m", "size=64m"),
        ("--private-tmp=no", "no"),
        ("--private-tmp=", ""),
    ],
)
def test_a_value_that_may_be_left_out_is_yes_no_or_text(word: str, value: bool | str) -> None:
    for line in both([word, "list"]):
        assert isinstance(line, lean.Line)
        found = line.globals["private-tmp"]
        assert (type(found), found) == (type(value), value)
    last_wins = lean.parse([word, "--private-tmp=size=1m", "list"])
    assert last_wins.globals["private-tmp"] == "size=1m"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


def value(option: Option) -> st.SearchStrategy[str]:
    if option.kind in ("count", "ids"):
        return st.integers(0, 2**32 - 1).map(str)
    if option.kind == "choice":
        return st.sampled_from(option.choices)
    if option.kind == "switch":
        return st.sampled_from([*BOOLEANS, "auto"])
    return TEXT


@st.composite
def spelled(draw: st.DrawFn, option: Option) -> list[str]:
    """One use of an option, in one of the forms that Go's flag package has for it."""
    name = draw(st.sampled_from(["-", "--"])) + draw(st.sampled_from([option.name, option.short or option.name]))
    if option.kind in FLAGS:
        return [draw(st.sampled_from([name, *(f"{name}={word}" for word in BOOLEANS)]))]
    if option.kind == "optional":
        return [draw(st.sampled_from([name, *(f"{name}={word}" for word in (*BOOLEANS, "size=1m", "", "-", "="))]))]
    text = draw(value(option))
    return draw(st.sampled_from([[name, text], [f"{name}={text}"]]))


def uses(table: tuple[Option, ...]) -> st.SearchStrategy[list[list[str]]]:
    return st.lists(st.sampled_from(table).flatmap(spelled), max_size=4) if table else st.just([])


@st.composite
def correct(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """A correct command line, and its positional arguments."""
    command: Command = draw(st.sampled_from(list(COMMANDS.values())))
    most = command.most if command.most >= 0 else command.least + 3
    positional = TEXT.filter(lambda text: not text.startswith("-") or text == "-")
    arguments = draw(st.lists(positional, min_size=command.least, max_size=most))
    chunks = draw(uses(command.options))
    if command.interspersed:
        chunks = draw(st.permutations([*chunks, *([word] for word in arguments)]))
        arguments = [chunk[0] for chunk in chunks if len(chunk) == 1 and chunk[0] in arguments]
        words = [word for chunk in chunks for word in chunk]
    else:
        rest = draw(st.lists(TEXT, max_size=3)) if command.most < 0 else []
        arguments = [*arguments, *rest]
        words = [*(word for chunk in chunks for word in chunk), *arguments]
    before = [word for chunk in draw(uses(GLOBAL)) for word in chunk]
    return [*before, command.name, *words], arguments


@given(correct())
def test_every_spelling_of_a_correct_line_is_read_the_same_by_both(line: tuple[list[str], list[str]]) -> None:
    words, arguments = line
    lean_says, rich_says = both(words)
    assert lean_says is not None
    assert lean_says.arguments == arguments
    assert rich_says == lean_says


FRAGMENTS = sorted(
    {
        f"{dash}{name}{tail}"
        for table in (GLOBAL, *(command.options for command in COMMANDS.values()))
        for option in table
        for name in (option.name, option.short)
        if name
        for dash in ("-", "--")
        for tail in ("", "=", "=true", "=1")
    }
    | {"-", "--", "---", "--=", "", "a", "1", "-1", "--bogus", "-x=y", "json", "=", "-=", "--no", "-dt"}
    | set(COMMANDS)
)


@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=8))
def test_both_agree_on_any_line_whether_it_is_one(words: list[str]) -> None:
    lean_says, rich_says = both(words)
    if rich_says != 0:  # 0: it printed the program's help, since no command was named
        assert rich_says == lean_says
    else:
        assert lean_says is None


@given(st.sampled_from(list(COMMANDS.values())), st.lists(st.sampled_from(FRAGMENTS), max_size=6))
def test_both_agree_behind_any_command(command: Command, words: list[str]) -> None:
    lean_says, rich_says = both([command.name, "ID", *words])
    assert rich_says == lean_says


def test_values_of_repeatable_options_are_lists_of_their_own() -> None:
    first, second = (lean.parse(["exec", "-e", "A=B", "ID"]) for _ in range(2))
    assert first.options["env"] == second.options["env"] == ["A=B"]
    for option in COMMANDS["exec"].options:
        if option.kind in REPEATABLE:
            assert first.options[option.name] is not second.options[option.name]
