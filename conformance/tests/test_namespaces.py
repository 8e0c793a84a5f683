"""config-linux#namespaces: new ones, and those that are inherited."""

from __future__ import annotations

import ctypes
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.marks import decides, needs, optional
from conformance.support.namespaces import KINDS, map_ids, own
from conformance.verdict import Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conformance.workshop import Maker, Workshop

#: What a machine or a runtime may lack.
MORE = {
    "user": [needs("root", "userns")],
    "cgroup": [needs("cgroupns"), optional("linux.namespaces", "cgroup")],
    "time": [needs("timens"), optional("linux.namespaces", "time")],
}
#: Where it is that of the host.  A user namespace may mount the procfs of its own PID namespaces alone.
INHERITED = {"pid": [needs("root")]}


def each_type(claim: str, *without: str, more: Mapping[str, list[pytest.MarkDecorator]] = {}) -> pytest.MarkDecorator:
    """A parameter ``kind`` that decides ``config-linux.namespaces.CLAIM`` with the type in the place of KIND."""
    cases = []
    for kind in KINDS:
        if kind not in without:
            marks = [
                decides(f"config-linux.namespaces.{claim.replace('KIND', kind)}"),
                *MORE.get(kind, []),
                *more.get(kind, []),
            ]
            cases.append(pytest.param(kind, marks=marks))
    return pytest.mark.parametrize("kind", cases)


@each_type("KIND")
def test_a_type_in_the_list_is_a_new_namespace(container: Maker, kind: str) -> None:
    box = container()
    if kind == "user":
        map_ids(box)
    else:
        config.add_namespace(box.config, kind)
    assert box.report()["namespaces"][KINDS[kind][0]] != own(kind)


@each_type("unlisted-KIND", "mount", "user", more=INHERITED)
def test_a_type_that_is_not_in_the_list_is_inherited(container: Maker, kind: str) -> None:
    box = container()
    config.drop_namespace(box.config, kind)
    assert box.report()["namespaces"][KINDS[kind][0]] == own(kind)


@decides("config-linux.namespaces.unlisted-user")
@needs("root")
def test_without_user_the_user_namespace_is_inherited(container: Maker) -> None:
    assert container().report()["namespaces"]["user"] == own("user")


@decides("config-linux.namespaces.pid-isolation")
def test_only_processes_of_its_pid_namespace_are_seen(container: Maker) -> None:
    seen = container().report("list=/proc")
    assert seen["pid"] == 1
    assert [name for name in seen.answer("list", "/proc") if name.isdigit()] == ["1"]


@decides("config-linux.namespaces.network-isolation")
def test_a_new_network_namespace_has_lo_alone_and_ports_of_its_own(container: Maker) -> None:
    box = container()
    config.add_namespace(box.config, "network")
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))  # whatever the container binds is in the way of it
        port = listener.getsockname()[1]
        seen = box.report("read=/proc/net/dev", f"bind={port}")
        assert seen.errno("bind", str(port)) == 0
    names = {line.partition(":")[0].strip() for line in seen.file("/proc/net/dev").splitlines()[2:]}
    # Modules may put devices of theirs into each network namespace: tunl0, sit0.
    assert "lo" in names
    assert not names & {name for _, name in socket.if_nameindex()} - {"lo", "tunl0", "sit0", "ip6tnl0", "gre0"}


@decides("config-linux.namespaces.mount-isolation")
@needs("root")
def test_what_the_container_mounts_the_host_does_not_see(container: Maker) -> None:
    box = container("report", "mount=/mnt", "+", "wait")
    for names in box.config["process"]["capabilities"].values():
        names.append("CAP_SYS_ADMIN")
    before = mounts_below(box.rootfs)
    box.running()
    assert box.seen().errno("mount", "/mnt") == 0
    assert mounts_below(box.rootfs) == before
    assert " /mnt " in Path(f"/proc/{box.pid}/mountinfo").read_text()


def mounts_below(folder: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {folder}" in line]


@decides("config-linux.namespaces.ipc-isolation")
def test_objects_of_the_hosts_ipc_namespace_are_not_seen(container: Maker) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0, 4096, 0o1600)
    assert segment >= 0, os.strerror(ctypes.get_errno())
    path = "/proc/sysvipc/shm"
    try:
        assert str(segment) in [line.split()[1] for line in Path(path).read_text().splitlines()]
        seen = container().report(f"read={path}")
    finally:
        libc.shmctl(segment, 0, None)
    assert len(seen.file(path).splitlines()) == 1


@decides("config-linux.namespaces.uts-isolation")
@needs("root")
def test_the_container_changes_its_own_names(workshop: Workshop, container: Maker) -> None:
    box = container()
    for names in box.config["process"]["capabilities"].values():
        names.append("CAP_SYS_ADMIN")
    before = os.uname().nodename, Path("/proc/sys/kernel/domainname").read_text()
    paths = [f"/proc/sys/kernel/{name}" for name in ("hostname", "domainname")]
    name = workshop.token
    seen = box.report(f"hostname={name}", f"domainname={name}.d", *(f"read={path}" for path in paths))
    assert [seen.file(path) for path in paths] == [f"{name}\n", f"{name}.d\n"]
    assert before == (os.uname().nodename, Path("/proc/sys/kernel/domainname").read_text())


@decides("config-linux.namespaces.user-isolation")
@needs("root", "userns")
def test_uid_0_inside_is_another_on_the_host(container: Maker) -> None:
    box = container("report", "+", "wait")
    map_ids(box)
    box.running()
    assert box.seen()["uid"] == [0, 0, 0]
    status = Path(f"/proc/{box.pid}/status").read_text().splitlines()
    assert [line.split()[1:] for line in status if line.startswith("Uid:")] == [["100000"] * 4]


@decides("config-linux.namespaces.cgroup-isolation")
@needs("root", "cgroupns")
@optional("linux.namespaces", "cgroup")
def test_its_own_cgroup_is_the_root(container: Maker) -> None:
    """Of those hierarchies in which create has made a cgroup."""
    box = container("report", "+", "wait")
    config.add_namespace(box.config, "cgroup")
    box.running()
    if not box.cgroups:
        raise Unsupported("it makes no cgroup for the smallest config")
    host = [line.split(":", 2) for line in Path(f"/proc/{box.pid}/cgroup").read_text().splitlines()]
    mine = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()}
    made = {names for _, names, path in host if path != mine.get(names)}
    seen = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in box.seen().file("/proc/self/cgroup").splitlines()}
    assert made
    assert {names: seen[names] for names in made} == dict.fromkeys(made, "/")
