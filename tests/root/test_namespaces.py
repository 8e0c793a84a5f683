"""linux.namespaces: made with their offsets, joined by their paths, and the one that is always needed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.root.test_exec import reachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


@pytest.mark.needs("timens")
@pytest.mark.parametrize("users", ["the host's", "new", "new, all other ids", "another container's"])
def test_a_time_namespace_with_offsets(new_box: Callable[..., Box], users: str) -> None:
    """Whose root writes them: a process in a user namespace may not, once it is the root of that."""
    box = new_box()
    box.bundle.namespace("time")
    box.bundle.edit(linux__timeOffsets={"monotonic": {"secs": 172800, "nanosecs": 5}, "boottime": {"secs": 86400}})
    if users != "the host's":
        host = 100000 if users.endswith("ids") else 0
        mapping = [{"containerID": 0, "hostID": host, "size": 65536}]
        owner = box if users.startswith("new") else new_box("/bin/sleep", "1000")
        owner.bundle.namespace("user").edit(linux__uidMappings=mapping, linux__gidMappings=mapping)
        reachable(box.bundle.path)
        if owner is not box:
            owner.started()
            box.bundle.namespace("user", f"/proc/{owner.state()['pid']}/ns/user")
    seen = box.sees()
    assert seen["namespaces"]["time"] != os.readlink("/proc/self/ns/time")
    assert [line.split() for line in seen["timens_offsets"]] == [
        ["monotonic", "172800", "5"],
        ["boottime", "86400", "0"],
    ]


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "cgroup", "mount", "user", "time"])
def test_a_namespace_is_joined_by_its_path(new_box: Callable[..., Box], kind: str) -> None:
    short = {"network": "net", "mount": "mnt"}.get(kind, kind)
    first = new_box("/bin/sleep", "1000")
    mapping = [{"containerID": 0, "hostID": 0, "size": 65536}]
    for extra in ("cgroup", "time"):
        first.bundle.namespace(extra)
    if kind == "user":
        first.bundle.namespace("user").edit(linux__uidMappings=mapping, linux__gidMappings=mapping)
    first.started()
    path = f"/proc/{first.state()['pid']}/ns/{short}"
    second = new_box()
    second.bundle.namespace(kind, path)
    if kind == "uts":
        second.bundle.edit(hostname=None)
    if kind == "user":
        joined = (("user", "user"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"))
        for other, name in joined:
            second.bundle.namespace(other, f"/proc/{first.state()['pid']}/ns/{name}")
        second.bundle.edit(hostname=None)
    if kind == "mount":
        second.bundle.edit(mounts=[], linux__maskedPaths=None, linux__readonlyPaths=None, process__args=["/bin/probe"])
    target = os.readlink(path)
    result = second.run(status=None)
    if kind == "mount":
        assert result.status in (0, 1)  # what it means to pivot inside of a joined namespace is the caller's matter
        return
    assert result.status == 0, result
    assert json.loads(result.stdout)["namespaces"][short] == target


def test_a_mount_namespace_is_always_needed(box: Box) -> None:
    box.bundle.without_namespace("mount")
    assert "mount" in box.create_refused()
