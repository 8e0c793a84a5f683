"""What runs in a sandbox looks for the host, the program and other sandboxes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyrunc
from pyrunc.sandbox.spec import FIRST_ID
from tests.root.sandboxes import Sandboxes, sh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc import Sandbox

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


@pytest.fixture
def reachable() -> Iterator[Sandboxes]:
    """With a runtime root that other users of the host can get to."""
    with tempfile.TemporaryDirectory(prefix="pyrunc-test-") as folder:
        os.chmod(folder, 0o755)
        made = Sandboxes(Path(folder, "state"))
        yield made
        made.close()


def test_boxes_with_a_user_each_are_users_that_the_host_has_not_and_never_one_another(reachable: Sandboxes) -> None:
    """What the kernel counts by user it counts for each of them alone."""
    found = []
    for user in (1001, 1002):
        box = reachable(userns=True, user=user)
        program = box.popen(["sleep", "1000"])
        status = Path(f"/proc/{program.pid}/status").read_text()
        found.append([line.split()[1:] for line in status.splitlines() if line.startswith(("Uid:", "Gid:"))])
        for call in ("os.setuid(0)", "os.setuid(1001 + 1002 - os.getuid())", "os.setgid(0)", "os.setgroups([0])"):
            result = box.run(["python3", "-c", f"import os; {call}"], text=True)
            assert "PermissionError" in result.stderr, call
    assert found == [[[str(FIRST_ID + user)] * 4] * 2 for user in (1001, 1002)]


def test_a_runtime_root_that_the_boxs_users_cannot_get_to_is_told(sandboxes: Sandboxes) -> None:
    sandboxes.root.parent.chmod(0o700)
    with pytest.raises(pyrunc.OpFailed, match=r"^rootfs \(root.path\): .*with userns=True .* directories above"):
        sandboxes(userns=True)
    assert sandboxes.containers() == []
