"""Runs that were saved, as one: ``python -m conformance --from A.json [B.json …]``.

Runtimes of several runs, or one on several machines, stand side by side then.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from conformance.runs import results
from conformance.runs.results import Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.runs.results import Result

#: NAME=FILE; a file with a = in its name is given with a name, or has a slash before it.
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._+-]*)=(.+)")


class Unmergeable(Exception):
    """The runs cannot stand side by side; the message says why, and what to do."""


def main(words: Iterable[str]) -> Run:
    """One run of all ``[NAME=]FILE``.  Raises Unmergeable, and results.Unreadable."""
    return merge([(word, named(word)) for word in words])


def named(word: str) -> Run:
    """The run in ``[NAME=]FILE``, where ``NAME`` is what its one runtime is called from now on."""
    found = _NAMED.fullmatch(word)
    if found is None:
        return results.read(word)
    name, run = found[1], results.read(found[2])
    if len(run.runtimes) != 1:
        names = ", ".join(each.name for each in run.runtimes) or "none"
        raise Unmergeable(f"{word}: a name can be given to the runtime of a run with one, and this has {names}")
    before = run.runtimes[0].name
    run.runtimes = [replace(run.runtimes[0], name=name)]
    run.results = [renamed(each, name) if each.runtime == before else each for each in run.results]
    return run


def renamed(result: Result, name: str) -> Result:
    """The result as that of the runtime ``name``, also where pytest tells its node."""
    node = result.node.replace(f"[{result.runtime}", f"[{name}", 1)
    return replace(result, runtime=name, node=node)


def merge(named_runs: list[tuple[str, Run]]) -> Run:
    """One of all, each given with the user's word for it.  A single one stays as it is.  Raises Unmergeable."""
    owners: dict[str, str] = {}
    for word, run in named_runs:
        for name in [each.name for each in run.runtimes]:
            if name in owners:
                raise Unmergeable(
                    f"a runtime is called {name} in {owners[name]} and in {word}: "
                    f"give one of both another name, --from NAME={word.partition('=')[2] or word}"
                )
            owners[name] = word
    runs = [run for _, run in named_runs]
    first, *others = runs
    if not others:
        return first
    statements = {each["id"]: each for run in runs for each in run.statements}
    return Run(
        started=min(run.started for run in runs),
        seconds=round(sum(run.seconds for run in runs), 3),
        machine={
            name: value
            for name, value in first.machine.items()
            if all(run.machine.get(name) == value for run in others)
        },
        runtimes=[replace(each, where=each.where or where(run)) for run in runs for each in run.runtimes],
        results=lost_once(result for run in runs for result in run.results),
        statements=list(statements.values()),
        partial="; ".join(f"{word}: {run.partial}" for word, run in named_runs if run.partial),
    )


def where(run: Run) -> str:
    """When and on which machine."""
    return ", ".join([run.started, *(f"{name} {value}" for name, value in run.machine.items())])


def lost_once(found: Iterable[Result]) -> list[Result]:
    """Without what is there twice: a test that was lost before anyone knew with which runtime."""
    return list({(each.runtime, each.test): each for each in found}.values())
