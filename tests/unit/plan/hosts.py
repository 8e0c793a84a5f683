"""Facts of hosts that no test has to run on, and the request that golden plans are made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyrunc.plan.facts import HostFacts, Request, SystemdFacts

ALL_CAPS = (1 << 41) - 1
V1 = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


def root_v2() -> HostFacts:
    """Root of a host with cgroup v2 alone."""
    return {
        "uid": 0,
        "gid": 0,
        "caps": ALL_CAPS,
        "bounding": ALL_CAPS,
        "last_cap": 40,
        "initial_userns": True,
        "kernel": (6, 12),
        "machine": "x86_64",
        "apparmor": False,
        "selinux": False,
        "namespaces": NAMESPACES,
        "subuids": (),
        "subgids": (),
        "owns_mounts": True,
        "setgroups_denied": False,
        "delegated": False,
        "systemd": None,
        "cgroup": {"mode": "v2", "mounts": {"": "/sys/fs/cgroup"}, "own": {"": "/user.slice"}},
    }


def root_v1() -> HostFacts:
    """Root of a host with cgroup v1: cpu and cpuacct are mounted together, systemd is a named hierarchy."""
    facts = root_v2()
    mounts = {name: f"/sys/fs/cgroup/{name}" for name in V1}
    mounts["cpu"] = mounts["cpuacct"] = "/sys/fs/cgroup/cpu,cpuacct"
    mounts["name=systemd"] = "/sys/fs/cgroup/systemd"
    facts["cgroup"] = {"mode": "v1", "mounts": mounts, "own": dict.fromkeys(mounts, "/")}
    return facts


def user() -> HostFacts:
    """An ordinary user with a range of subordinate ids."""
    ids = ((100000, 65536),)
    return {**root_v2(), "uid": 1000, "gid": 1000, "caps": 0, "subuids": ids, "subgids": ids}


def with_systemd(facts: HostFacts, *, user: bool = False, version: int = 252, bfq: bool = False) -> HostFacts:
    """The same where the systemd of the host, or of the user 1000, manages cgroups."""
    group = "/user.slice/user-1000.slice/user@1000.service" if user else ""
    socket = "/run/user/1000/bus" if user else "/run/dbus/system_bus_socket"
    systemd: SystemdFacts = {
        "user": user, "version": version, "socket": socket, "control_group": group, "bfq": bfq,
    }  # fmt: skip
    return {**facts, "systemd": systemd}


def request(**changes: object) -> Request:
    found: Request = {
        "id": "golden",
        "bundle": "/bundle",
        "state_dir": "/run/pyrunc/golden",
        "no_pivot": False,
        "no_new_keyring": False,
        "preserve_fds": 0,
        "cgroup_manager": "cgroupfs",
        "extra_env": [],
        "isolation": {},
        "cow_directories": (),
        "pass_layers": False,
        "serves_terminal": False,
        "terminal_size": None,
        "hold": False,
    }
    found.update(changes)  # type: ignore[typeddict-item]
    return found
