"""Units of systemd as `systemctl` shows them, and containers that have one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.root.box import until
from tests.support.command import run

if TYPE_CHECKING:
    from tests.root.box import Box

FLAGS = ("--systemd-cgroup",)
#: The manager that is asked, by who asks.
MANAGER = ("--user",) if os.geteuid() else ("--system",)
TOP = Path("/sys/fs/cgroup")


def show(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit; of one that systemd does not know, their defaults."""
    words = ["systemctl", *MANAGER, "show", unit, *(f"--property={name}" for name in names)]
    return dict(line.split("=", 1) for line in run(*words).stdout.splitlines())


def known(unit: str) -> bool:
    return show(unit, "LoadState")["LoadState"] != "not-found"


def until_forgotten(unit: str) -> None:
    """systemd forgets a unit a moment after its end."""
    until(lambda: not known(unit), lambda: f"no {unit}")


def unit_of(box: Box) -> str:
    return f"pyrunc-{box.id}.scope"


def cgroup_of(unit: str) -> Path:
    return TOP / show(unit, "ControlGroup")["ControlGroup"].lstrip("/")


def gone(box: Box, unit: str | None = None) -> None:
    """Fail unless neither the container nor its unit has left anything."""
    box.nothing_left()
    until_forgotten(unit or unit_of(box))
