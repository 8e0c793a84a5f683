"""Gathers the verdicts of all workers in the process that the user started, and writes the reports."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from conformance import cgroup, options, statements
from conformance.interruption import children, watch
from conformance.report import Unwritable, write
from conformance.runs.results import Result, Run, Tested, described
from conformance.verdict import ORDER, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
        #: How many tests there are.
        self.total = 0
        #: Of pytest-xdist: workers that do not run tests yet.
        self.unready: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.total = max(self.total, len({item.nodeid for item in session.items}))

    # --- the workers of pytest-xdist ---------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        self.unready.add(node.gateway.id)
        watch.workers = lambda: [] if self.unready else children()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        self.unready.discard(node.gateway.id)
        self.total = max(self.total, len(set(ids)))

    # --- verdicts ----------------------------------------------------------------------------------------------------

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

    def partial(self, session: pytest.Session) -> str:
        """What ended the run before its last test, "" for nothing."""
        if watch.seen is None and len(self.results) >= self.total:
            return ""
        why = f"ended by {watch.seen.name}" if watch.seen else session.shouldfail or session.shouldstop or "stopped"
        return f"{why}, {len(self.results)} of {self.total} tests have a verdict"

    def run(self, session: pytest.Session) -> Run:
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
            partial=self.partial(session),
        )

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        yield
        if watch.seen is not None:
            session.exitstatus = 128 + watch.seen
        if not self.settings.reports or not (self.results or watch.seen):
            return
        try:
            write(self.run(session), self.settings.reports)
        except Unwritable as error:
            sys.stderr.write(f"error: {error}\n")
            session.exitstatus = session.exitstatus or pytest.ExitCode.USAGE_ERROR


watch.protect(Recorder.pytest_sessionfinish)
