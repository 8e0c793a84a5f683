"""For a terminal: each runtime in a few lines, then everything that is not as it should be, with its evidence."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from conformance.verdict import BAD, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.runs.results import Result, Run, Tested

#: Of several failures for one and the same reason, as with a runtime that cannot be tested, so many are shown.
ALIKE = 1


def render(run: Run) -> str:
    lines: list[str] = [f"PARTIAL: {run.partial}"] if run.partial else []
    for tested in run.runtimes:
        lines += summary(run, tested)
    seen: Counter[tuple[str, str]] = Counter()
    for result in run.bad():
        seen[result.runtime, result.reason] += 1
        if seen[result.runtime, result.reason] <= ALIKE:
            lines += ["", *detail(run, result)]
    repeated = sum(count - ALIKE for count in seen.values() if count > ALIKE)
    if repeated:
        lines += ["", f"… and {repeated} more for a reason that is shown above."]
    for result in run.results:
        if result.verdict is Verdict.DEVIATION:
            lines += ["", f"expected of {result.runtime}: {result.test}", *indented(result.reason)]
    lines += unanswered(run)
    return "\n".join(lines) + "\n"


def counted(verdicts: list[Verdict]) -> str:
    count = Counter(verdicts)
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in Verdict if count[verdict]) or "none"


def summary(run: Run, tested: Tested) -> list[str]:
    decided = [verdict for each in run.statements if (verdict := run.verdict(tested.name, each["id"])) is not None]
    return [
        f"{tested.name} {tested.version or '(version unknown)'}  {tested.path} {' '.join(tested.options)}".rstrip(),
        *([f"  run         {tested.where}"] if tested.where else []),
        f"  tests       {counted([result.verdict for result in run.of(tested.name)])}",
        f"  statements  {len(decided)} of {len(run.statements)}: {counted(decided)}",
    ]


def indented(text: str) -> list[str]:
    return textwrap.indent(text, "  ").splitlines()


def detail(run: Run, result: Result) -> Iterator[str]:
    says = {each["id"]: f"{each['level']}: {each['says']}" for each in run.statements}
    yield f"{result.verdict.upper()} {result.runtime} {result.test}"
    for statement in result.decides:
        yield f"  {statement} ({says.get(statement, 'unknown')})"
    yield from indented(result.reason)
    commands = result.evidence.get("commands", [])
    if commands and result.verdict in BAD:
        yield "  commands:"
        for call in commands:
            yield f"    [{call['status']}] {call['command']}"


def unanswered(run: Run) -> list[str]:
    """Why what was not asked was not asked, each reason once."""
    reasons: Counter[tuple[str, str]] = Counter(
        (result.verdict, result.reason)
        for result in run.results
        if result.verdict in (Verdict.SKIPPED, Verdict.UNSUPPORTED)
    )
    lines = [f"{verdict} {count} {reason}" for (verdict, reason), count in sorted(reasons.items())]
    return ["", *lines] if lines else []
