"""The first process and its exit code under podman, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import IMAGE, sh, unique

if TYPE_CHECKING:
    from pathlib import Path

    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")


@pytest.mark.needs("catatonit")
def test_init_reaps_and_passes_signals(podman: Podman) -> None:
    path = shutil.which("catatonit")
    assert path
    seen = podman.looks_same("--init", "--init-path", path)
    assert seen.sections["cmdline"][0].startswith(("/dev/init", "/run/podman-init"))


def test_an_init_of_our_own(podman: Podman, tmp_path: Path) -> None:
    init = tmp_path / "init"
    init.write_text('#!/bin/sh\necho init of $*\nshift\nexec "$@"\n')
    init.chmod(0o755)
    seen = podman.same("--net=none", "--init", "--init-path", str(init), IMAGE, "/bin/busybox", "echo", "the command")
    assert seen.out == "init of -- /bin/busybox echo the command\nthe command\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["/bin/sh", "-c", "exit 0"], 0),
        (["/bin/sh", "-c", "exit 3"], 3),
        (
            ["/bin/sh", "-c", "kill -9 $$; exit 1"],
            1,
        ),  # the first process of a pid namespace cannot kill itself
        (["/no/such/file"], 127),
        (["no-such-command"], 127),
        (["/srv/not-executable"], 126),
        (["not-executable"], 127),
        (["/srv"], 126),
    ],
)
def test_run_ends_with_the_code_of_its_command(podman: Podman, command: list[str], code: int) -> None:
    seen = podman.same("--net=none", IMAGE, *command)
    assert seen.code == code, seen


@pytest.mark.parametrize(
    ("command", "text"),
    [("/srv/bad-format", "exec format error"), ("/srv/no-interpreter", "no such file or directory")],
)
def test_what_only_execve_can_refuse_ends_alike(podman: Podman, command: str, text: str) -> None:
    # runc 1.1 has returned by then: the payload ends with 1, its message is all that is seen.  Here start fails
    # with the same message, and podman gives the code that its manual has for a command that cannot be invoked.
    theirs, ours = (podman.run(runtime, "--net=none", IMAGE, command) for runtime in (podman.reference, podman.runtime))
    assert text in theirs.err.lower()
    assert f"exec {command}: {text}" in ours.err.lower()
    assert ours.code in (theirs.code, 126, 127), ours


def test_podman_itself_ends_with_125(podman: Podman) -> None:
    assert podman.same("--net=none", "--no-such-option", IMAGE).code == 125


def test_a_failed_run_leaves_no_container(podman: Podman) -> None:
    name = unique()
    done = podman.do(podman.runtime, "run", "--rm", "--name", name, "--net=none", IMAGE, "/no/such/file")
    assert done.returncode == 127
    assert podman.do(podman.runtime, "container", "exists", name).returncode == 1


@pytest.mark.parametrize("entrypoint", ["/no/such", "/srv", "/srv/not-executable", "/bin/busybox"])
def test_the_entrypoint(podman: Podman, entrypoint: str) -> None:
    seen = podman.same("--net=none", "--entrypoint", entrypoint, IMAGE, "echo", "x")
    assert seen.code == {"/no/such": 127, "/bin/busybox": 0}.get(entrypoint, 126), seen


def test_standard_input_reaches_the_container(podman: Podman) -> None:
    data = os.urandom(300_000)
    seen = podman.same("--net=none", "-i", IMAGE, "/bin/busybox", "sha256sum", stdin=data)
    assert seen.raw.split()[0] == hashlib.sha256(data).hexdigest()


def test_a_file_descriptor_is_preserved(podman: Podman) -> None:
    script = 'exec 3</etc/passwd; exec "$@"'
    for runtime in (podman.reference, podman.runtime):
        command = [
            *podman.base,
            "--runtime",
            runtime,
            "run",
            "--cgroup-parent",
            podman.cgroup,
            "--rm",
            "--net=none",
        ]
        command += ["--preserve-fds=1", *sh("head -1 <&3; ls /proc/self/fd | sort -n | tr '\\n' ' '")]
        done = podman.enclosure.run(["sh", "-c", script, "sh", *command], env=podman.env)
        assert done.stdout == b"root:x:0:0:root:/root:/bin/bash\n0 1 2 3 4 ", done
