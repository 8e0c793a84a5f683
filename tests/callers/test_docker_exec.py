"""A process that joins a container under docker, as with runc."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import SLEEP, running, unique

if TYPE_CHECKING:
    from tests.callers.docker import Docker
    from tests.callers.engine import Both

pytestmark = pytest.mark.needs(
    "root", "dockerd", "docker", "containerd", "runc", "busybox", "nsenter", "unshare", "cgroup1"
)


def test_exec_shows_the_same_process(docker: Docker, dockers: Both) -> None:
    theirs, ours = dockers("--net=none", "--cap-add", "NET_ADMIN", "-e", "OF=container", "-w", "/home", *SLEEP)
    for options in ([], ["--user", "alice", "-e", "A=b", "-e", "C=d e", "-w", "/srv"], ["--user", "1000:50"]):
        left, right = (container.do("exec", *options, "NAME", "/bin/look") for container in (theirs, ours))
        docker.equal(left, right)
        assert right.code == 0, right
        assert "OF=container" in right.sections["env"]


@pytest.mark.parametrize(
    "options", [["--cap-drop", "all", "--user", "1000"], ["--read-only", "--cap-add", "SYS_PTRACE"]]
)
def test_exec_has_what_its_container_has(docker: Docker, dockers: Both, options: list[str]) -> None:
    theirs, ours = (container.do("exec", "NAME", "/bin/look") for container in dockers("--net=none", *options, *SLEEP))
    docker.equal(theirs, ours)
    assert ours.code == 0, ours


@pytest.mark.needs("cap_sys_resource")
def test_a_privileged_exec_shows_the_same_process(docker: Docker, dockers: Both) -> None:
    theirs, ours = (container.do("exec", "--privileged", "NAME", "/bin/look") for container in dockers(*SLEEP))
    docker.equal(theirs, ours)


def test_a_privileged_exec_has_what_the_daemon_has(docker: Docker) -> None:
    """Without CAP_SYS_RESOURCE, too, where runc refuses."""
    with running(docker, docker.runtime, unique(), "--net=none", *SLEEP) as container:
        seen = container.do("exec", "--privileged", "NAME", "/bin/look")
    assert seen.code == 0, seen
    assert int(seen.status("CapEff"), 16) & (1 << 38) - 1 == docker.capabilities()
    assert seen.status("Seccomp") == "2"


def test_exec_ends_with_the_code_of_its_command(docker: Docker, dockers: Both) -> None:
    theirs, ours = dockers("--net=none", *SLEEP)
    for command, code, text in (
        (["/bin/sh", "-c", "echo err >&2; exit 3"], 3, "err"),
        (["/bin/sh", "-c", "kill -9 $$"], 137, ""),
        (["/no/such/file"], 126, 'exec: "/no/such/file": stat /no/such/file: no such file or directory'),
        (["no-such-command"], 126, 'exec: "no-such-command": executable file not found in $PATH'),
        (["/srv/not-executable"], 126, 'exec: "/srv/not-executable": permission denied'),
        (["/srv"], 126, ": permission denied"),
    ):
        left, right = (container.do("exec", "NAME", *command) for container in (theirs, ours))
        assert (left.code, right.code) == (code, code), (left, right)
        assert text in left.out + left.err, left
        assert text in right.out + right.err, right


def test_exec_reads_its_standard_input(docker: Docker, dockers: Both) -> None:
    data = os.urandom(300_000)
    for container in dockers("--net=none", *SLEEP):
        seen = container.do("exec", "-i", "NAME", "/bin/busybox", "sha256sum", stdin=data)
        assert seen.raw.split()[0] == hashlib.sha256(data).hexdigest()


def test_exec_on_a_terminal(docker: Docker, dockers: Both) -> None:
    script = "until stty size 2>&1 | grep -q '33 99'; do :; done; tty; stty -a | head -1; echo $TERM;"
    script += " [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal; exit 5"
    screens = []
    for container in dockers("--net=none", *SLEEP):
        command = docker.command("", "exec", "-it", container.name, "/bin/sh", "-c", script)
        code, screen = docker.enclosure.run_on_a_terminal(command, env=docker.env, size=(33, 99))
        assert (code, b"terminal" in screen) == (5, True), screen
        screens.append(screen)
    assert screens[0] == screens[1]


def test_exec_may_stay_behind(docker: Docker, dockers: Both) -> None:
    for container in dockers("--net=none", *SLEEP):
        assert container.do("exec", "-d", "NAME", "/bin/sh", "-c", "echo x >/srv/done; exec sleep 1234").code == 0
        container.until(lambda seen: "sleep 1234" in seen.out, "top", "NAME")
        assert container.do("exec", "NAME", "/bin/cat", "/srv/done").out == "x\n"


def test_exec_is_refused_after_the_end(docker: Docker, dockers: Both) -> None:
    for container in dockers("--net=none", "--entrypoint", "/bin/true", *SLEEP[:1]):
        container.do("wait", "NAME")
        seen = container.do("exec", "NAME", "/bin/sh")
        assert (seen.code, "is not running" in seen.err) == (1, True), seen
