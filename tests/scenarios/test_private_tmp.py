"""Two workspaces of one root file system run at the same time, and each has a /tmp of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.scenarios.task import Task, fails, sees
from tests.support.canary import describe, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenarios.task import Caller

pytestmark = pytest.mark.needs("root", "busybox", "static", "overlay")


def test_a_file_that_one_writes_to_tmp_is_not_seen_by_the_other(caller: Caller) -> None:
    one, other = caller.start(Task(tmp="")), caller.start(Task(tmp=""))
    sees(one, "echo one >/tmp/note")
    assert sees(other, "ls -A /tmp") == ""
    sees(other, "echo other >/tmp/note")
    assert (sees(one, "cat /tmp/note"), sees(other, "cat /tmp/note")) == ("one\n", "other\n")


def test_tmp_has_the_mode_of_a_tmp_and_lets_no_privilege_in(caller: Caller) -> None:
    box = caller.start(Task(tmp=""))
    assert sees(box, "stat -c '%a %u:%g' /tmp") == "1777 0:0\n"
    kind, options = sees(box, "grep ' /tmp ' /proc/mounts").split()[2:4]
    assert kind == "tmpfs"
    assert {"rw", "nosuid", "nodev"} <= set(options.split(","))


def test_its_size_arrives_and_is_enforced(caller: Caller) -> None:
    box = caller.start(Task(tmp="1m"))
    assert "No space left" in fails(box, "dd if=/dev/zero of=/tmp/big bs=64k count=32")
    assert sees(box, "stat -c %s /tmp/big") == f"{1 << 20}\n"


def test_the_tmp_of_the_rootfs_is_hidden_and_unchanged(caller: Caller, rootfs: Path) -> None:
    before = describe(rootfs / "tmp"), tree(rootfs / "tmp")
    one, other = caller.start(Task(tmp="")), caller.start(Task(tmp=""))
    for box in (one, other):
        assert sees(box, "ls -A /tmp") == ""
        sees(box, "mkdir /tmp/of-the-rootfs; chmod 700 /tmp")
    assert (describe(rootfs / "tmp"), tree(rootfs / "tmp")) == before
    one.remove()
    other.remove()
    assert (describe(rootfs / "tmp"), tree(rootfs / "tmp")) == before


def test_the_next_container_finds_it_empty(caller: Caller) -> None:
    first = caller.start(Task(tmp=""))
    sees(first, "touch /tmp/left")
    first.remove()
    assert sees(caller.start(Task(tmp="")), "ls -A /tmp") == ""
