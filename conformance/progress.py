"""What is on the terminal while the suite runs: one line that changes, and nothing where there is no terminal."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING, TextIO

import pytest

from conformance.recorder import PROPERTY

if TYPE_CHECKING:
    from collections.abc import Sequence


class Progress:
    """In the place of pytest's terminal reporter; it tells what keeps tests from being found, too."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.shows = stream.isatty()
        self.total = 0
        self.verdicts: Counter[str] = Counter()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.stream.write(f"{report.longreprtext}\n")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.total = self.total or len(session.items)
        if not session.config.option.collectonly and not self.total and not self.distributed(session.config):
            self.stream.write("error: no test fits; --list shows them all\n")

    @staticmethod
    def distributed(config: pytest.Config) -> bool:
        return bool(getattr(config.option, "numprocesses", 0))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        if not ids and not self.total:
            self.stream.write("error: no test fits; --list shows them all\n")
        self.total = max(self.total, len(ids)) or -1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == PROPERTY:
                self.verdicts[json.loads(str(value))["verdict"]] += 1
                self.show(report.nodeid)

    def show(self, node: str) -> None:
        if not self.shows:
            return
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts.items())
        line = f"[{sum(self.verdicts.values())}/{self.total}] {counts}  {node.rpartition('/')[2]}"
        self.stream.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
        self.stream.flush()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if self.shows:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def pytest_internalerror(self, excrepr: object) -> None:
        self.stream.write(f"{excrepr}\n")


class Listing:
    """``--list``: a test and the statements that it decides on a line, with blanks between."""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            sys.stderr.write(f"{report.longreprtext}\n")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        from conformance.plugin import decided, test_of

        lines = {test_of(item): decided(item) for item in session.items}
        for test, statements in lines.items():
            print(test.replace(" ", "_"), *statements)
