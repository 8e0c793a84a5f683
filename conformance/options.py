"""What pytest's command line may say about the suite, read into one object."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import call, expected, installed, runtime, statements
from conformance.report import FORMATS, Unwritable, wanted
from conformance.verdict import Broken

if TYPE_CHECKING:
    from conformance.expected import Deviation
    from conformance.installed import Installed

#: Seconds that one test may take, if its marker does not say otherwise.
TEST_DEADLINE = 60.0

#: Tests in which a runtime may hang until the rest of them are not run.
HANGS = 10

#: Sequences of verbs that are made up, and compared with a model (lifecycle.py).
SEQUENCES = 8


@dataclass(frozen=True)
class Settings:
    """``sections`` is None for all; ``reports`` are formats with a file, "-" for standard output."""

    runtimes: tuple[Installed, ...]
    deadline: float
    hangs: int
    sections: frozenset[str] | None
    reports: tuple[tuple[str, str], ...]
    expected: Path
    sequences: int = SEQUENCES
    deviations: dict[str, tuple[Deviation, ...]] = field(default_factory=dict)

    def test_deadline(self, marked: float = TEST_DEADLINE) -> float:
        """Seconds for a test whose marker says ``marked``: more in proportion where commands may take longer, too."""
        return marked * max(1.0, self.deadline / runtime.DEADLINE)


KEY = pytest.StashKey[Settings]()


#: The options, as argparse and pytest take them: ``python -m conformance`` has the same.
OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--runtime",
        {"action": "append", "default": [], "metavar": "[NAME=]PATH", "help": "a runtime to test; may be repeated"},
    ),
    (
        "--runtime-option",
        {
            "action": "append", "default": [], "metavar": "[NAME:]OPTION",
            "help": "a global option for every command, of all runtimes or of the one called NAME; may be repeated",
        },
    ),
    (
        "--root-option",
        {
            "default": "--root", "metavar": "OPTION",
            "help": "the global option that names the state directory (--root); '' for a runtime that has none",
        },
    ),
    (
        "--section",
        {
            "action": "append", "default": [], "metavar": "DOCUMENT#ANCHOR",
            "help": "only what decides a statement of this section, such as config-linux#mounts; may be repeated",
        },
    ),
    (
        "--deadline",
        {
            "type": float, "default": runtime.DEADLINE, "metavar": "SECONDS",
            "help": "what takes longer hangs, and is killed; with more than %(default)s, tests may take longer, too",
        },
    ),
    (
        "--sequences",
        {
            "type": int, "default": SEQUENCES, "metavar": "N",
            "help": "random sequences of verbs that are compared with a model (%(default)s)",
        },
    ),
    (
        "--hangs",
        {
            "type": int, "default": HANGS, "metavar": "NUMBER",
            "help": "a runtime that has hung in so many tests is not asked any more, in each process (%(default)s)",
        },
    ),
    (
        "--report",
        {
            "action": "append", "default": [], "metavar": "FORMAT[=FILE]",
            "help": f"write a report ({', '.join(FORMATS)}) to FILE or standard output; may be repeated",
        },
    ),
    (
        "--expected",
        {
            "type": Path, "default": expected.FOLDER, "metavar": "DIRECTORY",
            "help": "where the lists of known deviations are, RUNTIME.toml each",
        },
    ),
)  # fmt: skip


def add(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "of the conformance suite")
    for name, words in OPTIONS:
        group.addoption(name, **words)


def read(config: pytest.Config) -> Settings:
    """The settings of this run.  Raises pytest.UsageError with one sentence for the user."""
    option = config.getoption
    try:
        runtimes = installed.find_all(option("--runtime"), option("--runtime-option"), option("--root-option"))
        chosen = option("--section")
        sections = frozenset(each.id for word in chosen for each in statements.select(statements.load(), word))
        deviations = {
            each.name: tuple(one for one in expected.load(each.name, option("--expected")) if one.holds(version(each)))
            for each in runtimes
        }
    except (installed.Unusable, statements.CatalogError, expected.BadList) as error:
        raise pytest.UsageError(str(error)) from None
    if option("--deadline") <= 0:
        raise pytest.UsageError(f"--deadline {option('--deadline'):g}: it is a number of seconds above 0")
    if option("--hangs") < 1:
        raise pytest.UsageError(f"--hangs {option('--hangs')}: it is a number above 0")
    return Settings(
        runtimes=runtimes,
        deadline=option("--deadline"),
        hangs=option("--hangs"),
        sections=sections if chosen else None,
        reports=tuple(report(word) for word in option("--report")),
        expected=option("--expected"),
        sequences=option("--sequences"),
        deviations=deviations,
    )


def report(word: str) -> tuple[str, str]:
    try:
        return wanted(word)
    except Unwritable as error:
        raise pytest.UsageError(f"--report {error}") from None


@cache
def version(program: Installed) -> str:
    """What ``--version`` says behind the word "version"; "" where it does not, since nobody has to have it."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        try:
            asked = call.Call([program.path, "--version"], Path(folder, "version"), env=runtime.environment())
            outcome = asked.wait(5)
        except Broken:
            return ""
    found = re.search(r"\bversion:?\s+v?(\S+)", outcome.stdout) if outcome.status == 0 else None
    return found[1] if found else ""
