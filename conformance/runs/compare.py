"""What has become better and worse from one run to another: ``python -m conformance --compare A.json B.json``.

By statement and by test, for each runtime that both know.  One runtime in each is compared whatever it is called, so
that two runtimes can be, and two versions of one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from conformance.runs import results
from conformance.verdict import ORDER, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.runs.results import Result, Run, Tested


class Change(StrEnum):
    """What a verdict and the one before it come to."""

    WORSE = "worse"
    BETTER = "better"
    #: Not asked in one of both, or another word for the same.
    OTHER = "changed"
    SAME = "the same"


#: How good a verdict is.  One that only the list of deviations tells from another is as good; skipped is none.
WORTH = {
    Verdict.PASSED: 5, Verdict.UNEXPECTED: 5, Verdict.UNSUPPORTED: 4, Verdict.DEVIATION: 3, Verdict.FAILED: 2,
    Verdict.BROKEN: 1, Verdict.ERROR: 0,
}  # fmt: skip


class Incomparable(Exception):
    """The runs have nothing in common; the message says why."""


def change(before: Verdict, after: Verdict) -> Change:
    if before is after:
        return Change.SAME
    if Verdict.SKIPPED in (before, after) or WORTH[before] == WORTH[after]:
        return Change.OTHER
    return Change.WORSE if WORTH[after] < WORTH[before] else Change.BETTER


@dataclass(frozen=True)
class Difference:
    """``name`` is a statement's or a test's; ``note`` is said behind the verdicts."""

    name: str
    before: Verdict
    after: Verdict
    note: str = ""

    @property
    def change(self) -> Change:
        return change(self.before, self.after)


@dataclass
class Comparison:
    """One runtime in two runs; ``new`` and ``removed`` are tests with the verdict that they have."""

    before: Tested
    after: Tested
    statements: list[Difference] = field(default_factory=list)
    tests: list[Difference] = field(default_factory=list)
    new: dict[str, Verdict] = field(default_factory=dict)
    removed: dict[str, Verdict] = field(default_factory=dict)

    @property
    def worse(self) -> bool:
        return any(each.change is Change.WORSE for each in (*self.statements, *self.tests))


def pairs(before: Run, after: Run) -> list[tuple[Tested, Tested]]:
    """The runtimes that are compared with each other.  Raises Incomparable when there are none."""
    if len(before.runtimes) == len(after.runtimes) == 1:
        return [(before.runtimes[0], after.runtimes[0])]
    known = {each.name: each for each in after.runtimes}
    found = [(each, known[each.name]) for each in before.runtimes if each.name in known]
    if not found:
        first, second = (", ".join(each.name for each in run.runtimes) or "none" for run in (before, after))
        raise Incomparable(f"no runtime is in both: {first} in the first, {second} in the second")
    return found


def compare(before: Run, after: Run, old: Tested, new: Tested) -> Comparison:
    made = Comparison(old, new)
    first, second = ({each.test: each for each in run.of(tested.name)} for run, tested in ((before, old), (after, new)))
    for name, result in first.items():
        if name in second:
            made.tests.append(Difference(name, result.verdict, second[name].verdict, reason(second[name])))
    made.new = {name: result.verdict for name, result in second.items() if name not in first}
    made.removed = {name: result.verdict for name, result in first.items() if name not in second}
    was, now = worst(first), worst(second)
    says = {each["id"]: f"{each['level']}: {each['says']}" for each in (*before.statements, *after.statements)}
    for name in was:
        if name in now:
            made.statements.append(Difference(name, was[name], now[name], says.get(name, "")))
    return made


def worst(tests: dict[str, Result]) -> dict[str, Verdict]:
    """Each statement that was decided, and the verdict on it."""
    found: dict[str, Verdict] = {}
    for result in tests.values():
        for name in result.decides:
            found[name] = min(found.get(name, result.verdict), result.verdict, key=ORDER.index)
    return found


def reason(result: Result) -> str:
    return result.reason.strip().partition("\n")[0]


# --- as a text -------------------------------------------------------------------------------------------------------


def told(before: Run, after: Run, comparisons: list[Comparison]) -> str:
    lines = [f"{word} {headline(run)}" for word, run in (("before", before), ("after ", after))]
    for each in comparisons:
        lines += ["", *section(each)]
    compared = {one for each in comparisons for one in (("before", each.before.name), ("after", each.after.name))}
    for word, run in (("before", before), ("after", after)):
        alone = [each.name for each in run.runtimes if (word, each.name) not in compared]
        lines += [f"only {word}: the runtime {name}" for name in alone]
    return "".join(f"{printable(line)}\n" for line in lines)


def headline(run: Run) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    return f"{run.started}  {machine}" + (f"  (partial: {run.partial})" if run.partial else "")


def section(each: Comparison) -> Iterator[str]:
    yield f"{label(each.before)} -> {label(each.after)}"
    for word, differences in (("statements", each.statements), ("tests", each.tests)):
        counts = Counter(one.change for one in differences)
        told = [f"{counts[kind]} {kind}" for kind in Change]
        told += [f"{len(each.new)} new", f"{len(each.removed)} removed"] if word == "tests" else []
        yield f"  {word:<11} {', '.join(told)}"
    for kind in (Change.WORSE, Change.BETTER, Change.OTHER):
        for word, differences in (("statement", each.statements), ("test", each.tests)):
            for one in differences:
                if one.change is kind:
                    yield f"{kind.upper()} {word} {one.name}: {one.before} -> {one.after}"
                    if one.note:
                        yield f"  {one.note}"
    yield from (f"NEW test {name}: {verdict}" for name, verdict in each.new.items())
    yield from (f"REMOVED test {name}: {verdict}" for name, verdict in each.removed.items())


def label(tested: Tested) -> str:
    return f"{tested.name} {tested.version or '(version unknown)'}"


def printable(line: str) -> str:
    """Without what would steer a terminal: a container may have said it."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def main(first: str, second: str) -> tuple[str, bool]:
    """What is printed, and whether something got worse.  Raises Incomparable, and results.Unreadable."""
    before, after = results.read(first), results.read(second)
    made = [compare(before, after, old, new) for old, new in pairs(before, after)]
    return told(before, after, made), any(each.worse for each in made)
