"""What became of one program of a sandbox."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Usage:
    """What a program and its children that it waited for have used: CPU seconds, and the peak memory of the
    largest of them in bytes (getrusage(2))."""

    __slots__ = ("max_rss", "system", "user")

    def __init__(self, user: float = 0.0, system: float = 0.0, max_rss: int = 0) -> None:
        self.user = user
        self.system = system
        self.max_rss = max_rss

    def __repr__(self) -> str:
        return f"Usage(user={self.user}, system={self.system}, max_rss={self.max_rss})"


class Completed:
    """The result of ``Sandbox.run``.

    ``returncode`` is the exit status, or -N when signal N ended the program (as in subprocess).  ``stdout`` and
    ``stderr`` are bytes, or str where text was asked for; ``truncated`` says that one of them was longer than
    ``max_output``.  ``timed_out``: the program ran into its timeout and was killed.  ``oom_killed``: while it ran, the
    kernel killed something in the sandbox because its memory limit was reached.

    Seconds: ``spawn`` until the program was executed, ``run`` from there to its end, ``duration`` both.
    """

    __slots__ = (
        "args",
        "oom_killed",
        "returncode",
        "run",
        "spawn",
        "stderr",
        "stdout",
        "timed_out",
        "truncated",
        "usage",
    )

    def __init__(
        self,
        args: list[str],
        returncode: int,
        *,
        stdout: Any,
        stderr: Any,
        truncated: bool,
        timed_out: bool,
        oom_killed: bool,
        spawn: float,
        run: float,
        usage: Usage,
    ) -> None:
        self.args = args
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        self.truncated = truncated
        self.timed_out = timed_out
        self.oom_killed = oom_killed
        self.spawn = spawn
        self.run = run
        self.usage = usage

    @property
    def duration(self) -> float:
        return self.spawn + self.run

    @property
    def how(self) -> str:
        """``exit status 3``, ``signal 9``, and why, where that is known."""
        text = f"exit status {self.returncode}" if self.returncode >= 0 else f"signal {-self.returncode}"
        if self.timed_out:
            return "timed out"
        return text + (", the sandbox was out of memory" if self.oom_killed else "")

    def check(self) -> Completed:
        """This, or ProgramFailed unless the program ended with status 0 in time."""
        if self.returncode or self.timed_out:
            from pyrunc.errors import ProgramFailed

            raise ProgramFailed(self)
        return self

    def check_returncode(self) -> None:
        """``check`` under the name that it has in subprocess."""
        self.check()

    def __repr__(self) -> str:
        return f"Completed(args={self.args!r}, returncode={self.returncode}, stdout={self.stdout!r})"
