"""A detached container's life under podman, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import SLEEP, running, sh, unique

if TYPE_CHECKING:
    from tests.callers.engine import Both
    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")


def test_a_detached_container_has_logs(podman: Podman, both: Both) -> None:
    for container in both(*sh("echo out; echo err >&2; exec sleep 1000")):
        container.logs_hold("out")
        assert container.do("logs", "NAME").err.startswith("err")
        assert container.do("inspect", "-f", "{{.State.Status}} {{.State.Running}}", "NAME").out == "running true\n"


def test_stop_sends_the_signal_and_then_kills(podman: Podman, both: Both) -> None:
    for container in both(*SLEEP):
        assert container.do("stop", "-t", "1", "NAME").code == 0
        assert container.do("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "NAME").out == "exited 137\n"


def test_stop_lets_the_container_end_itself(podman: Podman, both: Both) -> None:
    script = "trap 'echo ended; exit 9' TERM; echo up; sleep 1000 & wait $!"
    for container in both(*sh(script)):
        container.logs_hold("up")
        assert container.do("stop", "-t", "20", "NAME").code == 0
        assert container.do("inspect", "-f", "{{.State.ExitCode}}", "NAME").out == "9\n"
        container.logs_hold("ended")


@pytest.mark.parametrize("signal", ["KILL", "SIGUSR1", "9"])
def test_kill_sends_a_signal(podman: Podman, both: Both, signal: str) -> None:
    code = "7" if "USR1" in signal else "137"
    for container in both(*sh("trap 'exit 7' USR1; echo up; sleep 1000 & wait $!")):
        container.logs_hold("up")
        assert container.do("kill", "-s", signal, "NAME").code == 0
        assert container.do("wait", "NAME").out == f"{code}\n"


def test_rm_needs_force_while_it_runs(podman: Podman, both: Both) -> None:
    for container in both(*SLEEP):
        assert container.do("rm", "NAME").code == 2
        assert container.do("rm", "-f", "-t", "0", "NAME").code == 0
        assert container.do("container", "exists", "NAME").code == 1


def test_a_container_starts_again(podman: Podman, both: Both) -> None:
    for container in both("--tmpfs", "/tmp", *sh("echo run; touch /tmp/x; ls -ld /tmp | cut -c1-10; exit 4")):
        assert container.do("wait", "NAME").out == "4\n"
        assert container.do("start", "-a", "NAME").code == 4
        assert container.do("logs", "NAME").out == "run\ndrwxrwxrwt\n" * 2


def test_ps_and_top_see_the_container(podman: Podman, both: Both) -> None:
    tops = [container.do("top", "NAME", "user", "args").out for container in both(*SLEEP)]
    assert tops[0] == tops[1]
    assert "sleep 1000" in tops[1]


def test_nothing_is_left_in_the_cgroups_after_removal(podman: Podman) -> None:
    with running(podman, podman.runtime, unique(), "--net=none", *SLEEP) as container:
        id_ = container.do("inspect", "-f", "{{.Id}}", "NAME").raw.strip()
        found = podman.enclosure.run(["find", "/sys/fs/cgroup", "-name", f"libpod-{id_}"]).stdout
        assert found.count(b"\n") > 5
    assert podman.enclosure.run(["find", "/sys/fs/cgroup", "-name", f"libpod-{id_}"]).stdout == b""
