"""The first process, its terminal and its exit code under docker, as with runc.

Each test runs one docker command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import IMAGE, Seen, running, sh, unique

if TYPE_CHECKING:
    from pathlib import Path

    from tests.callers.docker import Docker

pytestmark = pytest.mark.needs(
    "root", "dockerd", "docker", "containerd", "runc", "busybox", "nsenter", "unshare", "cgroup1"
)


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        (["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], 3, "err"),
        (["/no/such/file"], 127, 'exec: "/no/such/file": stat /no/such/file: no such file or directory'),
        (["no-such-command"], 127, 'exec: "no-such-command": executable file not found in $PATH'),
        (["/srv/not-executable"], 126, 'exec: "/srv/not-executable": permission denied'),
        (["/srv"], 126, 'exec: "/srv": is a directory: permission denied'),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_run_ends_with_the_code_that_docker_makes_of_it(
    docker: Docker, command: list[str], code: int, text: str
) -> None:
    theirs, ours = (
        docker.run(runtime, "--net=none", IMAGE, *command) for runtime in (docker.reference, docker.runtime)
    )
    assert (theirs.code, ours.code, theirs.out) == (code, code, ours.out), (theirs, ours)
    assert text in ours.err
    assert without_place(ours.err) == without_place(theirs.err)


def without_place(text: str) -> str:
    """runc 1.1 names itself and the verb in front of its errors; this runtime the place in the config behind them."""
    for part in ("runc create failed: unable to start container process: ", " (process.args[0])", ": is a directory"):
        text = text.replace(part, "")
    return text


@pytest.mark.parametrize(
    ("command", "text"),
    [("/srv/bad-format", "exec format error"), ("/srv/no-interpreter", "no such file or directory")],
)
def test_what_only_execve_can_refuse_is_told(docker: Docker, command: str, text: str) -> None:
    # runc 1.1 has returned by then: the payload ends with 1, its message is all that is seen.  Here start fails.
    theirs, ours = (docker.run(runtime, "--net=none", IMAGE, command) for runtime in (docker.reference, docker.runtime))
    assert f"exec {command}: {text}" in theirs.err + theirs.out
    assert f"exec {command}: {text}" in ours.err
    assert (theirs.code, ours.code) in {(1, 125), (1, 127), (ours.code, theirs.code)}, ours


def test_docker_itself_ends_with_125(docker: Docker) -> None:
    for runtime in (docker.reference, docker.runtime):
        assert docker.run(runtime, "--net=none", "--no-such-option", IMAGE).code == 125
        assert docker.run(runtime, "--net=none", "--cpus", "1000", IMAGE).code == 125
    seen = docker.run("no-such-runtime", "--net=none", IMAGE)
    assert (seen.code, "nknown runtime specified" in seen.err) == (125, True), seen


def test_a_failed_run_leaves_no_container(docker: Docker) -> None:
    name = unique()
    done = docker.do(docker.runtime, "run", "--rm", "--name", name, "--net=none", IMAGE, "/no/such/file")
    assert done.returncode == 127
    assert docker.do("", "inspect", name).returncode == 1


def test_the_tested_runtime_is_the_default_one(docker: Docker) -> None:
    """As daemon.json says; the container tells by what ran it."""
    name = unique()
    done = docker.enclosure.run(
        ["docker", "run", "-d", "--name", name, "--net=none", *sh("exec sleep 1000")], env=docker.env
    )
    assert done.returncode == 0, done
    with running.adopted(docker, docker.runtime, name) as container:
        assert container.inspect("{{.HostConfig.Runtime}}") == docker.runtime
        id_ = container.inspect("{{.Id}}")
        state = docker.enclosure.run(
            [docker.path, "--root", "/run/docker/runtime-runc/moby", "state", id_], env=docker.env
        )
        assert json.loads(state.stdout)["status"] == "running", state


def test_the_process_is_what_the_options_say(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("FROM_FILE=x y\nA=replaced\n")
    options = ["--user", "alice", "--group-add", "4242", "--workdir", "/home/alice", "--hostname", "a-name.example"]
    options += ["--env-file", f"{tmp_path}/env", "-e", "A=b c", "-e", "EQUALS=a=b=c", "-e", "UNICODE=\u00fc\u4e16"]
    seen = docker.looks_same(*options, "--domainname", "example", "--oom-score-adj", "500")
    assert {"FROM_FILE=x y", "A=b c", "EQUALS=a=b=c", "HOME=/home/alice"} <= set(seen.sections["env"])
    assert (seen.sections["cwd"], seen.sections["oom"]) == (["/home/alice"], ["500"])
    assert seen.sections["hostname"] == ["a-name.example"]
    assert {"50", "4242"} <= set(seen.status("Groups").split())


def test_a_working_directory_is_made(docker: Docker) -> None:
    assert docker.same("--net=none", "--workdir", "/made/for/it", "--user", "1000", *sh("pwd")).out == "/made/for/it\n"


def test_the_entrypoint(docker: Docker) -> None:
    seen = docker.same("--net=none", "--entrypoint", "/bin/busybox", IMAGE, "echo", "a  b", "")
    assert seen.out == "a  b \n"


@pytest.mark.needs("docker-init")
def test_an_init_reaps_and_passes_signals(docker: Docker) -> None:
    seen = docker.looks_same("--init")
    assert seen.sections["cmdline"][0].startswith("/sbin/docker-init -- /bin/look")


def test_standard_input_reaches_the_container(docker: Docker) -> None:
    data = os.urandom(300_000)
    seen = docker.same("--net=none", "-i", IMAGE, "/bin/busybox", "sha256sum", stdin=data)
    assert seen.raw.split()[0] == hashlib.sha256(data).hexdigest()


def on_a_terminal(
    docker: Docker, runtime: str, *words: str, typed: bytes = b"", after: bytes = b""
) -> tuple[int, bytes]:
    command = docker.command(runtime, "run", "--rm", "-it", "--net=none", "--hostname=box", *words)
    return docker.enclosure.run_on_a_terminal(command, env=docker.env, typed=typed, after=after, size=(33, 99))


def test_a_container_on_a_terminal_sees_the_same(docker: Docker) -> None:
    seen = []
    for runtime in (docker.reference, docker.runtime):
        code, screen = on_a_terminal(docker, runtime, IMAGE, "/bin/look")
        assert code == 0, screen
        done = subprocess.CompletedProcess((), code, screen, b"")
        seen.append(Seen(done, {docker.cgroup: "<PARENT>"}))
    docker.equal(*seen)
    assert "/dev/console" in " ".join(seen[1].sections["mountinfo"])


def test_a_terminal_has_the_size_of_the_callers_and_passes_what_is_typed(docker: Docker) -> None:
    script = "until stty size 2>&1 | grep -q '33 99'; do :; done; stty -a; tty; ls -l /dev/console | cut -c1-10;"
    script += "trap 'echo interrupted; exit 8' INT; echo ready; read -r line"
    screens = []
    for runtime in (docker.reference, docker.runtime):
        code, screen = on_a_terminal(docker, runtime, "--user", "1000", *sh(script), typed=b"\x03", after=b"ready")
        assert (code, b"interrupted" in screen) == (8, True), screen
        screens.append(re.sub(rb"\^C", b"", screen))
    assert screens[0] == screens[1]
