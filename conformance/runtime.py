"""The verbs of the OCI's runtime command-line interface, and nothing else that a runtime may have."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from conformance.call import Call
from conformance.processes import COOKIE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conformance.call import Outcome
    from conformance.evidence import Evidence
    from conformance.installed import Installed

#: Seconds that one command may take before it counts as one that hangs.
DEADLINE = 20.0

#: What a runtime's environment has: as little as a container manager's.
ENVIRONMENT = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "LANG")


def environment() -> dict[str, str]:
    """What a runtime gets of our environment."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}


class Runtime:
    """One runtime, for one test: with a state directory, a token and evidence of its own.

    Each verb returns the Outcome of its command, whatever that is, and raises Broken when the runtime hangs or crashes.
    """

    def __init__(
        self, installed: Installed, folder: Path, token: str, evidence: Evidence, deadline: float = DEADLINE
    ) -> None:
        """``folder`` is a directory for the state and the outputs of commands."""
        self.installed = installed
        self.folder = folder
        self.root = folder / "state"
        self.token = token
        self.evidence = evidence
        self.deadline = deadline
        self.numbers = itertools.count(1)
        self.last: Call  # the call that was begun last
        #: What stands before every command line: a program that becomes another caller (caller.py).
        self.prefix: list[str] = []
        #: Descriptors of ours that every command inherits: those of a caller who leaves them open.
        self.fds: list[int] = []

    @property
    def name(self) -> str:
        return self.installed.name

    def command(self, verb: str, *arguments: str | Path) -> list[str]:
        """The whole command line of a verb."""
        own = self.installed
        state = [own.root, str(self.root)] if own.root else []
        return [*self.prefix, own.path, *own.options, *state, verb, *map(str, arguments)]

    def begin(
        self,
        verb: str,
        *arguments: str | Path,
        fds: Sequence[int] = (),
        cwd: Path | None = None,
        before: Sequence[str] = (),
    ) -> Call:
        """Start a verb and do not wait: for several at once (at_once.py), and for being killed in the middle."""
        number = next(self.numbers)
        env = {**environment(), COOKIE: f"{self.token}.{number}"}
        stem = self.folder / f"{number:03}-{verb.lstrip('-')}"
        command = self.command(verb, *arguments)
        self.last = Call(command, stem, env=env, cwd=cwd, fds=(*self.fds, *fds), before=before, told=self.evidence.call)
        return self.last

    def call(self, verb: str, *arguments: str | Path, fds: Sequence[int] = (), cwd: Path | None = None) -> Outcome:
        return self.begin(verb, *arguments, fds=fds, cwd=cwd).wait(self.deadline)

    def create(
        self, id: str, bundle: Path, *, pid_file: Path | None = None, console_socket: Path | None = None
    ) -> Outcome:
        return self.call("create", *create_arguments(id, bundle, pid_file, console_socket))

    def start(self, id: str) -> Outcome:
        return self.call("start", id)

    def state(self, id: str) -> Outcome:
        return self.call("state", id)

    def kill(self, id: str, signal: str | int) -> Outcome:
        return self.call("kill", id, str(signal))

    def delete(self, id: str, *, force: bool = False) -> Outcome:
        return self.call("delete", *(["--force"] if force else []), id)

    def features(self) -> Outcome:
        return self.call("features")


def create_arguments(
    id: str, bundle: Path, pid_file: Path | None = None, console_socket: Path | None = None
) -> list[str]:
    """What stands behind ``create``."""
    arguments = ["--bundle", str(bundle)]
    if pid_file is not None:
        arguments += ["--pid-file", str(pid_file)]
    if console_socket is not None:
        arguments += ["--console-socket", str(console_socket)]
    return [*arguments, id]
