"""Gathers the verdicts of all workers in the process that the user started, and writes the reports."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import cgroup, options, statements
from conformance.report import FORMATS
from conformance.results import Result, Run, Tested, described
from conformance.verdict import ORDER, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.options import Settings

#: The name of the property by which a report carries what it says to here.
PROPERTY = "conformance"


class Recorder:
    """A plugin of the process that has no worker above it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.results: dict[str, Result] = {}
        self.started = dt.datetime.now(dt.UTC)
        self.clock = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = [value for name, value in report.user_properties if name == PROPERTY]
        if found:
            self.keep(report, json.loads(str(found[-1])))
        elif report.failed:
            self.keep(report, self.lost(report))

    def keep(self, report: pytest.TestReport, data: dict[str, Any]) -> None:
        """One result for a test: of several phases the worst."""
        result = Result(
            test=data["test"],
            node=report.nodeid,
            runtime=data["runtime"],
            verdict=Verdict(data["verdict"]),
            reason=data["reason"],
            decides=tuple(data["decides"]),
            about=data["about"],
            seconds=round(report.duration, 3),
            evidence=data["evidence"],
        )
        before = self.results.get(report.nodeid)
        if before is None or ORDER.index(result.verdict) < ORDER.index(before.verdict):
            self.results[report.nodeid] = result

    def lost(self, report: pytest.TestReport) -> dict[str, Any]:
        """A test whose worker has died, or whose fixture failed when it had a verdict."""
        file, _, name = report.nodeid.rpartition("/")[2].partition("::")
        runtime = next((each.name for each in self.settings.runtimes if f"[{each.name}" in name), "")
        return {
            "test": f"{file}::{name}",
            "runtime": runtime,
            "verdict": Verdict.ERROR,
            "reason": f"the suite is at fault: {report.longreprtext}",
            "decides": [],
            "about": "",
            "evidence": {},
        }

    def run(self) -> Run:
        release = platform.uname()
        return Run(
            started=self.started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - self.clock, 3),
            machine={
                "kernel": release.release,
                "machine": release.machine,
                "cgroup": f"v{cgroup.version()}",
                "user": "root" if os.geteuid() == 0 else "an ordinary user",
                "python": platform.python_version(),
            },
            runtimes=[
                Tested(each.name, each.path, options.version(each), each.options, each.root)
                for each in self.settings.runtimes
            ],
            results=sorted(self.results.values(), key=lambda result: (result.runtime, result.node)),
            statements=described(statements.load()),
        )

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Iterator[None]:
        yield
        if not self.settings.reports or not self.results:
            return
        run = self.run()
        for name, file in self.settings.reports:
            text = FORMATS[name](run)
            if file == "-":
                sys.stdout.write(text)
                sys.stdout.flush()
            else:
                Path(file).write_text(text, encoding="utf-8")
