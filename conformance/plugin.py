"""The suite as a plugin of pytest: parameters, requirements, deadlines and verdicts.  No rule of the OCI is here."""

from __future__ import annotations

import contextlib
import inspect
import json
import signal
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from conformance import features, health, interruption, needs, options, probe, processes, verdict
from conformance.installed import Installed
from conformance.recorder import PROPERTY, Recorder
from conformance.shared import Shelf, T
from conformance.verdict import Broken, Hung, Verdict
from conformance.workshop import Maker, Workshop, close_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.evidence import Evidence
    from conformance.expected import Deviation
    from conformance.runtime import Runtime
    from conformance.shared import Shared

#: What stands in a test's id for a runtime where tests are only listed.
NOBODY = "RUNTIME"

WORKSHOP = pytest.StashKey[Workshop]()
EVIDENCE = pytest.StashKey["Evidence"]()
PATIENCE = pytest.StashKey[health.Patience]()
SHELF = pytest.StashKey[Shelf]()

MARKERS = (
    "decides(*statements): the statements of conformance/statements that the test's verdict decides",
    "needs(*names): what the test needs from the machine; see conformance/needs.py",
    "optional(path, *values): what the runtime may lack, as its features verb says",
    "since(version): the version of the specification that brought what the test is about",
    f"deadline(seconds): how long the test may take, {options.TEST_DEADLINE:g} by default",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    interruption.watch.begin()
    settings = config.stash[options.KEY] = options.read(config)
    config.stash[PATIENCE] = health.Patience(settings.hangs)
    if not settings.runtimes:
        if config.option.collectonly or config.option.help or config.option.markers:
            return
        raise pytest.UsageError("which runtime?  --runtime PATH names one")
    try:
        probe.path()
    except probe.CannotBuild as error:
        raise pytest.UsageError(str(error)) from None
    processes.become_subreaper()
    leave_reports_alone(config)
    if hasattr(config, "workerinput"):
        interruption.end_with_parent()
    else:
        config.pluginmanager.register(Recorder(settings), "conformance-recorder")


def leave_reports_alone(config: pytest.Config) -> None:
    """A signal interrupts phases of tests, and not the hooks that make reports or the messages that send them."""
    for plugin in config.pluginmanager.get_plugins():
        for name in ("pytest_runtest_protocol", "sendevent"):  # of pytest's runner, of a worker of pytest-xdist
            function = getattr(plugin, name, None)
            if function is not None:
                interruption.watch.protect(function)
    interruption.watch.allow(pytest.CallInfo.from_call)


def pytest_unconfigure() -> None:
    interruption.watch.end()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    close_all()
    seen = interruption.watch.seen
    if seen is not None and hasattr(session.config, "workeroutput"):
        # Not that it was interrupted: another worker would take its place.
        session.config.workeroutput |= {"exitstatus": 1, "shouldstop": f"ended by {seen.name}"}


# --- which tests, with which runtime ---------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Before the test's own parameters, so that its id begins with the runtime's name."""
    if "installed" in metafunc.fixturenames:
        known = metafunc.config.stash[options.KEY].runtimes
        given: list[Installed | None] = list(known) or [None]
        names = [each.name if each else NOBODY for each in given]
        metafunc.parametrize("installed", given, ids=names, indirect=True, scope="session")


def decided(item: pytest.Item) -> list[str]:
    """The statements that a test decides, without repetition."""
    return list(dict.fromkeys(name for marker in item.iter_markers("decides") for name in marker.args))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.stash[options.KEY].sections
    if wanted is not None:
        dropped = [item for item in items if wanted.isdisjoint(decided(item))]
        items[:] = [item for item in items if not wanted.isdisjoint(decided(item))]
        config.hook.pytest_deselected(items=dropped)


def runtime_of(item: pytest.Item) -> Installed | None:
    if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
        found = item.callspec.params.get("installed")
        return found if isinstance(found, Installed) else None
    return None


def test_of(item: pytest.Item) -> str:
    """``test_kill.py::test_name[case]``: what a test is called for every runtime."""
    runtime = runtime_of(item)
    head, _, parameters = item.name.partition("[")
    case = parameters.removesuffix("]").removeprefix(runtime.name if runtime else NOBODY).removeprefix("-")
    return f"{item.path.name}::{head}[{case}]" if case else f"{item.path.name}::{head}"


# --- fixtures --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def installed(request: pytest.FixtureRequest) -> Installed:
    """The runtime under test: its name and its program."""
    assert isinstance(request.param, Installed)
    return request.param


@pytest.fixture
def workshop(installed: Installed, request: pytest.FixtureRequest) -> Iterator[Workshop]:
    """Where the test works; cleared up, and looked at for residue, when its body has ended."""
    made = Workshop(installed, deadline=request.config.stash[options.KEY].deadline)
    request.node.stash[WORKSHOP] = made
    yield made
    if made.folder.exists():  # another fixture has skipped the test, or failed
        made.close()


@pytest.fixture
def runtime(workshop: Workshop) -> Runtime:
    """The verbs, for a test that wants to say more to them than a container does."""
    return workshop.runtime


@pytest.fixture
def container(workshop: Workshop) -> Maker:
    """Makes containers that are yet to be created: ``container()``, ``container("exit", "7")``."""
    return workshop.container


@pytest.fixture
def shared(installed: Installed, request: pytest.FixtureRequest) -> Shared:
    """``shared(function)``: what the function returned for this runtime; see conformance/shared.py."""
    config = request.config
    shelf = config.stash.setdefault(SHELF, Shelf(config.stash[options.KEY].deadline))

    def get(make: Callable[[Workshop], T]) -> T:
        result, failure, request.node.stash[EVIDENCE] = shelf.get(installed, make)
        if failure is not None:
            raise failure
        return cast("T", result)

    return get


@pytest.fixture
def evidence(workshop: Workshop) -> Evidence:
    return workshop.evidence


# --- one test --------------------------------------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    found = runtime_of(item)
    if found is None:
        return
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if reason := needs.unmet(name):
                pytest.skip(f"needs {name}: {reason}")
    if complaint := health.complaint(found, item.config.stash[options.KEY].deadline):
        raise Broken(complaint)
    if complaint := item.config.stash[PATIENCE].complaint(found):
        raise Broken(complaint)
    for marker in item.iter_markers("optional"):
        features.demand(found, *marker.args)
    for marker in item.iter_markers("since"):
        features.demand_version(found, *marker.args)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The test itself, until its deadline, and then the end of all that it made: one verdict for both."""
    marker = item.get_closest_marker("deadline")
    seconds = item.config.stash[options.KEY].test_deadline(*(marker.args if marker else ()))
    with item.stash.get(WORKSHOP, contextlib.nullcontext()), alarm(seconds):
        return (yield)


class alarm:  # noqa: N801  # a context manager, in the place of a verb
    """Raises Broken in the main thread when its body takes longer than ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.here = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> None:
        if self.here:
            self.before = signal.signal(signal.SIGALRM, self.expire)
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_: object) -> None:
        if self.here:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.before)

    def expire(self, *_: object) -> None:
        raise Hung(f"the test did not end within {self.seconds:g} s")


