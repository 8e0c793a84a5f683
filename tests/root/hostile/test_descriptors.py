"""No descriptor of the runtime is a way out (CVE-2024-21626), and nothing of the caller's identity gets in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command import run

if TYPE_CHECKING:
    from tests.root.box import Box
    from tests.support.canary import Canary

pytestmark = pytest.mark.needs("root", "busybox", "static")


@pytest.mark.parametrize("number", range(3, 20))
def test_a_working_directory_behind_a_descriptor_is_refused(box: Box, number: int) -> None:
    # CVE-2024-21626.
    box.bundle.edit(process__cwd=f"/proc/self/fd/{number}")
    said = box.create_refused()
    assert "process.cwd" in said


def test_a_working_directory_behind_a_link_to_a_descriptor_is_refused(box: Box, tmp_path: Path) -> None:
    for number in range(3, 20):
        (box.bundle.rootfs / f"link{number}").symlink_to(f"/proc/self/fd/{number}")
    for number in (3, 7, 9):
        box.bundle.edit(process__cwd=f"/link{number}")
        box.create_refused()


@pytest.mark.parametrize("number", range(3, 14))
def test_exec_with_a_working_directory_behind_a_descriptor_is_refused(sleeper: Box, number: int) -> None:
    result = sleeper.exec("--cwd", f"/proc/self/fd/{number}", "ID", "/bin/ls", "-l", ".", status=255)
    assert result.stdout == ""


def test_a_preserved_directory_is_not_the_working_directory(box: Box, canary: Canary) -> None:
    fd = os.open(canary.path, os.O_RDONLY | os.O_DIRECTORY)
    box.bundle.edit(process__cwd=f"/proc/self/fd/{fd}")
    box.create_refused(pass_fds=(fd,))
    os.close(fd)


def test_an_environment_entry_without_a_value_is_not_filled_in(box: Box) -> None:
    # CVE-2026-57231.
    box.bundle.edit(process__env=["HOME_OF_NOBODY", "PATH", "A=1"]).args("/bin/probe", "print=env")
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    result = run(*command, env={"HOME_OF_NOBODY": "the host's", "PATH": "/usr/bin:/bin"})
    env = json.loads(result.stdout)["env"]
    assert {"HOME_OF_NOBODY", "PATH", "A=1"} <= set(env)
    assert not any("host" in entry for entry in env)


@pytest.mark.needs("setpriv")
@pytest.mark.parametrize(
    "user", [{"uid": 0, "gid": 0}, {"uid": 1000, "gid": 1000}, {"uid": 0, "gid": 0, "additionalGids": []}]
)
def test_groups_of_the_caller_stay_outside(box: Box, user: dict[str, object]) -> None:
    # CVE-2022-2989: setgroups is called for an empty list, too.
    box.bundle.edit(process__user=user).args("/bin/probe", "print=ids")
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    result = run("setpriv", "--groups", "4,20,1234", *command)
    assert json.loads(result.stdout)["ids"]["groups"] == []


def test_inheritable_capabilities_are_empty_by_default(box: Box) -> None:
    # CVE-2022-24769.
    assert int(box.sees()["status"]["CapInh"], 16) == 0


@pytest.mark.needs("unshare")
def test_no_abstract_socket_is_made(box: Box) -> None:
    # CVE-2020-15257: an abstract socket is reachable from every container that shares the network namespace.  The host
    # of this test is one where nobody else has any.
    box.bundle.args("/bin/sleep", "1000")
    runtime = f"{box.runtime} --root {box.root}"
    script = (
        f"{runtime} run --detach --bundle {box.bundle.path} {box.id} </dev/null >/dev/null 2>&1 && cat /proc/net/unix"
    )
    assert "@" not in run("unshare", "--net", "sh", "-c", script).stdout
    assert box.status() == "running"


@pytest.mark.needs("cgroup1")
def test_cgroups_are_read_only_for_the_container(box: Box) -> None:
    box.bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro")
    seen = box.sees("write=/sys/fs/cgroup/new", "write=/sys/fs/cgroup/memory/cgroup.procs")
    assert all("error" in outcome for outcome in seen["write"].values())
