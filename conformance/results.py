"""A run as data: which runtimes, each test's verdict with its evidence, and what follows for each statement.

``dump`` and ``load`` are its JSON, which reports and comparisons are made of.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from conformance import SPECIFICATION
from conformance.verdict import BAD, ORDER, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.statements import Statement

#: Of the JSON; one more when a reader of the old one would misunderstand the new one.
FORMAT = 1


class Unreadable(Exception):
    """A file is no JSON of a run."""


@dataclass(frozen=True)
class Tested:
    """A runtime that was tested; ``version`` is "" when it does not tell."""

    name: str
    path: str
    version: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """One test with one runtime.

    ``test`` is its name without the runtime (``test_kill.py::test_name[case]``), ``node`` is pytest's; ``reason`` says
    why the verdict is not "passed"; ``about`` is its docstring; ``evidence`` is that of Evidence.plain.
    """

    test: str
    node: str
    runtime: str
    verdict: Verdict
    reason: str = ""
    decides: tuple[str, ...] = ()
    about: str = ""
    seconds: float = 0.0
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    """``started`` is a time in ISO 8601, ``seconds`` of wall clock, ``machine`` what is worth knowing of it."""

    started: str
    seconds: float
    machine: dict[str, str]
    runtimes: list[Tested]
    results: list[Result]
    statements: list[dict[str, str]]

    def of(self, runtime: str) -> list[Result]:
        return [result for result in self.results if result.runtime == runtime]

    def deciding(self, runtime: str, statement: str) -> list[Result]:
        return [result for result in self.of(runtime) if statement in result.decides]

    def verdict(self, runtime: str, statement: str) -> Verdict | None:
        """The worst of the tests that decide it, None when none has run."""
        verdicts = [result.verdict for result in self.deciding(runtime, statement)]
        return min(verdicts, key=ORDER.index) if verdicts else None

    def bad(self) -> list[Result]:
        return [result for result in self.results if result.verdict in BAD]


def described(statements: Iterable[Statement]) -> list[dict[str, str]]:
    """The statements as a run keeps them."""
    keys = ("id", "section", "level", "says", "how", "untested", "url")
    return [{key: getattr(each, key) for key in keys if getattr(each, key)} for each in statements]


def dump(run: Run) -> str:
    """A line of JSON; each runtime has its verdict on each statement that was tested."""
    verdicts = {
        tested.name: {
            statement["id"]: verdict
            for statement in run.statements
            if (verdict := run.verdict(tested.name, statement["id"])) is not None
        }
        for tested in run.runtimes
    }
    head = {"format": FORMAT, "specification": SPECIFICATION}
    return json.dumps({**head, **asdict(run), "verdicts": verdicts}, indent=1)


def load(text: str) -> Run:
    """The run that ``dump`` wrote.  Raises Unreadable."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"it is no JSON: {error}") from error
    if not isinstance(content, dict) or "specification" not in content:
        raise Unreadable("it is no run of this suite")
    if content.get("format") != FORMAT:
        raise Unreadable(f"its format is {content.get('format')!r}, and this suite reads {FORMAT}")
    try:
        runtimes = [Tested(**{**each, "options": tuple(each["options"])}) for each in content["runtimes"]]
        results = [
            Result(**{**each, "verdict": Verdict(each["verdict"]), "decides": tuple(each["decides"])})
            for each in content["results"]
        ]
        plain = {name: content[name] for name in ("started", "seconds", "machine", "statements")}
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"it is damaged: {error!r}") from error
    return Run(**plain, runtimes=runtimes, results=results)
