"""A mutant of the table: a name, the statement that it breaks, the test that has to notice, and how it goes wrong.

A mutant is a function whose name says what is wrong with the runtime, below one of the decorators here.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.mutants.command import Command

    Edit = Callable[[dict[str, Any]], object]
    Act = Callable[[Command], int]


class Mutant(NamedTuple):
    """``test`` is named as in a run's results; ``broken`` says that the verdict is that, and not "failed".

    ``verb`` is the one that ``act`` stands for, and returns the exit status of; all others go to the real runtime.
    """

    name: str
    breaks: str
    test: str
    verb: str
    act: Act
    broken: bool = False
    edits: bool = False


MUTANTS: dict[str, Mutant] = {}

#: Changes a config into the same, and breaks nothing: what fails with it fails because there is a mutant at all.
CONTROL = Mutant("breaks-nothing", "", "", "create", lambda command: command.with_config(lambda _: None))

#: Breaks nothing either, and leaves configs alone: for mutants that do not change one.
PASSING = Mutant("passes-on", "", "", "create", lambda command: command.run())


def add(mutant: Mutant) -> None:
    if mutant.name in MUTANTS:
        raise ValueError(f"two mutants are called {mutant.name}")
    MUTANTS[mutant.name] = mutant


def named(function: Callable[..., object]) -> str:
    return function.__name__.replace("_", "-")


def acts(verb: str, breaks: str, test: str, *, broken: bool = False) -> Callable[[Act], Act]:
    """The function does the work of a verb, and returns the exit status."""

    def register(act: Act) -> Act:
        add(Mutant(named(act), breaks, test, verb, act, broken))
        return act

    return register


def edits(breaks: str, test: str, name: str = "") -> Callable[[Edit], Edit]:
    """The function changes the config with which the real runtime creates the container."""

    def register(edit: Edit) -> Edit:
        def act(command: Command) -> int:
            return command.with_config(edit)

        add(Mutant(name or named(edit), breaks, test, "create", act, edits=True))
        return edit

    return register


def answers(verb: str, breaks: str, test: str, *, broken: bool = False) -> Callable[[Edit], Edit]:
    """The function changes the object that the verb prints."""

    def register(edit: Edit) -> Edit:
        def act(command: Command) -> int:
            status, text = command.ask(command.verb, command.rest)
            if status == 0:
                found = json.loads(text)
                edit(found)
                text = json.dumps(found)
            sys.stdout.write(text)
            return status

        add(Mutant(named(edit), breaks, test, verb, act, broken))
        return edit

    return register
