"""A mount of type cgroup: the container's view of its cgroups (cgroups(7), cgroup_namespaces(7)).

With a cgroup namespace the file system itself is mounted and shows the container's cgroup as its root.
Without one, cgroup2 is mounted as the host sees it, so that the path in /proc/self/cgroup is there, as with runc and
crun; where the kernel refuses that, in a user namespace, and on v1 the container's own directories are bind-mounted.
"""

from __future__ import annotations

from pyrunc.plan import mounts
from pyrunc.plan.capabilities import CAP_SYS_ADMIN
from pyrunc.plan.kernel import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    OPEN_TREE_CLONE,
)
from pyrunc.plan.ops import CREATE_DIR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from pyrunc.plan.builder import Builder
    from pyrunc.plan.facts import HostFacts
    from pyrunc.plan.mount_options import Options

_BASE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC


def apply(b: Builder, where: str, destination: str, options: Options) -> None:
    mode = b.facts["cgroup"]["mode"]
    if mode == "none":
        b.problem(where, "this host has no cgroup file system mounted")
    elif mode == "v2":
        _unified(b, where, destination, options)
    else:
        _hierarchies(b, where, destination, options)


def _unified(b: Builder, where: str, destination: str, options: Options) -> None:
    place = mounts.target(b, where, destination, CREATE_DIR)
    slot = b.slot()
    if b.new("cgroup") or _may_mount(b.facts, b.namespaces):
        b.on_container(where, "fsmount", slot, "cgroup2", "cgroup", (), options.attr_set | _BASE, -1)
    else:
        b.on_source(where, "open_tree", slot, shown(b.facts, b.namespaces, b.cgroups)[""], OPEN_TREE_CLONE)
        b.on_container(where, "mount_attr", slot, options.attr_set | _BASE, options.attr_clear, 0, 0, -1)
    mounts.attributes(b, where, slot, options, inherited=False)
    b.on_container(where, "attach", slot, place)


def shown(facts: HostFacts, namespaces: Container[str], cgroups: Mapping[str, str]) -> dict[str, str]:
    """What stands there without a cgroup namespace: path below the destination -> directory of the host.

    ``namespaces`` and ``cgroups``, controller -> directory, are the container's; where it has no cgroup of its own, it
    stays in its caller's.
    """
    host = facts["cgroup"]
    if host["mode"] == "v2":
        top = host["mounts"][""]
        return {"": top if _may_mount(facts, namespaces) else cgroups.get("") or top}
    found = {}
    for directory, (first, *_) in _by_directory(facts).items():
        own = cgroups.get(first) or (host["mounts"][first] + host["own"].get(first, "")).rstrip("/")
        found["/" + directory.rsplit("/", 1)[1]] = own
    return found


def _may_mount(facts: HostFacts, namespaces: Container[str]) -> bool:
    """Is the container an administrator of the host's cgroup namespace?"""
    return facts["initial_userns"] and bool(facts["caps"] & CAP_SYS_ADMIN) and "user" not in namespaces


def _hierarchies(b: Builder, where: str, destination: str, options: Options) -> None:
    """cgroup v1: a tmpfs with one directory per hierarchy, and links for those that share one."""
    place = mounts.target(b, where, destination, CREATE_DIR)
    slot = b.slot()
    read_only = options.attr_set & MOUNT_ATTR_RDONLY
    attr = (options.attr_set | _BASE) & ~MOUNT_ATTR_RDONLY
    b.on_container(where, "fsmount", slot, "tmpfs", "tmpfs", ("mode=755",), attr, -1)
    mounts.attributes(b, where, slot, options, inherited=False)
    b.on_container(where, "attach", slot, place)
    own = shown(b.facts, b.namespaces, b.cgroups)
    for directory, controllers in sorted(_by_directory(b.facts).items()):
        name = directory.rsplit("/", 1)[1]
        below = f"{destination}/{name}"
        point = mounts.target(b, where, below, CREATE_DIR)
        hierarchy = b.slot()
        if b.new("cgroup"):
            # A named hierarchy is mounted with no controller at all.
            flags = ("none", *controllers) if controllers[0].startswith("name=") else controllers
            b.on_container(where, "fsmount", hierarchy, "cgroup", "cgroup", flags, attr | read_only, -1)
        else:
            b.on_source(where, "open_tree", hierarchy, own["/" + name], OPEN_TREE_CLONE)
            b.on_container(where, "mount_attr", hierarchy, attr | read_only, options.attr_clear, 0, 0, -1)
        b.on_container(where, "attach", hierarchy, point)
        for controller in controllers:
            if controller != name and not controller.startswith("name="):
                b.on_container(where, "symlink", f"{destination}/{controller}", name)
    if read_only:
        b.before_pivot(where + ".options", "mount_attr", slot, MOUNT_ATTR_RDONLY, 0, 0, 0, -1)


def _by_directory(facts: HostFacts) -> dict[str, tuple[str, ...]]:
    """Mount point of each v1 hierarchy -> its controllers."""
    found: dict[str, tuple[str, ...]] = {}
    for controller, directory in facts["cgroup"]["mounts"].items():
        if controller:
            found[directory] = (*found.get(directory, ()), controller)
    return found
