"""`checkpoint` and `restore` that are killed at random moments: containers work or can be deleted, nothing is left."""

from __future__ import annotations

import random
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until
from tests.support.command import run
from tests.vm.guest.checkpoints import checkpoint, counting, goes_on, images, number, restore, started

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box
    from tests.vm.guest.checkpoints import NewBox

pytestmark = [pytest.mark.needs("guest", "root", "criu"), pytest.mark.timeout(1800)]

KILLS = 12
#: How far behind a command's usual end the moment may come.
BEYOND = 1.1


def taken(command: Callable[[], object]) -> float:
    begun = time.monotonic()
    command()
    return time.monotonic() - begun


def killed(box: Box, moment: float, *words: str) -> bool:
    """Whether the command was killed, that many seconds after its begin."""
    with box.out.open("ab") as out, box.err.open("ab") as err:
        argv = [str(box.runtime), "--root", str(box.root), *words]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, process_group=0)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
    return process.returncode == -9


def without_criu() -> None:
    until(lambda: not run("pgrep", "-x", "criu", status=None).stdout, lambda: "CRIU has ended")


def removed(box: Box) -> None:
    if box.exists():
        box.delete("--force")
    box.nothing_left()
    without_criu()


def test_a_container_whose_checkpoint_was_killed(new_box: NewBox) -> None:
    first = started(counting(new_box))
    usual = taken(lambda: checkpoint(first))
    chance = random.Random(1)
    count = 0
    while count < KILLS:
        box = started(counting(new_box))
        moment = chance.uniform(0, BEYOND * usual)
        count += killed(box, moment, "checkpoint", "--image-path", str(images(box)), box.id)
        without_criu()  # it comes to its end: in the middle, it would leave what it has put into the processes
        status = box.status() if box.exists() else ""
        assert status in ("", "running", "stopped"), (count, moment)
        if status == "running":
            goes_on(box)
        removed(box)


def test_a_restore_that_was_killed_can_be_deleted_and_tried_again(new_box: NewBox) -> None:
    box = started(counting(new_box))
    checkpoint(box)
    usual = taken(lambda: restore(box))
    chance = random.Random(1)
    box.delete("--force")
    count = 0
    while count < KILLS:
        moment = chance.uniform(0, BEYOND * usual)
        words = ["restore", "--detach", "--bundle", str(box.bundle.path), "--image-path", str(images(box)), box.id]
        count += killed(box, moment, *words)
        removed(box)
    restore(box)
    before = number(box)  # which those that were killed may have printed, too
    until(lambda: number(box) not in (before, before + 1), lambda: "it goes on")
    assert box.status() == "running"
    removed(box)
