"""No descriptor of the host is open when the kernel walks a path of the container (CVE-2024-21626 and its kin).

execve resolves the program before it closes what is close-on-exec, so a symlink in the rootfs to
``/proc/self/fd/N/..`` must find nothing behind any N.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import programs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.bundles import Bundle
    from tests.support.command import Result

pytestmark = pytest.mark.needs("root", "busybox")

NUMBERS = range(3, 40)


@pytest.fixture
def on_host(tmp_path: Path) -> Path:
    """A program that the container must not reach."""
    path = tmp_path / "canary-program"
    shutil.copy(programs.busybox() or "", path)
    return path


def links(rootfs: Path, on_host: Path) -> list[str]:
    """Symlinks in the rootfs that lead to the program through each descriptor, in two ways."""
    made = []
    for number in NUMBERS:
        for kind, way in (("up", f"..{on_host}"), ("pid", f"{os.getpid()}/root{on_host}")):
            name = f"bin/{kind}{number}"
            (rootfs / name).symlink_to(f"/proc/self/fd/{number}/{way}")
            made.append("/" + name)
    return made


@pytest.mark.parametrize("user_namespace", [False, True])
def test_exec_follows_no_link_to_the_host(
    user_namespace: bool, bundle: Callable[..., Bundle], container_id: str, root: Path, pyrunc: Path, on_host: Path,
    run_command: Callable[..., Result],
) -> None:  # fmt: skip
    made = bundle().args("sleep", "1000")
    if user_namespace:
        ids = [{"containerID": 0, "hostID": 0, "size": 65536}]
        made.namespace("user").edit(linux__uidMappings=ids, linux__gidMappings=ids)
    run_command(pyrunc, "--root", root, "run", "--detach", "--bundle", made, container_id)
    for link in links(made.rootfs, on_host):
        result = run_command(pyrunc, "--root", root, "exec", container_id, link, "echo", "reached", status=255)
        assert "stat /bin/" in result.stderr  # nothing there, or no directory
        assert result.stdout == ""


def test_run_follows_no_link_to_the_host(
    bundle: Callable[..., Bundle], ids: Callable[[], str], root: Path, pyrunc: Path, on_host: Path,
    run_command: Callable[..., Result],
) -> None:  # fmt: skip
    made = bundle()
    for link in links(made.rootfs, on_host):
        made.args(link, "echo", "reached")
        result = run_command(pyrunc, "--root", root, "run", "--bundle", made, ids(), status=None)
        assert result.status != 0, result
        assert result.stdout == ""


def test_a_script_finds_no_interpreter_on_the_host(
    bundle: Callable[..., Bundle], container_id: str, root: Path, pyrunc: Path, on_host: Path,
    run_command: Callable[..., Result],
) -> None:  # fmt: skip
    made = bundle().args("sleep", "1000")
    run_command(pyrunc, "--root", root, "run", "--detach", "--bundle", made, container_id)
    script = made.rootfs / "bin/script"
    for number in NUMBERS:
        script.write_text(f"#!/proc/self/fd/{number}/..{on_host} echo\n")
        script.chmod(0o755)
        run_command(pyrunc, "--root", root, "exec", container_id, "/bin/script", status=255)


def test_a_start_container_hook_finds_nothing_of_the_host(
    bundle: Callable[..., Bundle], ids: Callable[[], str], root: Path, pyrunc: Path, on_host: Path,
    run_command: Callable[..., Result],
) -> None:  # fmt: skip
    made = bundle().args("true")
    for link in links(made.rootfs, on_host)[:24]:
        made.edit(hooks={"startContainer": [{"path": link, "args": ["x", "true"]}]})
        run_command(pyrunc, "--root", root, "run", "--bundle", made, ids(), status=1)


@pytest.mark.needs("seccomp", "libseccomp")
@pytest.mark.parametrize("no_new_privs", [True, False])
def test_a_start_container_hook_runs_under_the_filter(
    no_new_privs: bool, bundle: Callable[..., Bundle], container_id: str, root: Path, pyrunc: Path,
    run_command: Callable[..., Result],
) -> None:  # fmt: skip
    made = bundle().args("cat", "/tmp/said").edit(process__noNewPrivileges=no_new_privs, root__readonly=False)
    made.edit(linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW"})
    script = "grep ^Seccomp: /proc/self/status >/tmp/said; echo noise"
    made.edit(hooks={"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]})
    result = run_command(pyrunc, "--root", root, "run", "--bundle", made, container_id)
    assert result.stdout == "Seccomp:\t2\n"


def test_masks_hold_when_proc_is_renamed_while_the_container_is_made(
    bundle: Callable[..., Bundle], container_id: str, root: Path, pyrunc: Path, run_command: Callable[..., Result]
) -> None:
    """Another container with the same rootfs could do what this hook does."""
    made = bundle().edit(linux__maskedPaths=["/proc/timer_list"], linux__readonlyPaths=["/proc/sys"])
    script = f"cd {made.rootfs} && mv proc moved && mkdir -p proc/sys"
    made.edit(hooks={"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}]})
    made.args("sh", "-c", "wc -c </moved/timer_list; grep ' /moved/sys ' /moved/mounts | cut -d' ' -f4 | cut -c1-2")
    made.edit(root__readonly=False)
    result = run_command(pyrunc, "--root", root, "run", "--bundle", made, container_id, status=None)
    assert result.stdout.split() == ["0", "ro"], result
