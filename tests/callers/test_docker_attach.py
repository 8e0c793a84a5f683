"""Streams and terminals that come and go while a container runs under docker, as with runc."""

from __future__ import annotations

import subprocess
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import sh

if TYPE_CHECKING:
    from tests.callers.docker import Docker
    from tests.callers.engine import Both, running

pytestmark = pytest.mark.needs(
    "root", "dockerd", "docker", "containerd", "runc", "busybox", "nsenter", "unshare", "cgroup1"
)

STATUS = "{{.State.Status}}"
ASKS = sh("echo up; read -r line; echo got $line; echo bad >&2; exit 7")


def on_a_terminal(docker: Docker, container: running, *words: str, typed: bytes, after: bytes) -> tuple[int, bytes]:
    command = docker.command("", *words, container.name)
    return docker.enclosure.run_on_a_terminal(command, env=docker.env, typed=typed, after=after, size=(33, 99))


def test_attach_passes_what_is_typed_and_how_it_ends(dockers: Both) -> None:
    for container in dockers("--net=none", "-i", *ASKS):
        assert container.do("attach", "NAME", stdin=b"first\n").code == 7
        assert container.do("start", "--attach", "--interactive", "NAME", stdin=b"second\n").code == 7
        logs = container.do("logs", "NAME")
        assert (logs.out, logs.err) == ("up\ngot first\nup\ngot second\n", "bad\nbad\n")


def test_attach_shows_what_is_said_meanwhile_and_how_it_ends(docker: Docker, dockers: Both) -> None:
    script = "until [ -e /go ]; do echo tick; /bin/busybox usleep 99999; done; echo out; echo err >&2; exit 9"
    for container in dockers("--net=none", *sh(script)):
        command = docker.enclosure.argv(docker.command("", "attach", container.name))
        with subprocess.Popen(command, env=docker.env, stdin=subprocess.DEVNULL, stdout=PIPE, stderr=PIPE) as attached:
            assert attached.stdout is not None
            assert attached.stdout.readline() == b"tick\n"
            assert container.do("exec", "NAME", "/bin/busybox", "touch", "/go").code == 0
            out, err = attached.communicate(timeout=60)
        assert (attached.returncode, out.splitlines()[-1], err) == (9, b"out", b"err\n")


def test_a_terminal_is_attached_with_its_size(docker: Docker, dockers: Both) -> None:
    script = "until stty size | grep -q '33 99'; do :; done; echo ready; read -r line; echo got $line; exit 6"
    for container in dockers("--net=none", "-it", *sh(script)):
        code, screen = on_a_terminal(docker, container, "attach", typed=b"hello\n", after=b"ready")
        assert (code, b"got hello" in screen) == (6, True), screen


def test_the_interrupt_character_signals_the_container(docker: Docker, dockers: Both) -> None:
    script = "trap 'echo interrupted; exit 8' INT; until stty size | grep -q '33 99'; do :; done; echo ready; read -r x"
    for container in dockers("--net=none", "-it", *sh(script)):
        code, screen = on_a_terminal(docker, container, "attach", typed=b"\x03", after=b"ready")
        assert (code, b"interrupted" in screen) == (8, True), screen


def test_who_detaches_from_a_terminal_leaves_the_container_alone(docker: Docker, dockers: Both) -> None:
    for container in dockers("--net=none", "-it", *sh("while true; do echo tick; /bin/busybox usleep 100000; done")):
        words = ("attach", "--detach-keys=ctrl-x")
        code, screen = on_a_terminal(docker, container, *words, typed=b"\x18", after=b"tick")
        assert b"tick" in screen
        assert code in (0, 1), screen  # 20.10: 1, "read escape sequence"
        assert container.inspect(STATUS) == "running"
