"""A process that joins a container under podman, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import SLEEP, sh

if TYPE_CHECKING:
    from tests.callers.engine import Both
    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--user", "alice"],
        ["--user", "1000:50"],
        ["-e", "A=b", "-e", "C=d e"],
        ["-w", "/srv"],
        ["--privileged"],
        ["--user", "1000", "-w", "/home/alice", "-e", "HOME=/home/alice"],
    ],
    ids=" ".join,
)
def test_exec_shows_the_same_process(podman: Podman, both: Both, options: list[str]) -> None:
    theirs, ours = (container.do("exec", *options, "NAME", "/bin/look") for container in both(*SLEEP))
    podman.equal(theirs, ours)
    assert ours.code == 0, ours


@pytest.mark.parametrize(
    "options", [["--cap-add", "NET_ADMIN"], ["--cap-drop", "all"], ["--user", "1000"], ["--read-only"]]
)
def test_exec_has_what_its_container_has(podman: Podman, both: Both, options: list[str]) -> None:
    theirs, ours = (container.do("exec", "NAME", "/bin/look") for container in both(*options, *SLEEP))
    podman.equal(theirs, ours)
    assert ours.code == 0, ours


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["/bin/sh", "-c", "exit 0"], 0),
        (["/bin/sh", "-c", "exit 3"], 3),
        (["/bin/sh", "-c", "kill -9 $$"], 137),
        (["/no/such/file"], 127),
        (["no-such-command"], 127),
        (["/srv/not-executable"], 126),
        (["/srv"], 126),
        (["/srv/bad-format"], 126),
    ],
)
def test_exec_ends_with_the_code_of_its_command(podman: Podman, both: Both, command: list[str], code: int) -> None:
    theirs, ours = (container.do("exec", "NAME", *command) for container in both(*SLEEP))
    if command == ["/srv/bad-format"]:
        # runc 1.1 has returned by then and the process ends with 1; here exec itself fails, with 255.
        assert (theirs.code, ours.code) in ((1, 255), (ours.code, theirs.code)), (theirs, ours)
        assert "exec format error" in ours.err
    else:
        assert (theirs.code, ours.code) == (code, code), (theirs, ours)


def test_exec_reads_its_standard_input(podman: Podman, both: Both) -> None:
    data = os.urandom(300_000)
    for container in both(*SLEEP):
        seen = container.do("exec", "-i", "NAME", "/bin/busybox", "sha256sum", stdin=data)
        assert seen.raw.split()[0] == hashlib.sha256(data).hexdigest()


def test_exec_in_a_terminal(podman: Podman, both: Both) -> None:
    # podman sends the size once the process runs.
    script = "until stty size 2>&1 | grep -q '33 99'; do :; done; tty; stty -a | head -1; echo $TERM;"
    script += " [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal; exit 5"
    screens = []
    for container in both(*SLEEP):
        command = [*podman.base, "--runtime", container.runtime, "exec", "-it", container.name]
        command += ["/bin/sh", "-c", script]
        code, screen = podman.enclosure.run_on_a_terminal(command, env=podman.env, size=(33, 99))
        assert code == 5, screen
        assert b"terminal" in screen
        assert b"33 rows" in screen or b"rows 33" in screen, screen
        screens.append(screen)
    assert screens[0] == screens[1]


def test_exec_is_refused_after_the_end(podman: Podman, both: Both) -> None:
    for container in both(*sh("exit 0")):
        container.do("wait", "NAME")
        assert container.do("exec", "NAME", "/bin/sh").code == 255
