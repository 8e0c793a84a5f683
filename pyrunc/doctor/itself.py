"""pyrunc itself: its installation, and whether a container can be made here."""

from __future__ import annotations

import os
import tempfile

from pyrunc.doctor.finding import Finding
from pyrunc.doctor.machine import Machine
from pyrunc.errors import PyruncError
from pyrunc.runtime import root, version
from pyrunc.setup.wish import own_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds that a program in a new container may take to end.
PATIENCE = 20


def installation(machine: Machine) -> Iterator[Finding]:  # noqa: ARG001
    path = own_path()
    found = f"{version.VERSION} ({version.commit()[:12]}), {path}"
    if os.path.isfile(path) and os.access(path, os.X_OK):
        yield Finding("pyrunc.installation", "pyrunc", "ok", found)
    else:
        do = "install it with pip, which puts the program beside the interpreter"
        yield Finding("pyrunc.installation", "pyrunc", "problem", f"{found} is no program", do)


def state(machine: Machine) -> Iterator[Finding]:
    """Where the state of containers is kept."""
    title = "state of containers"
    try:
        path = root.expected({os.fsencode(key): os.fsencode(value) for key, value in machine.environment.items()})
    except PyruncError as error:
        yield Finding("pyrunc.state", title, "problem", error.message, error.hint)
        return
    there = path
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    if not os.access(there, os.W_OK | os.X_OK):
        yield Finding("pyrunc.state", title, "problem", f"{path}: {there} is not to be written to", "give --root DIR")
    else:
        yield Finding("pyrunc.state", title, "ok", path)


def container(machine: Machine) -> Iterator[Finding]:  # noqa: ARG001
    """The proof of all the others: a program in a container of its own."""
    from pyrunc.sandbox.box import Sandbox

    warnings: list[str] = []
    title = "a container"
    with tempfile.TemporaryDirectory(prefix="pyrunc-doctor-") as place:
        try:
            with Sandbox(root=place, warn=warnings.append) as box:
                result = box.run(["/bin/sh", "-c", "exit 7"], timeout=PATIENCE)
        except PyruncError as error:
            yield Finding("pyrunc.container", title, "problem", f"cannot be made: {error}", error.hint or "see above")
            return
    if result.returncode != 7:
        yield Finding("pyrunc.container", title, "problem", f"/bin/sh -c 'exit 7' in it: {result.how}", "see above")
    elif warnings:
        yield Finding("pyrunc.container", title, "warning", "runs, but: " + "; ".join(warnings), "see above")
    else:
        yield Finding("pyrunc.container", title, "ok", "was made, ran a program and was removed")


CHECKS = (installation, state)
LAST = (container,)
