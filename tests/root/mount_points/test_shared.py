"""A mount point that several containers use: gone with the last of them."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.root.box import contents, until
from tests.root.isolated import in_other_namespace, left, shell, sleeping, within
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


def test_while_another_uses_it_a_mount_point_stays_and_goes_with_the_last(box: Box, beside: Box, host: Path) -> None:
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/in", "tmpfs", "tmpfs").args("/bin/sleep", "10000")
    before = contents(box.bundle.rootfs), contents(host)
    box.started()
    beside.started()
    within(beside, "echo still >/data/in/a")
    box.delete("--force")
    assert within(beside, "cat /data/in/a; grep -c ' /data' /proc/self/mountinfo") == "still\n2\n"
    assert left(box)
    assert box.command("list", "-q").stdout.split() == [beside.id]
    beside.delete("--force")
    assert (contents(box.bundle.rootfs), contents(host)) == before
    assert not left(box)


def test_the_maker_may_be_the_last(box: Box, beside: Box) -> None:
    box.bundle.mount("/data", "tmpfs", "tmpfs").args("/bin/sleep", "10000")
    before = contents(box.bundle.rootfs)
    box.started()
    beside.started()
    beside.delete("--force")
    assert within(box, "grep -c ' /data ' /proc/self/mountinfo") == "1\n"
    box.delete("--force")
    assert contents(box.bundle.rootfs) == before


def test_one_that_has_merely_been_created_uses_it_too(box: Box, beside: Box) -> None:
    box.bundle.mount("/data", "tmpfs", "tmpfs").args("/bin/sh", "-c", "grep -c ' /data ' /proc/self/mountinfo")
    before = contents(box.bundle.rootfs)
    box.create()
    beside.create()
    box.delete("--force")
    beside.start()
    beside.until_output("1\n")
    beside.delete("--force")
    assert contents(box.bundle.rootfs) == before


def test_a_directory_on_the_way_to_anothers_mount_point_stays_until_that_goes(
    box: Box, new_box: Callable[..., Box], host: Path
) -> None:
    other = new_box()
    before = contents(host)
    for each, name in ((box, "one"), (other, "two")):
        each.bundle.mount("/data", "bind", host, "rbind").mount(f"/data/way/{name}", "tmpfs", "tmpfs")
    sleeping(box)
    sleeping(other)
    box.delete("--force")
    assert sorted(os.listdir(host / "way")) == ["two"]
    other.kill("KILL")
    other.until_stopped()
    other.delete()
    assert contents(host) == before
    assert not left(box)


def test_a_directory_on_the_way_in_which_somebody_keeps_something_is_given_up(box: Box, host: Path) -> None:
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/way/one", "tmpfs", "tmpfs")
    sleeping(box)
    (host / "way/mine").write_text("mine")
    box.delete("--force")
    assert sorted(os.listdir(host / "way")) == ["mine"]
    assert not left(box)
    (host / "way/mine").unlink()
    assert shell(box, "true") == ""
    (host / "way").rmdir()


def test_a_container_of_another_root_keeps_its_mount(box: Box, beside: Box, tmp_path: Path) -> None:
    beside.root = tmp_path / "other-state"
    box.bundle.mount("/data", "tmpfs", "tmpfs").args("/bin/sleep", "10000")
    before = contents(box.bundle.rootfs)
    box.started()
    beside.started()
    box.delete("--force")
    assert within(beside, "grep -c ' /data ' /proc/self/mountinfo") == "1\n"
    beside.delete("--force")
    # The other root knows nothing of it: it goes with the next deletion here.
    assert (box.bundle.rootfs / "data").is_dir()
    box.started()
    box.delete("--force")
    assert contents(box.bundle.rootfs) == before


@pytest.mark.needs("nsenter")
def test_a_mount_of_the_host_on_it_keeps_it(box: Box, new_box: Callable[..., Box], tmp_path: Path) -> None:
    """The host is a mount namespace of this test: of the machine's own, every new one has a copy that keeps it, too."""
    other = new_box()
    before = contents(box.bundle.rootfs)
    box.bundle.mount("/data", "tmpfs", "tmpfs")
    data = box.bundle.rootfs / "data"
    with in_other_namespace("true") as host:
        enter = ("nsenter", f"--target={host.pid}", "--mount", "--")
        inside = tmp_path / "inside"
        inside.write_text(f'#!/bin/sh\nexec {" ".join(enter)} {box.runtime} "$@"\n')
        inside.chmod(0o755)
        box.runtime = other.runtime = inside
        sleeping(box)
        run(*enter, "mount", "-t", "tmpfs", "tmpfs", data)
        box.delete("--force")
        assert left(box)
        run(*enter, "umount", data)  # which it would not do if nothing were mounted there
        shell(other, "true")
    assert contents(box.bundle.rootfs) == before


def test_a_creation_under_way_is_waited_for_by_nobody_and_loses_nothing(box: Box, beside: Box, tmp_path: Path) -> None:
    # It has found the mount point and not mounted yet: the one who deletes must leave it alone.
    box.bundle.mount("/data", "tmpfs", "tmpfs").args("/bin/sleep", "10000")
    before = contents(box.bundle.rootfs)
    box.started()
    os.mkfifo(tmp_path / "fifo")
    script = f"cat >/dev/null; echo here >{tmp_path}/waits; read line <{tmp_path}/fifo"
    box.bundle.edit(hooks={"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]})
    creating = threading.Thread(target=beside.create)
    creating.start()
    try:
        until((tmp_path / "waits").exists, lambda: "the hook runs")
        box.delete("--force")
        assert (box.bundle.rootfs / "data").is_dir()
        assert left(box)
    finally:
        (tmp_path / "fifo").write_text("go on\n")
        creating.join()
    beside.start()
    assert within(beside, "grep -c ' /data ' /proc/self/mountinfo") == "1\n"
    beside.delete("--force")
    assert contents(box.bundle.rootfs) == before
    assert not left(box)


def test_many_that_come_and_go_at_once_leave_nothing(box: Box, new_box: Callable[..., Box], host: Path) -> None:
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/in", "tmpfs", "tmpfs")
    box.bundle.mount("/new/file", "bind", host / "file", "bind")
    box.bundle.args("/bin/sh", "-c", "set -e; cat /new/file; touch /data/in/a; grep -c ' /data/in ' /proc/mounts")
    before = contents(box.bundle.rootfs), contents(host)
    boxes = [new_box() for _ in range(24)]
    running: list[subprocess.Popen[bytes]] = []
    for each in boxes:
        command = [str(each.runtime), "--root", str(each.root), "run", "--bundle", str(box.bundle.path), each.id]
        running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
        if len(running) % 6 == 0:
            running[-3].wait()
    for process in running:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, b"of the host\n1\n")
    assert (contents(box.bundle.rootfs), contents(host)) == before
    assert not left(box)
