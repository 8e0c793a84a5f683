"""A private view of the machine, in which real container engines may do what they like.

Only the enclosure lives here.  It is a process with its own mount, network and pid namespaces, in
which /run, /dev/shm and /var/lib/containers are empty tmpfs: bridges, firewall rules, lock files and
mounts of an engine never reach the machine, parallel workers do not meet, and the end of the
enclosure's first process is the end of everything inside.  The cgroup hierarchies are the machine's.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The first process ignores SIGCHLD so that the kernel reaps what is reparented to it (conmon
# detaches itself twice); it ends when its standard input does.
_FIRST = """\
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
if [ -d /var/lib/containers ]; then mount -t tmpfs tmpfs /var/lib/containers; fi
if command -v ip >/dev/null; then ip link set lo up; fi
. "$1"
echo ready
exec env --ignore-signal=CHLD cat
"""


class Enclosure:
    """Use as a context manager; ``argv(command)`` is the same command, run inside.

    ``setup`` is shell text for the first process (bind mounts over files of /etc, say), run as root
    inside before anything else is.  ``unshare`` adds options of unshare(1).
    """

    def __init__(self, directory: Path, *, setup: str = "", unshare: Sequence[str] = ()) -> None:
        self._script = directory / "enclosure.sh"
        self._script.write_text(setup)
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", *unshare]
        self._outer = subprocess.Popen(
            [*command, "sh", "-c", _FIRST, "enclosure", os.fspath(self._script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._outer.stdout is not None
        said = self._outer.stdout.readline().decode()
        if said != "ready\n":
            said += self._outer.stdout.read().decode()
            self._outer.wait()
            raise RuntimeError(f"the enclosure cannot be set up: {said}")
        outer = self._outer.pid
        self.pid = int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._outer.stdin is not None
        assert self._outer.stdout is not None
        self._outer.stdin.close()
        self._outer.wait(timeout=60)
        self._outer.stdout.close()

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` inside."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--wdns=/", "--", *command]

    def run(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command inside to its end; standard input is ``stdin``, then its end."""
        return subprocess.run(
            self.argv(command), env=env, input=stdin, capture_output=True, timeout=timeout, check=False
        )

    def run_on_a_terminal(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        typed: bytes = b"",
        after: bytes = b"",
        size: tuple[int, int] = (24, 80),
        timeout: float = 60,
    ) -> tuple[int, bytes]:
        """Run a command inside with a new pty as its controlling terminal: (exit code, screen)."""
        return on_a_terminal(self.argv(command), env=env, typed=typed, after=after, size=size, timeout=timeout)


def on_a_terminal(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    typed: bytes = b"",
    after: bytes = b"",
    size: tuple[int, int] = (24, 80),
    timeout: float = 60,
) -> tuple[int, bytes]:
    """Run a command on a new pty of ``size`` (rows, columns) and return (exit code, what it showed).

    ``typed`` is typed once the screen holds ``after``.
    """
    master, slave = os.openpty()
    try:
        termios.tcsetwinsize(slave, size)
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *command], env=env, stdin=slave, stdout=slave, stderr=slave
        )
    finally:
        os.close(slave)
    screen = b""
    try:
        deadline = time.monotonic() + timeout
        while True:
            if typed and after in screen:
                os.write(master, typed)
                typed = b""
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([master], [], [], left)[0]:
                process.kill()
                raise TimeoutError(f"{command} on a terminal; so far: {screen!r}")
            with contextlib.suppress(OSError):  # EIO: the last process that held the slave is gone
                if chunk := os.read(master, 65536):
                    screen += chunk
                    continue
            return process.wait(timeout=timeout), screen
    finally:
        os.close(master)
        process.wait(timeout=timeout)
