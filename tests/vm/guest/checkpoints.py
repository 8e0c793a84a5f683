"""Containers that count, or keep memory, and what becomes of them by checkpoint and restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.root.box import until
from tests.vm.guest.engines import DEADLINE

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box
    from tests.support.command import Result

    NewBox = Callable[..., Box]

COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done"


def counting(new_box: NewBox, before: str = "", **options: object) -> Box:
    box = new_box("/bin/sh", "-c", f"{before}{COUNT}", **options)
    box.bundle.edit(linux__cgroupsPath=f"/{box.id}").mount("/tmp", "tmpfs", "tmpfs", "mode=1777")
    return box


def started(box: Box, *flags: str) -> Box:
    box.leaving("run", "--detach", "--bundle", box.bundle, "ID", flags=flags)
    box.until_output("3\n")
    return box


def number(box: Box) -> int:
    lines = box.output().splitlines()
    return int(lines[-1]) if lines else 0


def images(box: Box) -> Path:
    return box.out.parent / f"{box.id}-images"


def checkpoint(box: Box, *options: str, status: int = 0) -> Result:
    return box.command("checkpoint", "--image-path", images(box), *options, "ID", status=status, timeout=DEADLINE)


def restore(box: Box, *options: str, status: int = 0, flags: tuple[str, ...] = ()) -> Result:
    words: list[str | os.PathLike[str]] = ["--detach", "--bundle", box.bundle, "--image-path", images(box), *options]
    return box.leaving("restore", *words, "ID", status=status, flags=flags, timeout=DEADLINE)


def goes_on(box: Box) -> None:
    """The counter has all numbers, each once, and more than before."""
    before = number(box)
    until(lambda: number(box) > before + 3, lambda: f"more than {before}")
    numbers = [int(line) for line in box.output().splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
