"""Namespaces that a container joins by path: it is in them, and leaves nothing in them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import mount_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.bundles import Bundle
    from tests.support.command import Result

pytestmark = pytest.mark.needs("root")

FLAGS = {"mount": "--mount", "uts": "--uts", "ipc": "--ipc", "network": "--net", "pid": "--pid", "cgroup": "--cgroup",
         "time": "--time"}  # fmt: skip
FILES = {"mount": "mnt", "network": "net"}


@pytest.fixture
def other(request: pytest.FixtureRequest) -> Iterator[Path]:
    """/proc/PID/ns/… of a process in a new namespace of the kind that the test is run with."""
    kind = request.param
    fork = ["--fork", "--kill-child"] if kind in ("pid", "time") else []
    command = ["unshare", FLAGS[kind], *fork, "sh", "-c", "echo ready; exec sleep 1000"]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert holder.stdout
    assert holder.stdout.readline() == b"ready\n"
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    pid = int(children[0]) if fork else holder.pid
    yield Path(f"/proc/{pid}/ns/{FILES.get(kind, kind)}")
    holder.kill()
    holder.wait()
    holder.stdout.close()


@pytest.mark.parametrize(("kind", "other"), [(kind, kind) for kind in FLAGS], indirect=["other"])
def test_the_container_is_in_the_namespace_that_it_joins(
    kind: str, other: Path, bundle: Callable[..., Bundle], container_id: str, root: Path, pyrunc: Path,
    run_command: Callable[..., Result],
) -> None:  # fmt: skip
    name = FILES.get(kind, kind)
    made = bundle().namespace(kind, str(other)).args("readlink", f"/proc/self/ns/{name}")
    if kind == "uts":
        made.edit(hostname=None)
    result = run_command(pyrunc, "--root", root, "run", "--bundle", made, container_id)
    assert result.stdout.strip() == str(other.readlink())
    # Without a mount namespace of its own it sees this host's table, where others mount, too.
    table = mount_table.lines(other.parent.parent.name)
    assert [line for line in table if str(made.path) in line or container_id in line] == []


@pytest.mark.parametrize("other", ["mount"], indirect=True)
def test_a_failed_creation_leaves_no_mount_in_a_joined_namespace(
    other: Path, bundle: Callable[..., Bundle], container_id: str, root: Path, pyrunc: Path,
    run_command: Callable[..., Result],
) -> None:  # fmt: skip
    made = bundle().namespace("mount", str(other)).args("no-such-program")
    before = mount_table.lines(other.parent.parent.name)
    run_command(pyrunc, "--root", root, "create", "--bundle", made, container_id, status=1)
    assert mount_table.lines(other.parent.parent.name) == before


def test_the_hosts_own_mount_namespace_is_refused(
    bundle: Callable[..., Bundle], container_id: str, root: Path, pyrunc: Path, run_command: Callable[..., Result]
) -> None:
    made = bundle().namespace("mount", "/proc/self/ns/mnt")
    result = run_command(pyrunc, "--root", root, "create", "--bundle", made, container_id, status=1)
    assert "is the host's own: the container's mounts would be made in it" in result.stderr


def test_a_sysctl_of_a_namespace_that_is_the_hosts_is_refused(
    bundle: Callable[..., Bundle], container_id: str, root: Path, pyrunc: Path, run_command: Callable[..., Result]
) -> None:
    made = bundle().namespace("network", "/proc/self/ns/net").edit(linux__sysctl={"net.ipv4.ip_forward": "1"})
    result = run_command(pyrunc, "--root", root, "create", "--bundle", made, container_id, status=1)
    assert 'linux.sysctl["net.ipv4.ip_forward"]: the network namespace to join is the host\'s own' in result.stderr


def test_a_namespace_that_does_not_exist_is_named(
    bundle: Callable[..., Bundle], container_id: str, root: Path, pyrunc: Path, run_command: Callable[..., Result]
) -> None:
    made = bundle().namespace("ipc", "/proc/1/ns/nothing")
    index = [entry["type"] for entry in json.loads((made.path / "config.json").read_text())["linux"]["namespaces"]]
    result = run_command(pyrunc, "--root", root, "create", "--bundle", made, container_id, status=1)
    place = f"linux.namespaces[{index.index('ipc')}].path"
    assert result.stderr == f"pyrunc: {place}: /proc/1/ns/nothing: no such file or directory\n"
