"""CRIU, which checkpoint and restore need: whether there is one, and whether it fits this kernel."""

from __future__ import annotations

from pyrunc.doctor.finding import Finding
from pyrunc.doctor.machine import PATIENCE, Machine
from pyrunc.host import child
from pyrunc.host.criu import LEAST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_TITLE = "CRIU"


def criu(machine: Machine) -> Iterator[Finding]:
    if machine.rootless:
        yield Finding("criu", _TITLE, "ok", "not used: checkpoints are root's")
        return
    path = machine.program("criu")
    if path is None:
        yield Finding("criu", _TITLE, "ok", "not installed", "for checkpoints, install the package criu")
        return
    number = machine.version(path)
    if number is None:
        yield Finding("criu", _TITLE, "warning", f"{path} does not tell its version", f"see what {path} --version says")
        return
    least = ".".join(map(str, LEAST))
    if _numbers(number) < LEAST:
        yield Finding("criu", _TITLE, "warning", f"{path} is {number}", f"for checkpoints, install {least} or newer")
        return
    found = f"{path} is {number}, and "
    ended = child.run(path, (path, "check"), ["PATH=" + machine.environment.get("PATH", "")], timeout=PATIENCE)
    if ended.timed_out or ended.code:
        errors = [line for line in ended.stderr.splitlines() if "Error (" in line]
        why = errors[0] if errors else "still busy" if ended.timed_out else ended.how
        yield Finding("criu", _TITLE, "warning", f"{found}criu check fails: {why}",
                      "checkpoints will fail; a newer CRIU may know this kernel")  # fmt: skip
    else:
        yield Finding("criu", _TITLE, "ok", f"{found}criu check passes")


def _numbers(text: str) -> tuple[int, ...]:
    """(3, 17) of 3.17.1-rc1; what is no number ends it."""
    found: list[int] = []
    for part in text.split("."):
        if not part.isdecimal():
            break
        found.append(int(part))
    return tuple(found)


CHECKS = (criu,)
