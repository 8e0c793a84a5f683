"""A container of a test: its bundle, its verbs, and what comes out of it.

A verb fails the test unless it ends as ``expect`` says: "ok" (exit 0), "error" (any other) or "any".
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from conformance import cgroup, processes, seen, state
from conformance.config import PROBE
from conformance.verdict import Broken, Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.bundle import Bundle
    from conformance.call import Outcome
    from conformance.config import Config
    from conformance.runtime import Runtime

Expect = Literal["ok", "error", "any"]

#: Seconds to wait for what a container does.
PATIENCE = 20.0


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """What ``condition`` returns as soon as that is true; Failed with ``what`` when it is not in time."""
    deadline, pause = time.monotonic() + seconds, 0.001
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds:g} s")
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return result


class Container:
    """``config`` may be changed until ``create``, which writes the bundle."""

    def __init__(self, runtime: Runtime, bundle: Bundle, id: str) -> None:
        self.runtime = runtime
        self.bundle = bundle
        self.id = id
        self.pid_file = bundle.path.parent / f"{bundle.path.name}.pid"
        self.out: Path | None = None
        self.watched: processes.Watched | None = None
        self.cgroups: set[Path] = set()
        self.exists = False

    @property
    def config(self) -> Config:
        return self.bundle.config

    @property
    def rootfs(self) -> Path:
        return self.bundle.rootfs

    # --- verbs -------------------------------------------------------------------------------------------------------

    def create(self, expect: Expect = "ok", *, console_socket: Path | None = None) -> Outcome:
        """Write the bundle and create the container, with a pid file."""
        self.bundle.write()
        return self.create_again(expect, console_socket=console_socket)

    def create_again(self, expect: Expect = "ok", *, console_socket: Path | None = None) -> Outcome:
        """``create`` with the bundle as it is on the disk."""
        outcome = self.runtime.create(self.id, self.bundle.path, pid_file=self.pid_file, console_socket=console_socket)
        if outcome.status == 0 and not self.exists:
            self.exists = True
            self.out = self.runtime.last.out
            self.watch()
        return check(outcome, expect)

    def start(self, expect: Expect = "ok") -> Outcome:
        return check(self.runtime.start(self.id), expect)

    def kill(self, signal: str | int, expect: Expect = "ok") -> Outcome:
        return check(self.runtime.kill(self.id, signal), expect)

    def delete(self, expect: Expect = "ok", *, force: bool = False) -> Outcome:
        outcome = self.runtime.delete(self.id, force=force)
        if outcome.status == 0:
            self.exists = False
        return check(outcome, expect)

    def state(self) -> dict[str, Any]:
        """What ``state`` prints, which must succeed."""
        return state.parse(self.runtime.state(self.id).succeeded())

    def status(self) -> str:
        return str(self.state()["status"])

    def gone(self) -> None:
        """Fail unless ``state`` fails, as it does for what does not exist."""
        self.runtime.state(self.id).refused()

    # --- its first process -------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Hold the first process, and note its cgroups.  Raises Broken when there is none."""
        number = self.pid_from_file()
        try:
            self.watched = processes.Watched(number)
            self.cgroups = cgroup.own(number)
        except (ProcessLookupError, FileNotFoundError):
            raise Broken(f"the container was created, but its process {number} does not exist") from None

    def pid_from_file(self) -> int:
        text = self.pid_file.read_text() if self.pid_file.exists() else ""
        if not text.strip().isdigit():
            raise Broken(f"create succeeded, but the file of --pid-file has no pid: {text!r}")
        return int(text)

    @property
    def pid(self) -> int:
        """The host's number of the first process."""
        assert self.watched is not None, "the container was not created"
        return self.watched.pid

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """Wait until the first process has ended.

        Its exit status, negative for a signal, or None when it is no descendant of this one.
        """
        assert self.watched is not None, "the container was not created"
        if not self.watched.wait(seconds):
            raise Failed(f"the container's process {processes.describe(self.pid)} still runs after {seconds:g} s")
        return self.watched.status

    def until_stopped(self) -> int | None:
        """Wait until the process has ended and the runtime knows; the exit status like that of ``wait``."""
        status = self.wait()
        until(lambda: self.status() == "stopped", f"{self.id}: the process has ended, the status should be stopped")
        return status

    # --- what comes out of it ----------------------------------------------------------------------------------------

    def output(self) -> str:
        """What has come out on its standard output until now."""
        assert self.out is not None, "the container was not created"
        return self.out.read_bytes().decode(errors="surrogateescape")

    def errors(self) -> str:
        assert self.out is not None, "the container was not created"
        return self.out.with_suffix(".err").read_bytes().decode(errors="surrogateescape")

    def until_output(self, line: str) -> None:
        """Wait until it has written this whole line."""

        def written() -> bool:
            if line in self.output().splitlines():
                return True
            if self.watched is not None and self.watched.wait(0):
                if line in self.output().splitlines():
                    return True
                raise Failed(f"the process ended without writing {line!r}{self.told()}")
            return False

        until(written, f"the process should write {line!r}{self.told()}")

    def told(self) -> str:
        said = {"stdout": self.output().strip(), "stderr": self.errors().strip()}
        return "".join(f"\nthe container's {name}: {text[:2000]}" for name, text in said.items() if text)

    def run(self, *command: str) -> int | None:
        """Create and start with the probe's ``command`` as the process (as the config has it, without one).

        Returns when it has ended, with its exit status.
        """
        if command:
            self.config["process"]["args"] = [PROBE, *command]
        self.create()
        self.start()
        return self.wait()

    def report(self, *asked: str) -> seen.Seen:
        """Create and start with a report as the process, and what it says; ``asked`` are the probe's KIND=VALUE."""
        status = self.run("report", *asked)
        return self.seen(status)

    def seen(self, status: int | None = None) -> seen.Seen:
        """The last report in its output; Failed when there is none."""
        found = seen.reports(self.output())
        if not found:
            raise Failed(f"the probe did not report, and ended with {status}{self.told()}")
        self.runtime.evidence.note("the probe's report", self.output())
        return found[-1]

    def running(self) -> Container:
        """Create and start it, and wait until the probe waits for signals; the process must be ``wait``."""
        self.create()
        self.start()
        self.until_output("waiting")
        return self


def check(outcome: Outcome, expect: Expect) -> Outcome:
    if expect == "ok":
        return outcome.succeeded()
    return outcome.refused() if expect == "error" else outcome
