"""The table of commands: what must hold of every row."""

from __future__ import annotations

import pytest

import pyrunc
from pyrunc.cli.commands import COMMANDS, FLAGS, GLOBAL, Option
from pyrunc.cli.verbs import VERBS
from pyrunc.runtime import version

TABLES: dict[str, tuple[Option, ...]] = {"": GLOBAL, **{name: row.options for name, row in COMMANDS.items()}}


def test_every_command_has_a_verb_and_every_verb_a_command() -> None:
    assert VERBS.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", TABLES)
def test_no_name_means_two_options(name: str) -> None:
    names = [word for option in TABLES[name] for word in (option.name, option.short) if word]
    reserved = ["help", "h"] if name else ["help", "h", "version", "v"]
    assert len({*names, *reserved}) == len(names) + len(reserved)


@pytest.mark.parametrize("name", TABLES)
def test_every_option_says_what_it_is_for(name: str) -> None:
    for option in TABLES[name]:
        assert option.help
        assert bool(option.metavar) == (option.kind not in FLAGS)
        assert bool(option.choices) == (option.kind == "choice")


def test_the_version_is_the_packages() -> None:
    assert pyrunc.__version__ == version.VERSION
