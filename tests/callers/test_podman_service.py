"""What a container tells of itself under podman, as with runc: health checks, sd_notify(3), and what systemd needs
when it is the payload."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import SLEEP, running, sh, unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.callers.engine import Both
    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")

# Health checks: podman has systemd call `healthcheck run`; here that is done by hand.

CHECK = ("--health-cmd=test -e /srv/healthy", "--health-interval=disable", "--health-retries=2")
HEALTH = "{{.State.Health.Status}} {{.State.Health.FailingStreak}}"


def test_a_health_check_runs_in_the_container(podman: Podman, both: Both) -> None:
    for container in both(*CHECK, *SLEEP):
        assert container.inspect(HEALTH) == "starting 0"
        assert container.do("healthcheck", "run", "NAME").code == 1
        assert container.do("healthcheck", "run", "NAME").code == 1
        assert container.inspect(HEALTH) == "unhealthy 2"
        container.do("exec", "NAME", "/bin/busybox", "touch", "/srv/healthy")
        assert container.do("healthcheck", "run", "NAME").code == 0
        assert container.inspect(HEALTH) == "healthy 0"


def test_an_unhealthy_container_is_killed(podman: Podman, both: Both) -> None:
    for container in both(*CHECK, "--health-on-failure=kill", *SLEEP):
        container.do("healthcheck", "run", "NAME")
        container.do("healthcheck", "run", "NAME")
        container.becomes("{{.State.Status}} {{.State.ExitCode}}", "exited 137")


# sd_notify


class Manager:
    """A service manager's socket."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(60)

    def heard(self) -> list[str]:
        return self.socket.recv(4096).decode().splitlines()

    def silent(self) -> bool:
        return not select.select([self.socket], [], [], 0)[0]


@contextlib.contextmanager
def manager() -> Iterator[Manager]:
    with tempfile.TemporaryDirectory(prefix="pyrunc-test-") as folder:
        made = Manager(f"{folder}/s")
        try:
            yield made
        finally:
            made.socket.close()


@contextlib.contextmanager
def notified(podman: Podman, made: Manager) -> Iterator[None]:
    podman.env["NOTIFY_SOCKET"] = made.path
    try:
        yield
    finally:
        del podman.env["NOTIFY_SOCKET"]


def test_conmon_says_that_the_container_runs(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        options = ["--net=none", "--sdnotify=conmon", *SLEEP]
        with manager() as made, notified(podman, made), running(podman, runtime, unique(), *options) as container:
            said = made.heard()
            assert "READY=1" in said
            assert f"MAINPID={container.inspect('{{.State.ConmonPid}}')}" in said


#: Says that it is ready, as a process of the container does: through the socket that it finds in its environment.
SPEAKER = """
import socket, sys
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", sys.argv[1])
"""


def test_the_container_says_itself_that_it_is_ready(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        options = ["--net=none", "--sdnotify=container", *sh("echo at $NOTIFY_SOCKET; exec sleep 1000")]
        with manager() as made, notified(podman, made), running(podman, runtime, unique(), *options) as container:
            assert made.heard() == [f"MAINPID={container.inspect('{{.State.ConmonPid}}')}"]
            assert made.silent()
            container.logs_hold("at /")
            place = container.do("logs", "NAME").out.removeprefix("at ").strip()
            inside = f"/proc/{container.inspect('{{.State.Pid}}')}/root{place}"
            assert podman.enclosure.run([sys.executable, "-c", SPEAKER, inside]).returncode == 0
            assert made.heard() == ["READY=1"]


def test_nothing_is_said_where_it_is_ignored(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        options = ["--net=none", "--sdnotify=ignore", *sh("echo up ${NOTIFY_SOCKET-none}; exec sleep 1000")]
        with manager() as made, notified(podman, made), running(podman, runtime, unique(), *options) as container:
            container.logs_hold("up none")
            assert made.silent()


# systemd as the payload


@pytest.mark.parametrize("options", [[], ["--cgroupns=private"], ["--user=1000"], ["--read-only"], ["--tmpfs=/run"]])
def test_what_is_mounted_for_systemd(podman: Podman, options: list[str]) -> None:
    seen = podman.looks_same("--systemd=always", *options)
    assert " tmpfs " in seen.mount("/run/lock")
    assert "container=podman" in seen.sections["env"]


def test_systemd_is_stopped_by_its_signal(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        script = "trap 'exit 9' 37; echo up; sleep 1000 & wait $!"  # SIGRTMIN+3
        options = ["--net=none", "--systemd=always", *sh(script)]
        with running(podman, runtime, unique(), *options) as container:
            container.logs_hold("up")
            assert container.do("stop", "-t", "50", "NAME").code == 0
            assert container.inspect("{{.State.ExitCode}}") == "9"


def test_a_unit_is_generated_for_a_container(podman: Podman, both: Both) -> None:
    units = []
    for container in both(*SLEEP):
        seen = container.do("generate", "systemd", "--new", "--no-header", "NAME")
        assert seen.code == 0, seen
        units.append(seen.out)
    assert units[0] == units[1]
    for word in ("--runtime <RUNTIME> run", "--sdnotify=conmon", "Type=notify", "Restart=on-failure"):
        assert word in units[1]
