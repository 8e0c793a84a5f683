"""Containers of podman as services of systemd, with pyrunc, runc and crun side by side.

podman 4.3 has no quadlet: its units are those that `podman generate systemd` writes.  And health checks, which podman
has systemd call.
"""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.command import run
from tests.vm.guest import engines, units

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.needs("guest", "root", "podman", "runc", "crun"), pytest.mark.timeout(900)]

each = pytest.mark.parametrize("runtime", engines.RUNTIMES)
UNITS = Path("/run/systemd/system")


@pytest.fixture(scope="module", autouse=True)
def image(tmp_path_factory: pytest.TempPathFactory) -> None:
    engines.imported(tmp_path_factory.mktemp("image"))


class Engine(engines.Engine):
    def absent(self, name: str) -> bool:
        return run(*self.base, "container", "exists", name, status=None, timeout=engines.DEADLINE).status == 1


class Service(NamedTuple):
    engine: Engine
    unit: str
    name: str

    def inspect(self, template: str) -> str:
        return self.engine("inspect", f"--format={template}", self.name).stdout.strip()

    def pid(self) -> str:
        """That of the container's first process; "0" or "" while there is none."""
        words = (*self.engine.base, "inspect", "--format={{.State.Pid}}", self.name)
        return run(*words, status=None, timeout=engines.DEADLINE).stdout.strip()

    def running(self) -> bool:
        """Whether systemd knows the service as started, and its container is there."""
        active = units.show(self.unit, "ActiveState", "SubState") == {"ActiveState": "active", "SubState": "running"}
        return active and not self.engine.absent(self.name)


@contextmanager
def service(runtime: str, *options: str) -> Iterator[Service]:
    """The unit that podman generates for a container, not started yet; the container itself is gone."""
    engine = Engine("systemd", runtime)
    name = f"guest-{uuid.uuid4().hex[:12]}"
    engine("create", "--name", name, "--net=none", *options)
    text = engine("generate", "systemd", "--new", "--name", "--restart-policy=on-failure", name).stdout
    engine("rm", name)
    path = UNITS / f"container-{name}.service"
    UNITS.mkdir(exist_ok=True)
    path.write_text(text)
    try:
        run("systemctl", "daemon-reload", timeout=engines.DEADLINE)
        yield Service(engine, path.name, name)
    finally:
        run("systemctl", "stop", path.name, status=None, timeout=engines.DEADLINE)
        engine("rm", "--force", "--time=0", "--ignore", name)
        path.unlink()
        run("systemctl", "daemon-reload", timeout=engines.DEADLINE)


@each
def test_a_generated_unit_starts_restarts_and_stops_the_container(runtime: str) -> None:
    with service(runtime, engines.IMAGE, "/bin/sleep", "100000") as made:
        run("systemctl", "start", made.unit, timeout=engines.DEADLINE)
        assert made.running()
        assert made.inspect("{{.OCIRuntime}}").endswith(runtime)
        # conmon is the service's main process: it says so, and that the container is ready.
        assert units.show(made.unit, "MainPID")["MainPID"] == made.inspect("{{.State.ConmonPid}}")
        first = made.pid()
        os.kill(int(first), 9)
        engines.until(lambda: made.pid() not in (first, "0", "") and made.running(), "systemd has restarted it")
        run("systemctl", "stop", made.unit, timeout=engines.DEADLINE)
        assert units.show(made.unit, "ActiveState")["ActiveState"] != "active"
        engines.until(lambda: made.engine.absent(made.name), "the container is gone")


@each
def test_a_service_is_ready_when_its_container_runs(runtime: str) -> None:
    with service(runtime, "--sdnotify=conmon", engines.IMAGE, "/bin/sleep", "100000") as made:
        run("systemctl", "start", made.unit, timeout=engines.DEADLINE)
        assert made.inspect("{{.State.Status}}") == "running"


@each
def test_systemd_has_podman_check_the_health(runtime: str) -> None:
    engine = engines.Engine("systemd", runtime)
    name = f"guest-{uuid.uuid4().hex[:12]}"
    check = ("--health-cmd=test -e /srv/healthy", "--health-interval=2s", "--health-retries=1")
    try:
        engine("run", "--detach", "--name", name, "--net=none", *check, engines.IMAGE, "/bin/sleep", "100000")

        def becomes(status: str) -> None:
            look = ("inspect", "--format={{.State.Health.Status}}", name)
            engines.until(lambda: engine(*look).stdout.strip() == status, f"the container is {status}")

        becomes("unhealthy")
        engine("exec", name, "/bin/busybox", "touch", "/srv/healthy")
        becomes("healthy")
    finally:
        engine("rm", "--force", "--time=0", "--ignore", name)
    left = run("systemctl", "list-units", "--all", "--no-legend", "*.timer").stdout
    assert name not in left
