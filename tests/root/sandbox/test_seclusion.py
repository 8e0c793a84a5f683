"""What runs in a sandbox looks for the host, the program and other sandboxes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.root.sandboxes import sh

if TYPE_CHECKING:
    from pathlib import Path

    from pyrunc import Sandbox
    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


def test_nothing_of_the_hosts_is_seen(sandboxes: Sandboxes, tmp_path: Path) -> None:
    (tmp_path / "beside").write_text("not named")
    (tmp_path / "given").write_text("named")
    tmp_path.chmod(0o755)
    box = sandboxes(files={tmp_path / "given": "/work/given"}, workspace="/work")
    assert box.run(["cat", "given"]).stdout == b"named"
    assert box.listdir("/work") == ["given"]
    found = box.run(["find", "/", "-xdev", "-name", "beside"]).stdout
    assert found == b""
    assert box.run(sh("echo x > given")).returncode != 0
    assert (tmp_path / "given").read_text() == "named"
    assert box.run(sh("cat /etc/shadow")).returncode != 0
    assert box.run(["ls", "/root", "/home", "/var"], text=True).stdout.split() == [
        "/home:", "/root:", "/var:", "run", "tmp",
    ]  # fmt: skip
    assert box.run(sh("grep -c : /proc/net/dev"), text=True).stdout == "1\n"


def test_boxes_do_not_see_one_another(sandboxes: Sandboxes) -> None:
    one, other = (sandboxes(workspace="/work") for _ in range(2))
    one.run(sh("echo mine > /work/x; echo mine > /tmp/x; echo mine > /dev/shm/x"), check=True)
    one.popen(["sleep", "1000"])
    assert other.run(sh("ls /work /tmp /dev/shm"), text=True).stdout.split() == ["/dev/shm:", "/tmp:", "/work:"]
    assert b"sleep" not in other.run(["ps", "ax"]).stdout


def test_no_descriptor_of_this_program_comes_along(box: Sandbox, tmp_path: Path) -> None:
    with open(tmp_path / "open", "wb") as file:
        os.set_inheritable(file.fileno(), True)
        assert box.run(["ls", "/proc/self/fd"], text=True).stdout.split() == ["0", "1", "2", "3"]
