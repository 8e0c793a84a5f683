"""Help, version, and the exact words for every mistake on the command line."""

from __future__ import annotations

import re

import pytest

from pyrunc.cli import lean, rich
from pyrunc.cli.commands import COMMANDS, GLOBAL
from pyrunc.cli.failure import Misuse
from pyrunc.runtime import version


def printed(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    assert rich.read(list(words)) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("-help",), ("help",), ("h",)], ids=" ".join)
def test_the_programs_help_names_every_command_and_option(
    words: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    text = printed(capfd, *words)
    forms = {**dict.fromkeys(("text", "texts", "choice", "switch"), " {}"), "flag": "  ", "optional": "[={}]"}
    assert text.startswith("Usage: pyrunc [global options] COMMAND [options] [arguments]\n")
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z]", text, re.MULTILINE)
    for option in GLOBAL:
        assert f"  --{option.name}{forms[option.kind].format(option.metavar)}" in text
    assert "\x1b" not in text  # no colours outside of a terminal


@pytest.mark.parametrize("name", COMMANDS)
def test_each_commands_help_names_its_options(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    text = printed(capfd, name, "--help")
    assert text.startswith(f"Usage: pyrunc {name} [options]")
    assert COMMANDS[name].usage in text
    for option in COMMANDS[name].options:
        names = f"--{option.name}, -{option.short}" if option.short else f"--{option.name}"
        value = f"[={option.metavar}]" if option.kind == "optional" else f" {option.metavar}"
        assert f"  {names}{value if option.metavar else ''}" in text
    assert printed(capfd, "help", name) == text
    assert printed(capfd, name, "-h") == text


def test_help_wins_over_missing_arguments_and_may_follow_them(capfd: pytest.CaptureFixture[str]) -> None:
    assert printed(capfd, "kill", "ID", "-h") == printed(capfd, "kill", "-h")


def test_what_belongs_to_the_process_is_not_help() -> None:
    line = lean.parse(["exec", "ID", "ls", "--help"])
    assert line.arguments == ["ID", "ls", "--help"]


@pytest.mark.parametrize("word", ["--version", "-v", "-version"])
def test_version_has_the_lines_that_docker_and_go_runc_read(
    word: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "commit", lambda: "abc")
    assert printed(capfd, word) == "pyrunc version 0.1.0\ncommit: abc\nspec: 1.3.0\n"


def test_called_as_runc_it_says_runc(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys._xoptions", {"pyrunc_called": "runc"})
    assert printed(capfd, "--version").startswith("runc version 0.1.0\ncommit: ")


MISTAKES = {
    "bogus": "No help topic for 'bogus': unknown command",
    "kil ID": "No help topic for 'kil': unknown command (did you mean kill?)",
    "help bogus": "No help topic for 'bogus': unknown command",
    "--bogus list": "flag provided but not defined: -bogus",
    "--rot D list": "flag provided but not defined: -rot (did you mean --root?)",
    "state --bogus ID": "flag provided but not defined: -bogus",
    "create --bundel B ID": "flag provided but not defined: -bundel (did you mean --bundle?)",
    "create -bB ID": "flag provided but not defined: -bB",
    "state --root D ID": (
        "flag provided but not defined: -root (--root is a global option: it stands before the command)"
    ),
    "create ---bundle B": "bad flag syntax: ---bundle",
    "create --=B": "bad flag syntax: --=B",
    "--log": "flag needs an argument: -log",
    "create --bundle": "flag needs an argument: -bundle",
    "create -b": "flag needs an argument: -bundle",
    "--debug=perhaps list": 'invalid boolean value "perhaps" for -debug: parse error',
    "--rootless=perhaps list": 'invalid boolean value "perhaps" for -rootless: parse error',
    "--log-format xml list": 'invalid value "xml" for flag -log-format: choose text or json',
    "list -f yaml": 'invalid value "yaml" for flag -format: choose table or json',
    "create --preserve-fds x ID": 'invalid value "x" for flag -preserve-fds: parse error',
    "create --preserve-fds -1 ID": 'invalid value "-1" for flag -preserve-fds: parse error',
    "exec -g x ID": 'invalid value "x" for flag -additional-gids: parse error',
    "state": '"state" requires exactly 1 argument(s)',
    "delete A B": '"delete" requires exactly 1 argument(s)',
    "features X": '"features" requires exactly 0 argument(s)',
    "exec": '"exec" requires a minimum of 1 argument(s)',
    "ps": '"ps" requires a minimum of 1 argument(s)',
    "kill": '"kill" requires a minimum of 1 argument(s)',
    "commit A": '"commit" requires exactly 2 argument(s)',
    "create --private-tmp A": (
        "flag provided but not defined: -private-tmp (--private-tmp is a global option: it stands before the command)"
    ),
    "--privat-tmp list": "flag provided but not defined: -privat-tmp (did you mean --private-tmp?)",
    "--workspace": "flag needs an argument: -workspace",
    "kill A 9 B": '"kill" requires a maximum of 2 argument(s)',
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_named_in_runcs_words(words: str) -> None:
    with pytest.raises(Misuse) as caught:
        rich.read(words.split())
    assert str(caught.value) == MISTAKES[words]
    assert caught.value.status == (3 if "unknown command" in MISTAKES[words] else 1)
    assert caught.value.synopsis.startswith("Usage: pyrunc ")


def test_a_mistake_behind_the_command_is_logged_where_the_global_options_say() -> None:
    with pytest.raises(Misuse) as caught:
        rich.read(["--log", "L", "--log-format=json", "state"])
    assert caught.value.options is not None
    assert caught.value.options["log"] == "L"
    with pytest.raises(Misuse) as caught:
        rich.read(["--log", "L", "--bogus", "state"])
    assert caught.value.options is None


def test_a_terminal_gets_bold_headings_unless_it_declines(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(rich, "out", shown.append)
    monkeypatch.setattr("os.isatty", lambda _fd: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    rich.read(["--help"])
    monkeypatch.setenv("NO_COLOR", "1")
    rich.read(["--help"])
    assert "\x1b[1m" in shown[0]
    assert "\x1b" not in shown[1]
