"""config-linux#pids."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from conformance.marks import decides, needs
from conformance.support import limits

if TYPE_CHECKING:
    from conformance.workshop import Maker, Workshop

pytestmark = [needs("root", "controller-pids")]


@decides("config-linux.pids.limit")
def test_limit_is_in_the_kernels_file(workshop: Workshop) -> None:
    assert limits.limited(workshop, {"pids.limit": 77}).read("pids", "pids.max") == "77"


@decides("config-linux.pids.limit")
def test_no_more_processes_can_be_made(container: Maker) -> None:
    """Runtimes with threads of their own need some room below the limit."""
    box = container(*["spawn", "+"] * 50, "echo", "all of them")
    limits.ask(box, {"pids.limit": 40})
    status = box.run()
    assert 0 < sum(line.startswith("spawned") for line in box.output().splitlines()) <= 39
    assert "all of them" not in box.output()
    assert status in (124, None)


@decides("config-linux.pids.limit-unlimited")
def test_a_limit_of_minus_1_is_none(workshop: Workshop) -> None:
    path = limits.existing(workshop, "pids", {"pids.max": "77"}, {"pids.max": "77"})
    assert limits.limited(workshop, {"pids.limit": -1}, path).read("pids", "pids.max") == "max"


@decides("config-linux.pids.limit-zero")
def test_a_limit_of_0_lets_nothing_be_made(container: Maker) -> None:
    box = container()
    limits.ask(box, {"pids.limit": 0})
    assert box.report("syscall=0").answer("syscall", "0") == {"errno": errno.EAGAIN}


@decides("config-linux.pids.limit-optional")
def test_without_limit_there_is_none(workshop: Workshop) -> None:
    assert limits.limited(workshop, {"pids": {}}).read("pids", "pids.max") == "max"
