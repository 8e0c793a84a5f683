"""``python -m conformance.mutants.proof RUNTIME [NAME…]``: is every mutant of this runtime caught?

Exit status 0: each is, by the statement that it breaks.  1: one is not.  2: the command line is wrong.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from conformance import expected, installed, options
from conformance.mutants.table import CONTROL, MUTANTS, PASSING
from conformance.runs import results
from conformance.verdict import BAD, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from conformance.mutants.table import Mutant
    from conformance.runs.results import Result, Run

HERE = Path(__file__).resolve().parents[2]

#: Seconds for a command of a mutant: none hangs, and the machine may be busy.
DEADLINE = "60"

#: A mutant as a program: the verbs that are not its own cost nothing.
SCRIPT = """#!/bin/sh
for word; do
    [ "$word" = {verb} ] && exec {python} -ISc {code} {name} {runtime} "$@"
done
exec {runtime} "$@"
"""
CODE = "import sys; sys.path.insert(0, {here!r}); from conformance.mutants.__main__ import main; "
CODE += "sys.exit(main(sys.argv[1:]))"


class NoProof(Exception):
    """The suite did not run; the message says what it said."""


def script(folder: Path, mutant: Mutant, runtime: Path) -> Path:
    """Write the mutant of ``runtime`` to ``folder``, as a program for ``--runtime``."""
    words = {"python": sys.executable, "code": CODE.format(here=str(HERE)), "name": mutant.name, "runtime": runtime}
    path = folder / mutant.name
    path.write_text(SCRIPT.format(verb=mutant.verb, **{key: shlex.quote(str(word)) for key, word in words.items()}))
    path.chmod(0o755)
    return path


def node(test: str, runtime: str) -> str:
    """The test as pytest calls it for this runtime, whose name is the first of its parameters."""
    head, bracket, case = test.partition("[")
    return f"{head}[{runtime}-{case}" if bracket else f"{head}[{runtime}]"


def run(runtime: Path, mutants: Sequence[Mutant]) -> Run:
    """Each mutant's test with it, and with the one that breaks nothing.  Raises NoProof."""
    with tempfile.TemporaryDirectory(prefix="conformance-mutants-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # a mutant may be asked by another user
        report = folder / "run.json"
        command = [sys.executable, "-m", "conformance", "-n", "0", "--deadline", DEADLINE, "--format", f"json={report}"]
        for mutant in (CONTROL, PASSING, *mutants):
            command += ["--runtime", f"{mutant.name}={script(folder, mutant, runtime)}"]
        command += dict.fromkeys(node(mutant.test, harmless(mutant).name) for mutant in mutants)
        command += [node(mutant.test, mutant.name) for mutant in mutants]
        done = subprocess.run(command, cwd=HERE, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if not report.exists():
            raise NoProof(f"the suite exited {done.returncode}: {done.stdout}{done.stderr}")
        return results.load(report.read_text())


def harmless(mutant: Mutant) -> Mutant:
    """One that works as the mutant does, and breaks nothing."""
    return CONTROL if mutant.edits else PASSING


def control(found: Run, mutant: Mutant) -> Result:
    """How the mutant's test ended with the one that breaks nothing."""
    return next(result for result in found.of(harmless(mutant).name) if result.test == mutant.test)


def deviations(runtime: Path) -> dict[str, str]:
    """The tests that the real runtime fails by itself, as expected/ says, with what was observed."""
    version = options.version(installed.find(str(runtime)))
    return {each.test: each.observed for each in expected.load(runtime.name) if each.holds(version)}


def undecided(found: Run, mutant: Mutant, known: Mapping[str, str]) -> str:
    """Why nobody can tell here whether the mutant is caught, "" when one can; ``known`` are ``deviations``."""
    before = control(found, mutant)
    if before.verdict in (Verdict.SKIPPED, Verdict.UNSUPPORTED):
        return before.reason
    if before.verdict in BAD and mutant.test in known:
        return f"the runtime itself fails {mutant.test}: {known[mutant.test]}"
    return ""


def complaint(found: Run, mutant: Mutant) -> str:
    """What is wrong with the verdict on a mutant, "" for nothing."""
    before = control(found, mutant)
    if before.verdict is not Verdict.PASSED:
        return f"{mutant.test} is {before.verdict} with a runtime that breaks nothing: {before.reason}"
    wanted = Verdict.BROKEN if mutant.broken else Verdict.FAILED
    verdict = found.verdict(mutant.name, mutant.breaks)
    reason = "".join(result.reason for result in found.deciding(mutant.name, mutant.breaks))
    if verdict is not wanted:
        told = verdict or f"not decided by {mutant.test}"
        return f"it breaks {mutant.breaks}, which should be {wanted}, and is {told}: {reason}"
    if mutant.edits and "the command should succeed" in reason:
        return f"the real runtime does not take the config that it is given: {reason}"
    return ""


class Proof(NamedTuple):
    """Names of mutants, each with the reason."""

    missed: dict[str, str]
    undecided: dict[str, str]


def prove(runtime: Path, mutants: Sequence[Mutant]) -> Proof:
    """Which are not caught, and which this machine or runtime cannot tell of.  Raises NoProof."""
    found = run(runtime, mutants)
    known = deviations(runtime)
    unknown = {mutant.name: reason for mutant in mutants if (reason := undecided(found, mutant, known))}
    told = {mutant.name: complaint(found, mutant) for mutant in mutants if mutant.name not in unknown}
    return Proof({name: reason for name, reason in told.items() if reason}, unknown)


def chosen(names: Iterable[str]) -> list[Mutant]:
    """Raises NoProof for a name that no mutant has."""
    if unknown := [name for name in names if name not in MUTANTS]:
        raise NoProof(f"no mutant is called {unknown[0]}; python -m conformance.mutants lists them")
    return [MUTANTS[name] for name in names] or list(MUTANTS.values())


def main(words: Sequence[str]) -> int:
    try:
        if not words or words[0].startswith("-"):
            raise NoProof("usage: python -m conformance.mutants.proof RUNTIME [NAME…]")
        mutants = chosen(words[1:])
        missed, unknown = prove(Path(installed.find(words[0]).path), mutants)
    except (NoProof, installed.Unusable, expected.BadList) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.writelines(f"{name}: it cannot be told here: {reason}\n" for name, reason in unknown.items())
    sys.stdout.writelines(f"{name}: {reason}\n" for name, reason in missed.items())
    print(f"{len(mutants) - len(missed) - len(unknown)} of {len(mutants)} mutants are caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
