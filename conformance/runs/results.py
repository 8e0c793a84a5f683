"""A run as data: which runtimes, each test's verdict with its evidence, and what follows for each statement.

``dump`` and ``load`` are its JSON, which reports and comparisons are made of.  There, what is evidence of several tests
stands once: ``evidence`` is a list of configs, commands and notes, and those of a result are numbers of its entries.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance import SPECIFICATION
from conformance.verdict import BAD, ORDER, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.statements import Statement

#: Of the JSON; one more when a reader of the old one would misunderstand the new one.
FORMAT = 2


class Unreadable(Exception):
    """A file is no JSON of a run; the message says why."""


@dataclass(frozen=True)
class Tested:
    """A runtime that was tested; ``version`` is "" when it does not tell, ``root`` names the option of its state.

    ``where`` says when and on which machine, in a run that was merged of several (merge.py).
    """

    name: str
    path: str
    version: str
    options: tuple[str, ...] = ()
    root: str = "--root"
    where: str = ""


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
    """``started`` is a time in ISO 8601, ``seconds`` of wall clock, ``machine`` what is worth knowing of it.

    ``partial`` says what ended a run before its last test, and is "" of one that is whole.
    """

    started: str
    seconds: float
    machine: dict[str, str]
    runtimes: list[Tested]
    results: list[Result]
    statements: list[dict[str, str]]
    partial: str = ""

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
    """Lines of JSON; each runtime has its verdict on each statement that was tested."""
    verdicts = {
        tested.name: {
            statement["id"]: verdict
            for statement in run.statements
            if (verdict := run.verdict(tested.name, statement["id"])) is not None
        }
        for tested in run.runtimes
    }
    pool = Pool()
    content = {"format": FORMAT, "specification": SPECIFICATION, **asdict(run), "verdicts": verdicts}
    for result in content["results"]:
        result["evidence"] = {
            kind: [pool.number(entry) for entry in entries] for kind, entries in result["evidence"].items()
        }
    content["evidence"] = pool.entries
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {lines(value)}" for name, value in content.items()) + "\n}"


def lines(value: object) -> str:
    """JSON with a line for each entry of a list."""
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(each) for each in value) + "\n]"
    return json.dumps(value)


class Pool:
    """Values that stand once, however often they are put in."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.numbers: dict[str, int] = {}

    def number(self, value: object) -> int:
        key = json.dumps(value)
        if key not in self.numbers:
            self.numbers[key] = len(self.entries)
            self.entries.append(value)
        return self.numbers[key]


def read(path: str) -> Run:
    """The run in a file.  Raises Unreadable, which names it."""
    try:
        return load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise Unreadable(f"{path}: it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Unreadable(f"{path}: it is no JSON of a run: it is not UTF-8") from None
    except Unreadable as error:
        raise Unreadable(f"{path}: {error}; a run is written by --format json=FILE") from None


def load(text: str) -> Run:
    """The run that ``dump`` wrote.  Raises Unreadable."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is no JSON: {error}") from error
    if not isinstance(content, dict) or "specification" not in content:
        raise Unreadable("it is no run of this suite")
    if content.get("format") != FORMAT:
        raise Unreadable(f"its format is {content.get('format')!r}, and this suite reads {FORMAT}")
    try:
        found = Run(
            started=of_kind(content["started"], str),
            seconds=of_kind(content["seconds"], float | int),
            machine={name: of_kind(value, str) for name, value in of_kind(content["machine"], dict).items()},
            runtimes=[runtime(each) for each in content["runtimes"]],
            results=[result(each, content["evidence"]) for each in content["results"]],
            statements=[statement(each) for each in content["statements"]],
            partial=of_kind(content.get("partial", ""), str),
        )
        for what, names in (
            ("runtimes", [each.name for each in found.runtimes]),
            ("results", [(each.runtime, each.test) for each in found.results]),
            ("statements", [each["id"] for each in found.statements]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two {what} are the same")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Unreadable(f"it is damaged: {error!r}") from error
    return found


def of_kind(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.40} is no {getattr(kind, '__name__', kind)}")
    return value


def texts(values: Any) -> tuple[str, ...]:
    return tuple(of_kind(value, str) for value in of_kind(values, list))


def runtime(entry: Any) -> Tested:
    plain = {name: of_kind(value, str) for name, value in of_kind(entry, dict).items() if name != "options"}
    return Tested(**plain, options=texts(entry["options"]))


def result(entry: Any, pool: list[Any]) -> Result:
    others = ("verdict", "decides", "seconds", "evidence")
    plain = {name: of_kind(value, str) for name, value in of_kind(entry, dict).items() if name not in others}
    evidence = {
        kind: [of_kind(pool[of_kind(number, int)], dict) for number in numbers]
        for kind, numbers in of_kind(entry["evidence"], dict).items()
    }
    return Result(
        **plain,
        verdict=Verdict(entry["verdict"]),
        decides=texts(entry["decides"]),
        seconds=of_kind(entry["seconds"], float | int),
        evidence=evidence,
    )


def statement(entry: Any) -> dict[str, str]:
    found = {name: of_kind(value, str) for name, value in of_kind(entry, dict).items()}
    for name in ("id", "section", "level", "says"):
        _ = found[name]
    return found
