"""Streams to and from containers over the CRI, as ``kubectl exec`` and ``kubectl attach`` have them."""

from __future__ import annotations

import subprocess
from subprocess import PIPE
from typing import TYPE_CHECKING, Self

import pytest

from tests.callers.cri import HANDLERS, Pod, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.callers.cri import Container, Cri

pytestmark = pytest.mark.needs(
    "root", "containerd", "ctr", "cni", "runc", "busybox", "nsenter", "unshare", "overlay", "cgroup1"
)

SLEEP = "exec sleep 1000"
SIZE = "--size=132x43"
#: The size comes when the program runs already.
SIZED = "until /bin/busybox stty size 2>/dev/null | grep -q '43 132'; do :; done"


@pytest.fixture(params=HANDLERS)
def pod(cri: Cri, request: pytest.FixtureRequest) -> Iterator[Pod]:
    """A pod of either handler."""
    with Pod(cri, request.param) as made:
        yield made


def ended(command: list[str], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def shell(box: Container, script: str, *options: str, **request: object) -> list[str]:
    return box.streamed("Exec", *options, cmd=["/bin/sh", "-c", script], **request)


def test_exec_has_the_three_streams_and_an_exit_status(pod: Pod) -> None:
    box = pod.running(SLEEP)
    script = "read -r line; echo got $line; echo wrong >&2; exit 6"
    assert ended(shell(box, script), b"this\n") == (6, b"got this\n", b"wrong\n")
    assert ended(shell(box, "exit 0")) == (0, b"", b"")
    assert ended(shell(box, "[ -t 0 ]")) == (1, b"", b"")


def test_exec_hands_much_through_both_ways(pod: Pod) -> None:
    box = pod.running(SLEEP)
    much = b"0123456789abcde\n" * 40_000
    code, out, err = ended(shell(box, f"/bin/busybox head -c {len(much)}"), much)
    assert (code, out == much, err) == (0, True, b"")


def test_exec_on_a_terminal_has_its_size(pod: Pod) -> None:
    box = pod.running(SLEEP)
    script = f"{SIZED}; echo; /bin/busybox tty; echo err >&2; read -r line; echo got:$line; exit 7"
    code, screen, err = ended(shell(box, script, SIZE, tty=True), b"typed\n")
    assert (code, err) == (7, b"")
    # The terminal's echo comes whenever it is typed.
    assert screen.split().count(b"typed") == 1
    assert [word for word in screen.split() if word != b"typed"] == [b"/dev/pts/0", b"err", b"got:typed"]


def test_a_program_that_an_exec_cannot_run_is_told_of(pod: Pod) -> None:
    code, out, err = ended(pod.running(SLEEP).streamed("Exec", cmd=["/no/such"]))
    assert (code, out) == (255, b""), err
    assert b"no such file or directory" in err


class Attached:
    """Who attaches, for the length of a with block.  What a container says last need not reach it: its log has that."""

    def __init__(self, box: Container, *options: str, **request: object) -> None:
        self._client = subprocess.Popen(box.streamed("Attach", *options, **request), stdin=PIPE, stdout=PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._client:
            self._client.kill()

    def says(self, line: bytes) -> None:
        assert self._client.stdin
        self._client.stdin.write(line + b"\n")
        self._client.stdin.flush()

    def hears(self, line: bytes) -> None:
        assert self._client.stdout
        while (heard := self._client.stdout.readline().strip()) != line:
            assert heard, "it has ended"

    def leaves(self) -> int:
        """Have no more to say, wait for the end, and return the exit status."""
        assert self._client.stdin
        self._client.stdin.close()
        return self._client.wait(timeout=60)


def test_who_attaches_hears_and_talks_and_may_go(pod: Pod) -> None:
    box = pod.running("while read -r line; do echo said $line; [ $line != end ] || exit 5; done", stdin=True)
    with Attached(box, "--leave") as first:
        first.says(b"one")
        first.hears(b"said one")
        assert first.leaves() == 0
    assert box.status()["state"] == "CONTAINER_RUNNING"
    with Attached(box) as second:
        second.says(b"two")
        second.hears(b"said two")
        second.says(b"end")
        assert second.leaves() == 0
    assert box.ended() == (5, "Error")
    until(lambda: [line for _, line in box.lines()] == ["said one", "said two", "said end"])


def test_who_attaches_to_a_terminal_has_its_size(pod: Pod) -> None:
    box = pod.running(f"{SIZED}; read -r line; echo got $line; read -r line", tty=True, stdin=True)
    with Attached(box, SIZE, tty=True) as attached:
        attached.says(b"hello")
        attached.hears(b"got hello")
        attached.says(b"")
        assert attached.leaves() == 0
    assert box.ended() == (0, "Completed")
