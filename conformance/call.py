"""One command of a runtime: started in a session of its own, with its output in files, and never waited for in vain.

Output goes to files and not to pipes because a container's first process inherits them from ``create``, and keeps them
for as long as it lives.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance import processes
from conformance.verdict import Broken, Failed, Hung

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

#: How much of an output the messages and the evidence show.
SHOWN = 4000

#: And the evidence of a test that passed.
BRIEF = 1000


def shown(text: str, limit: int = SHOWN) -> str:
    """``text``, without its middle when it is long."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}\n… {len(text) - limit} characters …\n{text[-limit // 2 :]}"


@dataclass(frozen=True)
class Outcome:
    """A command that has ended.  ``status`` is negative for a signal; ``seconds`` of wall clock."""

    command: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def line(self) -> str:
        return shlex.join(self.command)

    def told(self) -> str:
        """The command and what it said, for a message."""
        parts = [f"`{self.line}` exited {self.status}"]
        parts += [f"{name}: {shown(text.strip())}" for name, text in self.streams() if text.strip()]
        return "\n".join(parts)

    def streams(self) -> tuple[tuple[str, str], ...]:
        return (("stdout", self.stdout), ("stderr", self.stderr))

    def succeeded(self) -> Outcome:
        """Fail the test unless the command exited 0."""
        if self.status:
            raise Failed(f"the command should succeed: {self.told()}")
        return self

    def refused(self) -> Outcome:
        """Fail the test unless the command exited with an error."""
        if not self.status:
            raise Failed(f"the command should fail: {self.told()}")
        return self

    def evidence(self, limit: int = SHOWN) -> dict[str, Any]:
        return {
            "command": self.line,
            "status": self.status,
            "stdout": shown(self.stdout, limit),
            "stderr": shown(self.stderr, limit),
        }


class Call:
    """A command that runs.  ``wait`` for it, or ``kill`` it in the middle."""

    def __init__(
        self,
        command: Sequence[str],
        stem: Path,
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        fds: Sequence[int] = (),
        before: Sequence[str] = (),
        told: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        """Start ``command``.

        Its output goes to ``stem`` with the suffixes .out and .err.  ``fds`` are descriptors of ours that
        it inherits.  ``before`` is a program of ours that becomes the command, and that nobody is told of.
        ``told`` hears the outcome.  Raises Broken when it cannot be executed.
        """
        self.command = tuple(command)
        self.out, self.err = stem.with_suffix(".out"), stem.with_suffix(".err")
        self.told = told
        self.cookie = env.get(processes.COOKIE, "")
        self.begun = time.monotonic()
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            try:
                self.process = subprocess.Popen(
                    (*before, *self.command),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env=dict(env),
                    cwd=cwd,
                    start_new_session=True,
                    pass_fds=tuple(fds),
                )
            except OSError as error:
                raise Broken(f"`{shlex.join(self.command)}` cannot be executed: {error.strerror}") from None

    def wait(self, deadline: float) -> Outcome:
        """Its outcome, at most ``deadline`` seconds from now.  Raises Broken when it hangs or dies of a signal.

        It is killed when the test is interrupted meanwhile, by its own deadline or the end of the run.
        """
        try:
            ended = self.ended(deadline)
        except BaseException:
            self.kill()
            raise
        if not ended:
            outcome = self.kill()
            raise Hung(
                f"the runtime hangs: it was killed after {deadline:g} s, with all that it started\n{outcome.told()}"
            )
        outcome = self.outcome()
        if outcome.status < 0:
            name = signal.Signals(-outcome.status).name
            raise Broken(f"the runtime crashed, killed by {name}\n{outcome.told()}")
        return outcome

    def ended(self, seconds: float) -> bool:
        """Has it ended ``seconds`` from now?  Told by a descriptor: Popen.wait looks only now and then."""
        if self.process.poll() is None:
            descriptor = os.pidfd_open(self.process.pid)
            try:
                if not select.select([descriptor], [], [], seconds)[0]:
                    return False
            finally:
                os.close(descriptor)
            self.process.wait()
        return True

    def kill(self) -> Outcome:
        """End it with SIGKILL, now, and all that it started and that still has its environment; what came of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.cookie:
            processes.kill(processes.marked(self.cookie))
        self.process.wait()
        return self.outcome()

    def kill_alone(self) -> Outcome:
        """End it with SIGKILL, now; what it has started stays, as when the kernel is out of memory."""
        self.process.kill()
        self.process.wait()
        return self.outcome()

    def outcome(self) -> Outcome:
        out, err = (path.read_bytes().decode(errors="backslashreplace") for path in (self.out, self.err))
        outcome = Outcome(self.command, self.process.returncode, out, err, time.monotonic() - self.begun)
        self.told(outcome)
        return outcome
