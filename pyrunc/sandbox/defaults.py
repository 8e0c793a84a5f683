"""Limits that a box has without being asked for them: which of them the host lets it have."""

from __future__ import annotations

import resource

from pyrunc.host import probe
from pyrunc.host.cgroups import controllers
from pyrunc.runtime import bundle as bundles
from pyrunc.runtime import repeated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.facts import HostFacts

#: From then on RLIMIT_NPROC counts the processes of a user namespace; before, all that the user has on the host.
_COUNTED_APART = (5, 14)


def limited(names: tuple[str, ...], cgroup_manager: str) -> frozenset[str]:
    """Of these cgroup controllers, those that a new box of this program can have; HostError without that manager."""
    facts = repeated.facts()
    layout = facts["cgroup"]
    if cgroup_manager == "disabled":
        return frozenset()
    if cgroup_manager == "systemd" and layout["mode"] == "v2":
        return frozenset(names) & _of_systemd(facts)
    if (facts["uid"] != 0 or not facts["initial_userns"]) and not facts["delegated"]:
        return frozenset()
    if layout["mode"] != "v2":
        return frozenset(names) & frozenset(layout["mounts"])
    # A box's cgroup lies beside that of this program.
    above, mount = probe.beside(layout), layout["mounts"][""].rstrip("/")
    return frozenset(name for name in names if controllers.obtainable(above, mount, name))


def _of_systemd(facts: HostFacts) -> frozenset[str]:
    """The controllers of its own cgroup, which it gives to units that ask for them."""
    systemd = bundles.with_systemd(facts)["systemd"]
    assert systemd is not None
    directory = facts["cgroup"]["mounts"][""].rstrip("/") + systemd["control_group"]
    return frozenset(probe.read(directory + "/cgroup.controllers").split())


def ceilings(names: tuple[str, ...]) -> dict[str, int]:
    """The hard limits of this process, which a box of an ordinary user cannot exceed; without those that are none."""
    hard = {name: resource.getrlimit(getattr(resource, name))[1] for name in names}
    return {name: limit for name, limit in hard.items() if limit != resource.RLIM_INFINITY}


def processes_counted_apart() -> bool:
    """Whether RLIMIT_NPROC in a new user namespace is about that alone."""
    return repeated.facts()["kernel"] >= _COUNTED_APART


def has_ids(uids: tuple[int, ...], gids: tuple[int, ...]) -> bool:
    """Whether this user namespace has all of these, and lets its root use them (user_namespaces(7))."""
    if repeated.facts()["initial_userns"]:
        return True
    wanted = ((probe.read("/proc/self/uid_map"), uids), (probe.read("/proc/self/gid_map"), gids))
    maps = [([line.split() for line in text.splitlines()], ids) for text, ids in wanted]
    return not repeated.facts()["setgroups_denied"] and all(
        any(int(first) <= id < int(first) + int(count) for first, _, count in ranges)
        for ranges, ids in maps
        for id in ids
    )
