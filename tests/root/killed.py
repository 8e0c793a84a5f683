"""Commands that strace kills as they enter a system call: the Python process alone, not what it has started."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.root.box import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.root.box import Box


class Killed:
    """Commands on a box that strace kills as they enter a system call."""

    def __init__(self, box: Box, scratch: Path) -> None:
        self.box = box
        self.trace = scratch / "trace"

    def _strace(self, *options: str, words: tuple[str, ...]) -> bool:
        """Whether it was killed."""
        command = [
            "strace",
            "-qq",
            "-o",
            str(self.trace),
            *options,
            str(self.box.runtime),
            "--root",
            str(self.box.root),
        ]
        with self.box.out.open("ab") as out:
            done = subprocess.run([*command, *words], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=60,
                                  check=False)  # fmt: skip
        assert done.returncode in (0, -signal.SIGKILL)
        return done.returncode != 0

    def calls(self, *words: str) -> list[str]:
        """The system calls of the command, which comes to its end."""
        assert not self._strace(words=words)
        return re.findall(r"^(\w+\(.*)", self.trace.read_text(), re.MULTILINE)

    def at(self, name: str, count: int, *words: str) -> bool:
        """Killed as it enters the system call of that name for the ``count``th time, if it comes there."""
        return self._strace("-e", f"inject={name}:signal=KILL:when={count}", words=words)

    def at_path(self, path: Path, name: str, *words: str, count: int = 1) -> None:
        """Killed as it enters the ``count``th such call that has the path as its first."""
        assert self._strace("-P", str(path), "-e", f"inject={name}:signal=KILL:when={count}", words=words)

    def at_fifo(self, name: str, *words: str) -> None:
        self.at_path(self.box.root / self.box.id / "exec.fifo", name, *words)

    @contextlib.contextmanager
    def stopped_behind_fifo(self, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Stopped after the first such call that has the FIFO; it goes on in the end."""
        fifo = self.box.root / self.box.id / "exec.fifo"
        tracer = ["strace", "-qq", "-o", str(self.trace), "-P", str(fifo), "-e", f"inject={name}:signal=STOP:when=1"]
        command = [*tracer, str(self.box.runtime), "--root", str(self.box.root), *words]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            until(lambda: "stopped by SIGSTOP" in self.trace.read_text(), lambda: "it has stopped")
            yield process
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGCONT)
