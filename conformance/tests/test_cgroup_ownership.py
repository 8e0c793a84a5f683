"""config-linux#cgroup-ownership: whom a container's cgroup belongs to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import cgroup, config
from conformance.marks import decides, needs
from conformance.support.limits import together
from conformance.support.namespaces import map_ids
from conformance.verdict import Failed

if TYPE_CHECKING:
    from conformance.shared import Shared
    from conformance.workshop import Workshop

pytestmark = [needs("root", "userns", "cgroupns")]

FIRST, USER = 100000, 1000

#: The container's user on the host.
OWNER = FIRST + USER

DELEGATED = Path("/sys/kernel/cgroup/delegate")

Owners = dict[Path, int]

#: What a container may be given -> whether it is mounted at /sys/fs/cgroup with these options, and its own namespace.
KINDS = {
    "writable": (["rw"], True),
    "readonly": (["ro"], True),
    "no-mount": (None, True),
    "no-namespace": (["rw"], False),
}


def owners(workshop: Workshop, options: list[str] | None, namespace: bool) -> Owners:
    """Directories and files of the container's own cgroups -> their uid on the host."""
    box = workshop.container()
    map_ids(box, FIRST)
    box.config["process"]["user"] = {"uid": USER, "gid": USER}
    if namespace:
        config.add_namespace(box.config, "cgroup")
    if options:
        config.add_mount(box.config, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", *options)
    box.running()
    found = {path for folder in cgroup.own(box.pid) for path in (folder, *folder.iterdir())}
    return {path: path.stat().st_uid for path in found}


def kinds(workshop: Workshop) -> dict[str, Owners | Failed]:
    found: dict[str, Owners | Failed] = {}
    for name, given in KINDS.items():
        found |= together({name: given}, lambda some: owners(workshop, *next(iter(some.values()))))
    return found


def of(shared: Shared, kind: str) -> Owners:
    found = shared(kinds)[kind]
    if isinstance(found, Failed):
        raise found
    assert found, "the container has no cgroup of its own"
    return found


def directories(found: Owners) -> set[int]:
    return {uid for path, uid in found.items() if (path / "cgroup.procs") in found}


def delegated() -> set[str]:
    return set(DELEGATED.read_text().split())


@decides("config-linux.cgroup-ownership.v1")
@needs("cgroup1")
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_given_a_cgroup_of_v1(shared: Shared, kind: str) -> None:
    unified = cgroup.hierarchies().get("", (Path("/none"), ""))[0]
    found = {path: uid for path, uid in of(shared, kind).items() if unified not in path.parents}
    assert found
    assert set(found.values()) == {os.geteuid()}


@decides("config-linux.cgroup-ownership.writable-mount", "config-linux.cgroup-ownership.owner")
@needs("cgroup2")
def test_a_writable_cgroup_belongs_to_the_containers_user(shared: Shared) -> None:
    assert directories(of(shared, "writable")) == {OWNER}


@decides("config-linux.cgroup-ownership.files")
@needs("cgroup2")
def test_delegated_files_belong_to_the_containers_user(shared: Shared) -> None:
    found = {path.name: uid for path, uid in of(shared, "writable").items() if path.name in delegated()}
    assert "cgroup.procs" in found
    assert set(found.values()) == {OWNER}


@decides("config-linux.cgroup-ownership.files-missing")
@needs("cgroup2")
def test_a_delegated_file_that_is_not_there_makes_nothing_fail(shared: Shared) -> None:
    missing = delegated() - {path.name for path in of(shared, "writable")}
    if not missing:
        pytest.skip("needs a file that the kernel lists and the container's cgroup has not")


@decides("config-linux.cgroup-ownership.files-others")
@needs("cgroup2")
def test_other_files_stay_with_the_host(shared: Shared) -> None:
    found = of(shared, "writable")
    folders = {path.parent for path in found if path.name == "cgroup.procs"}
    assert {uid for path, uid in found.items() if path not in folders and path.name not in delegated()} == {
        os.geteuid()
    }


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("readonly", marks=decides("config-linux.cgroup-ownership.readonly-mount")),
        pytest.param("no-mount", marks=decides("config-linux.cgroup-ownership.no-mount")),
        pytest.param("no-namespace", marks=decides("config-linux.cgroup-ownership.no-cgroup-namespace")),
    ],
)
@needs("cgroup2")
def test_else_the_cgroup_stays_with_the_host(shared: Shared, kind: str) -> None:
    assert set(of(shared, kind).values()) == {os.geteuid()}
