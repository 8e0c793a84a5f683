"""``python -m conformance --runtime PATH``: runs the suite and prints a report on standard output.

Exit status 0: everything is as it should be.  1: something is not.  2: the command line is wrong, there is no probe, or
no test fits.  128 and the number of a signal that ended it.  With ``--compare``, 1: something got worse.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import pytest
except ModuleNotFoundError:
    sys.stderr.write("the suite runs by pytest, which is not here: pip install pytest pytest-xdist hypothesis\n")
    sys.exit(2)

from conformance import options, report
from conformance.interruption import watch
from conformance.progress import Listing, Progress
from conformance.report import FORMATS
from conformance.runs import compare, merge, results

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
TESTS = HERE / "tests"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m conformance",
        usage="%(prog)s --runtime PATH [--runtime PATH ...] [OPTIONS] [TEST ...]",
        description="Is this OCI runtime what the specification says?  TEST is a file or a name in one, such as "
        "test_kill.py; options of pytest may follow, such as -x.",
        allow_abbrev=False,
    )
    for name, words in options.OPTIONS:
        if name != "--report":
            made.add_argument(name, **words)
    made.add_argument(
        "--format", action="append", metavar="FORMAT[=FILE]", default=[],
        help=f"the report: {', '.join(FORMATS)}; to standard output or FILE; may be repeated (text)",
    )  # fmt: skip
    made.add_argument(
        "--compare", nargs=2, metavar=("BEFORE.json", "AFTER.json"),
        help="run nothing, and print what got better and worse between two runs, written by --format json=FILE",
    )  # fmt: skip
    made.add_argument(
        "--from", dest="saved", nargs="+", metavar="[NAME=]RUN.json", default=[],
        help="run nothing, and make reports of runs that were written by --format json=FILE, side by side; NAME is "
        "what a run's only runtime is called then",
    )  # fmt: skip
    made.add_argument("-k", dest="expression", metavar="EXPRESSION", help="only tests whose names fit, as with pytest")
    made.add_argument("-n", dest="workers", metavar="N", help="tests at the same time (two for each processor)")
    made.add_argument("--list", action="store_true", help="print the tests and what each decides, and run none")
    made.add_argument("-v", "--verbose", action="store_true", help="what pytest prints in place of a line of progress")
    return made


def forwarded(given: argparse.Namespace) -> list[str]:
    """Our options, in the words of the plugin's."""
    words: list[str] = []
    for name, _ in options.OPTIONS:
        value = getattr(given, name.lstrip("-").replace("-", "_"), [])
        words += [f"{name}={each}" for each in (value if isinstance(value, list) else [value])]
    return words


def located(rest: list[str]) -> list[str]:
    """``test_kill.py::name`` is one of the suite's, wherever the caller is; without any, all are meant."""
    found = []
    for word in rest:
        own = TESTS / word.partition("::")[0]
        found.append(f"{TESTS}/{word}" if not word.startswith("-") and own.is_file() else word)
    return found if found != rest else [*rest, str(TESTS)]


def at_once(wanted: str | None) -> list[str]:
    """Workers of pytest-xdist, where it is installed; two for each processor, since much of a test is waiting."""
    if importlib.util.find_spec("xdist") is None:
        if wanted not in (None, "0", "1"):
            raise pytest.UsageError("-n needs pytest-xdist: pip install pytest-xdist")
        return []
    count = wanted or str(2 * len(os.sched_getaffinity(0)))
    return ["-n", count, "--dist", "worksteal"] if count not in ("0", "1") else ["-n", "0"]


def compared(made: argparse.ArgumentParser, before: str, after: str) -> int:
    try:
        text, worse = compare.main(before, after)
    except (compare.Incomparable, results.Unreadable) as error:
        made.error(str(error))
    sys.stdout.write(text)
    return 1 if worse else 0


def told_again(made: argparse.ArgumentParser, saved: list[str], formats: list[str]) -> int:
    """``--from``."""
    try:
        reports = [report.wanted(word) for word in formats]
        run = merge.main(saved)
        report.write(run, reports)
    except (report.Unwritable, results.Unreadable, merge.Unmergeable) as error:
        made.error(str(error))
    return 1 if run.bad() or run.partial else 0


def alone(made: argparse.ArgumentParser, given: argparse.Namespace, *names: str) -> bool:
    """Is nothing given but these?"""
    return all(value == made.get_default(name) for name, value in vars(given).items() if name not in names)


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser()
    given, rest = made.parse_known_args(arguments)
    if given.compare:
        if rest or not alone(made, given, "compare"):
            made.error("--compare takes two files and nothing else: it runs no test")
        return compared(made, *given.compare)
    if given.saved:
        if rest or not alone(made, given, "saved", "format"):
            made.error("--from takes files and --format, and nothing else: it runs no test")
        return told_again(made, given.saved, given.format or ["text"])
    os.environ.pop("PYTEST_ADDOPTS", None)  # is meant for pytest, some of whose options are not for this
    words = ["-c", str(HERE / "pytest.ini"), "--rootdir", str(HERE), "-p", "conformance.plugin"]
    words += ["-p", "no:cacheprovider", *forwarded(given)]
    if given.expression:
        words += ["-k", given.expression]
    plugins: list[object] = []
    if given.list:
        words += ["--collect-only", "-p", "no:terminal"]
        plugins.append(Listing())
    else:
        formats = given.format or ["text"]
        words += [f"--report={word}" for word in formats]
        if not given.verbose:
            words += ["-p", "no:terminal"]
            plugins.append(Progress(sys.stderr))
        try:
            words += at_once(given.workers)
        except pytest.UsageError as error:
            made.error(str(error))
    status = pytest.main([*words, *located(rest)], plugins=plugins)
    if watch.seen is not None:
        sys.stderr.write(f"ended by {watch.seen.name}; what the tests had made is cleared away\n")
        return 128 + watch.seen
    return status if status in (0, 1) else 2


if __name__ == "__main__":
    sys.exit(main())
