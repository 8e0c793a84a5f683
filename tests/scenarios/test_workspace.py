"""What a run writes to its workspace is gone with it, and what host or rootfs have at that path stays as it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pyrunc import UsageError
from tests.scenarios import from_python
from tests.scenarios.task import USER, Bind, Task, fails, sees
from tests.support.canary import describe, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenarios.task import Caller

pytestmark = pytest.mark.needs("root", "busybox", "static", "overlay")

#: The same workspace, said in both ways.
WAYS = pytest.mark.parametrize(
    "task", [Task(workspace="/work", user=USER), Task(workspace="cwd", cwd="/work", user=USER)], ids=["a path", "cwd"]
)


@WAYS
def test_a_sentinel_is_in_the_run_that_wrote_it_and_nowhere_else(task: Task, caller: Caller, rootfs: Path) -> None:
    first = caller.start(task)
    sees(first, "echo mine >/work/sentinel.txt")
    assert sees(first, "cat /work/sentinel.txt; ls -A /work") == "mine\nsentinel.txt\n"
    assert os.listdir(rootfs / "work") == []
    assert not os.path.lexists("/work/sentinel.txt")
    first.remove()
    assert os.listdir(rootfs / "work") == []
    assert sees(caller.start(task), "ls -A /work") == ""


@WAYS
def test_it_belongs_to_the_user_of_the_process(task: Task, caller: Caller) -> None:
    box = caller.start(task)
    assert sees(box, "stat -c '%a %u:%g' /work; id -u") == f"755 {USER}:{USER}\n{USER}\n"
    sees(box, "mkdir /work/own && mv /work/own /work/renamed")


@WAYS
def test_a_file_of_the_rootfs_at_that_path_is_hidden_and_unchanged(task: Task, caller: Caller, rootfs: Path) -> None:
    (rootfs / "work/sentinel.txt").write_text("of the rootfs\n")
    (rootfs / "work").chmod(0o777)
    before = describe(rootfs / "work"), tree(rootfs / "work")
    box = caller.start(task)
    assert sees(box, "ls -A /work") == ""
    sees(box, "echo mine >/work/sentinel.txt; chmod 700 /work/sentinel.txt /work")
    assert (describe(rootfs / "work"), tree(rootfs / "work")) == before
    box.remove()
    assert (describe(rootfs / "work"), tree(rootfs / "work")) == before


def test_a_file_of_a_mounted_host_directory_at_that_path_is_hidden_and_unchanged(caller: Caller, host: Path) -> None:
    (host / "sentinel.txt").write_text("of the host\n")
    host.chmod(0o777)
    before = describe(host), tree(host)
    task = Task(workspace="/work", binds=(Bind(host, "/work", "rw"),), user=USER)
    if isinstance(caller, from_python.Caller):
        with pytest.raises(UsageError, match=r'mounts\[".*host"\]="/work": is the place of workspace already'):
            caller.start(task)
        return
    box = caller.start(task)
    assert sees(box, "ls -A /work") == ""
    sees(box, "echo mine >/work/sentinel.txt")
    assert (describe(host), tree(host)) == before
    box.remove()
    assert (describe(host), tree(host)) == before


def test_its_size_arrives_and_is_enforced(caller: Caller) -> None:
    box = caller.start(Task(workspace="/work", size="1m"))
    assert "No space left" in fails(box, "dd if=/dev/zero of=/work/big bs=64k count=32")


def test_a_workspace_that_the_rootfs_does_not_have_leaves_no_mount_point(caller: Caller, rootfs: Path) -> None:
    box = caller.start(Task(workspace="/new/place"))
    sees(box, "touch /new/place/file")
    box.remove()
    assert not (rootfs / "new").exists()
