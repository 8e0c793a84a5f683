"""``python -m conformance.mutants NAME RUNTIME ARGUMENT…``: the mutant NAME of RUNTIME is given these arguments."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from conformance.mutants.command import Command
from conformance.mutants.table import CONTROL, MUTANTS, PASSING

if TYPE_CHECKING:
    from collections.abc import Sequence


def listing() -> str:
    return "".join(f"{each.name} {each.breaks} {each.test}\n" for each in MUTANTS.values())


def main(words: Sequence[str]) -> int:
    """The exit status; 2 when the command line names no mutant.  A verb that is not its own does not come back."""
    if not words:
        sys.stdout.write(listing())
        return 0
    name, *rest = words
    mutant = {CONTROL.name: CONTROL, PASSING.name: PASSING, **MUTANTS}.get(name)
    if mutant is None or not rest:
        told = f"{name}: there is no such mutant" if mutant is None else f"{name}: of which runtime?"
        sys.stderr.write(f"{told}; usage: python -m conformance.mutants NAME RUNTIME ARGUMENT…, without any: a list\n")
        return 2
    command = Command(rest[0], rest[1:])
    if command.verb != mutant.verb:
        command.become()
    return mutant.act(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
