"""Disks of this machine, whose numbers stand in limits of block I/O; nothing is read from them or written to them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

FOLDER = Path("/sys/block")


@cache
def numbers() -> list[str]:
    """Of whole disks, "254:0", those first that have something on them."""
    # The paths of a disk with several have no number of their own.
    folders = [file.parent for file in FOLDER.glob("*/dev")]
    folders.sort(key=lambda folder: (empty(folder), folder.name))
    return [(folder / "dev").read_text().strip() for folder in folders]


def empty(folder: Path) -> bool:
    return (folder / "size").read_text().strip() == "0"
