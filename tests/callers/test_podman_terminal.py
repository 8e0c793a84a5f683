"""Containers on a terminal under podman, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import IMAGE, Seen, sh

if TYPE_CHECKING:
    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")


def on_a_terminal(
    podman: Podman, runtime: str, *arguments: str, typed: bytes = b"", after: bytes = b""
) -> tuple[int, bytes]:
    command = [*podman.base, "--runtime", runtime, "run", "--cgroup-parent", podman.cgroup, "--rm", "-it"]
    return podman.enclosure.run_on_a_terminal(
        [*command, "--net=none", "--hostname=box", *arguments],
        env=podman.env,
        typed=typed,
        after=after,
        size=(33, 99),
    )


def test_a_container_on_a_terminal_sees_the_same(podman: Podman) -> None:
    seen = []
    for runtime in (podman.reference, podman.runtime):
        code, screen = on_a_terminal(podman, runtime, IMAGE, "/bin/look")
        assert code == 0, screen
        done = subprocess.CompletedProcess((), code, screen, b"")
        seen.append(Seen(done, {podman.cgroup: "<PARENT>"}))
    podman.equal(*seen)
    assert "/dev/console" in " ".join(seen[1].sections["mountinfo"])


def test_the_terminal_has_the_callers_size_and_settings(podman: Podman) -> None:
    script = "until stty size 2>&1 | grep -q '33 99'; do :; done; stty -a; tty; ls -l /dev/console | cut -c1-10; exit 3"
    theirs = on_a_terminal(podman, podman.reference, *sh(script))
    ours = on_a_terminal(podman, podman.runtime, *sh(script))
    assert ours == theirs
    assert (ours[0], b"33" in ours[1]) == (3, True)


def test_what_is_typed_reaches_the_container(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        code, screen = on_a_terminal(podman, runtime, *sh("read -r line; echo got $line; exit 6"), typed=b"hello\n")
        assert (code, b"got hello" in screen) == (6, True), screen


def test_the_interrupt_character_signals_the_container(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        script = "trap 'echo interrupted; exit 8' INT; echo ready; read -r line"
        code, screen = on_a_terminal(podman, runtime, *sh(script), typed=b"\x03", after=b"ready")
        assert (code, b"interrupted" in screen) == (8, True), screen


def test_a_terminal_of_another_user(podman: Podman) -> None:
    script = "stat -c '%u %a' $(tty); echo x >$(tty) && echo writable"
    theirs = on_a_terminal(podman, podman.reference, "--user", "1000", *sh(script))
    ours = on_a_terminal(podman, podman.runtime, "--user", "1000", *sh(script))
    assert ours == theirs
    assert b"writable" in ours[1]
