"""Fixtures and checks that hold for every test: requirements, the runtime under test, ids, residue."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import programs, requirements, residue
from tests.support.bundles import Bundle
from tests.support.canary import Canary
from tests.support.command import Result, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

BEFORE = pytest.StashKey[dict[str, str]]()
OPEN = pytest.StashKey[dict[int, str]]()

#: A file's tests may leave as many descriptors open in their own process: what the runtime keeps for the next time.
DESCRIPTORS = 4
#: Where tests use pyrunc in their own process; elsewhere fixtures keep engines, and what leads to them, for all files.
IN_PROCESS = ("unit", "root", "rootless")


def pytest_configure(config: pytest.Config) -> None:
    import hypothesis

    # No test measures time: other workers take as much of the machine as they like.  And what is about to land is not
    # the place to find what any run may find.
    landing = os.environ.get("PYRUNC_REQUIRE") == "all"
    hypothesis.settings.register_profile("pyrunc", deadline=None, derandomize=landing)
    hypothesis.settings.load_profile("pyrunc")
    # Workers are started with this environment, and so share the token.
    os.environ.setdefault(residue.TOKEN, secrets.token_hex(3))
    if not os.access(config.rootpath, os.W_OK):
        # An ordinary user in somebody else's checkout: examples cannot be kept there.
        from hypothesis.configuration import set_hypothesis_home_dir

        set_hypothesis_home_dir(Path.home() / ".cache" / "hypothesis")


def is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_sessionstart(session: pytest.Session) -> None:
    # To collect tests leaves nothing, and what another run beside it has begun is not told from it in a chroot.
    if not is_worker(session.config) and not session.config.option.collectonly:
        session.config.stash[BEFORE] = residue.snapshot()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when it leaves something behind; the controller sees this after the last worker has
    ended."""
    before = session.config.stash.get(BEFORE, None)
    if before is None:
        return
    marks = (token(), *(str(path) for path in temporary_directories(session.config)))
    strict = "all" in os.environ.get("PYRUNC_REQUIRE", "")
    left = residue.left_behind(before, residue.snapshot(), marks, strict)
    if left:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.section("left behind by the tests", red=True)
            for line in left:
                reporter.line(line, red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Note what this process has open before the first test of a file."""
    if OPEN not in item.config.stash and item.path.relative_to(item.config.rootpath).parts[1] in IN_PROCESS:
        item.config.stash[OPEN] = residue.descriptors()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Fail the last test of a file whose tests have left more open than they may."""
    yield
    if OPEN not in item.config.stash or (nextitem is not None and nextitem.path == item.path):
        return
    before = item.config.stash[OPEN]
    del item.config.stash[OPEN]
    after = residue.descriptors()
    if len(after) - len(before) > DESCRIPTORS:
        new = [f"{fd} {target}" for fd, target in after.items() if before.get(fd) != target]
        pytest.fail("left open by the tests of this file:\n" + "\n".join(new), pytrace=False)


def temporary_directories(config: pytest.Config) -> list[Path]:
    factory = getattr(config, "_tmp_path_factory", None)
    return [factory.getbasetemp()] if factory is not None else []


def token() -> str:
    return os.environ[residue.TOKEN]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        requirements.demand(*marker.args)


@pytest.fixture(scope="session", autouse=True)
def _signals() -> None:
    """nohup and a shell's background jobs ignore these, and so would the programs that tests start and signal."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(scope="session")
def pyrunc() -> Path:
    """The installed runtime of the environment that runs the tests."""
    path = Path(sys.prefix, "bin", "pyrunc")
    if not path.exists():
        pytest.fail(f"{path} is missing: run ./dev path", pytrace=False)
    return path


@pytest.fixture(scope="session")
def runc() -> Path:
    """The reference runtime; for tests marked needs("runc")."""
    found = shutil.which("runc", path=programs.PATH)
    assert found, "mark the test needs('runc')"
    return Path(found)


@pytest.fixture
def run_command() -> Callable[..., Result]:
    """tests.support.command.run, for tests that prefer a fixture."""
    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A private --root: what the runtime under test keeps its state in."""
    return tmp_path / "state"


COUNTER = itertools.count(1)


@pytest.fixture
def ids(root: Path) -> Iterator[Callable[[], str]]:
    """A factory of container ids that no other test uses.

    After the test, what still exists under one of them is deleted by every runtime that the test may have
    used, each with the private root, and the test fails when that does not work.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    made: list[str] = []

    def make() -> str:
        # Of one length: no id is a part of another's.
        made.append(f"pyrunc-test-{token()}-{worker}-{next(COUNTER):04}")
        return made[-1]

    yield make
    if not root.exists():
        return
    for name in made:
        if (root / name).exists():
            delete(root, name)


def delete(root: Path, name: str) -> None:
    """Delete container ``name`` with the runtime that made it, told by what it keeps in its state
    directory."""
    state = root / name
    if (state / "lock").exists():
        runtime = str(Path(sys.prefix, "bin", "pyrunc"))
    else:
        runtime = "crun" if (state / "status").exists() else "runc"
    run(runtime, "--root", root, "delete", "--force", name)


@pytest.fixture
def container_id(ids: Callable[[], str]) -> str:
    """One unused container id, cleaned up like those of ``ids``."""
    return ids()


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """A factory of bundles: ``bundle()``, ``bundle(config)``; each in a directory of its own."""
    numbers = itertools.count(1)

    def make(config: dict[str, Any] | None = None) -> Bundle:
        return Bundle(tmp_path / f"bundle{next(numbers)}", config)

    return make


#: systemd mounts it when somebody looks.
AUTOMOUNT = "/proc/sys/fs/binfmt_misc"


@pytest.fixture
def canary(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    """A tree on the host that must not change; checked after the test."""
    engines = ("/var/lib/containers/", "/run/containers/", "/run/netns", "/run/user/", "/run/docker/")
    others = (f"{tmp_path_factory.getbasetemp().parent}/", f"{tempfile.gettempdir()}/pyrunc-test-")
    made = Canary(tmp_path / "canary", ignore_mounts=(*engines, *others, AUTOMOUNT))
    yield made
    made.check()