def deviation(item: pytest.Item) -> Deviation | None:
    """The entry of expected/ for this test and runtime."""
    found = runtime_of(item)
    if found is None:
        return None
    listed = item.config.stash[options.KEY].deviations.get(found.name, ())
    return next((each for each in listed if each.test == test_of(item)), None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    found = runtime_of(item)
    error = call.excinfo.value if call.excinfo else None
    if found is None or (call.when != "call" and error is None):
        return report  # type: ignore[return-value]
    workshop = item.stash.get(WORKSHOP, None)
    item.config.stash[PATIENCE].note(found, error, workshop.hung if workshop else None)
    ended = verdict.of(error)
    reason = str(error) if error else ""
    listed = deviation(item)
    if listed and ended in (Verdict.FAILED, Verdict.BROKEN):
        ended, reason = Verdict.DEVIATION, f"{listed.observed} {listed.issue}".strip() + f"\n{reason}"
        report.outcome, report.wasxfail = "skipped", listed.observed
    elif listed and ended is Verdict.PASSED and not listed.sometimes:
        ended = Verdict.UNEXPECTED
        reason = f"it passes, but expected/{found.name}.toml lists it: {listed.observed}; remove the entry"
        report.outcome, report.longrepr = "failed", reason
    elif ended is Verdict.ERROR:
        reason = f"the suite is at fault: {report.longreprtext}"
    evidence = workshop.evidence if workshop else item.stash.get(EVIDENCE, None)
    data: dict[str, Any] = {
        "test": test_of(item),
        "runtime": found.name,
        "verdict": ended,
        "reason": reason,
        "decides": decided(item),
        "about": (inspect.getdoc(getattr(item, "obj", None)) or "").partition("\n\n")[0],
        "evidence": evidence.plain(brief=ended is Verdict.PASSED) if evidence else {},
    }
    # As a text, since not every string of a container survives the way from a worker.
    report.user_properties = [*report.user_properties, (PROPERTY, json.dumps(data))]
    return report  # type: ignore[return-value]
