"""Hooks that leave marks: every hook is the probe, and adds a line to one file that host and container share."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from conformance.config import PROBE, add_hook, add_mount
from conformance.container import until
from conformance.state import State
from conformance.verdict import Failed

if TYPE_CHECKING:
    from conformance.call import Call
    from conformance.container import Container
    from conformance.workshop import Workshop

#: In the order in which they run.
KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
#: Those that ``create`` runs, and those that ``start`` runs.
OF_CREATE, OF_START = KINDS[:3], KINDS[3:5]

#: Where the container sees the directory of the marks.
INSIDE = "/mnt"


class Marks:
    """The hooks of one container, and what they have written."""

    def __init__(self, workshop: Workshop, box: Container) -> None:
        self.workshop = workshop
        self.box = box
        self.host = workshop.directory(f"marks-{len(workshop.containers)}")
        self.host.chmod(0o777)
        self.probe = workshop.host_probe()
        add_mount(box.config, INSIDE, "bind", str(self.host), "bind")

    def place(self, kind: str, name: str) -> str:
        """The path of a file of that name, as a hook of this kind has to say it."""
        return f"{INSIDE if kind == 'startContainer' else self.host}/{name}"

    def path(self, kind: str) -> str:
        """That of the program: startContainer hooks are found in the container."""
        return PROBE if kind == "startContainer" else self.probe

    def hook(self, kind: str, *command: str, **more: Any) -> None:
        """One more hook, which runs the probe with ``command`` when it has read what it is given.

        A runtime may be surprised by a hook that leaves its standard input alone; that is no rule of the specification.
        """
        words = command if command[0] == "copy" else ("drain", "+", *command)
        add_hook(self.box.config, kind, self.path(kind), "probe", *words, **more)

    def mark(self, kind: str, label: str = "", *then: str, **more: Any) -> None:
        """One more hook, which writes ``label`` (its kind) and then runs the probe's command ``then``."""
        words = ["write", self.place(kind, "log"), f"{label or kind}\n"]
        self.hook(kind, *words, *(["+", *then] if then else []), **more)

    def hold(self, kind: str) -> None:
        """One more hook, which leaves its mark and stays until ``let_go``."""
        os.mkfifo(self.host / f"held-{kind}")
        (self.host / f"held-{kind}").chmod(0o666)
        self.mark(kind, "", "write", self.place(kind, f"held-{kind}"), "x")

    def reached(self, kind: str, call: Call) -> None:
        """Wait until the hook that holds the verb ``call`` has begun; Failed where the verb ends without it."""
        until(lambda: kind in self.labels() or call.ended(0), f"the {kind} hook should run")
        if kind not in self.labels():
            raise Failed(f"the verb ended without its {kind} hook: {call.outcome().told()}")

    def let_go(self, kind: str) -> None:
        """Hooks of that kind go on, and each that comes later does not stay."""
        reader = os.open(self.host / f"held-{kind}", os.O_RDWR)
        self.workshop.held.callback(os.close, reader)

    def keep_state(self, kind: str) -> None:
        """One more hook, which keeps the state that it reads."""
        self.hook(kind, "copy", self.place(kind, f"state-{kind}"))

    def keep_report(self, kind: str) -> None:
        """One more hook, which writes what the probe sees where it runs."""
        self.hook(kind, "report-to", self.place(kind, f"report-{kind}"))

    def labels(self) -> list[str]:
        """The marks until now, in their order."""
        log = self.host / "log"
        return log.read_text().splitlines() if log.exists() else []

    def written(self, name: str, what: str) -> str:
        """What a hook has written to this file; Failed where it has not."""
        try:
            return (self.host / name).read_text(errors="surrogateescape")
        except FileNotFoundError:
            raise Failed(f"{what} did not run") from None

    def state(self, kind: str) -> State:
        """The state that ``keep_state`` kept; Failed where the hook did not run, or read something else."""
        text = self.written(f"state-{kind}", f"the {kind} hook that keeps the state")
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Failed(f"what the {kind} hook reads is no state: {text[:500]!r}")
        return State(found)

    def links(self) -> dict[str, str]:
        """What the probe's ``links-of-state`` wrote to the file "links"."""
        text = self.written("links", "the hook that looks at the namespaces of the container")
        return dict(line.split(" ", 1) for line in text.splitlines())

    def report(self, kind: str) -> dict[str, Any]:
        """What ``keep_report`` kept; see conformance/seen.py."""
        found = json.loads(self.written(f"report-{kind}", f"the {kind} hook that reports"))
        assert isinstance(found, dict), found
        return found
