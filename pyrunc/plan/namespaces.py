"""linux.namespaces, id mappings, time offsets, host names: what the container has of its own.

runtime-spec config-linux.md, "Namespaces" to "Offset for time namespace".
"""

from __future__ import annotations

from pyrunc.plan.capabilities import CAP_SETGID, CAP_SETUID
from pyrunc.plan.kernel import CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWTIME, NAMESPACES, O_RDONLY
from pyrunc.plan.ops import SLOT_PROC, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.builder import Builder
    from pyrunc.spec.types import IDMapping


def _where(b: Builder, namespace: str) -> str:
    for index, entry in enumerate((b.spec.get("linux") or {}).get("namespaces") or ()):
        if entry["type"] == namespace:
            return f"linux.namespaces[{index}]"
    return "linux.namespaces"


def join(b: Builder) -> None:
    """Open the namespaces that have a path, and enter them before the clone.

    The user namespace comes last: with the host's capabilities all others can be entered.  Where the caller
    has none, those fail with EPERM at first, and the executor tries them again from inside the user namespace.
    """
    slots: list[int] = []
    types: list[int] = []
    for namespace in sorted(b.namespaces, key=lambda name: name == "user"):
        kernel_name = NAMESPACES[namespace][1]
        if kernel_name not in b.facts["namespaces"]:
            b.problem(_where(b, namespace) + ".type", f"this kernel has no {namespace} namespaces")
        if b.namespaces[namespace]:
            slot = b.slot()
            b.on_host(_where(b, namespace), "open", slot, b.namespaces[namespace], O_RDONLY)
            slots.append(slot)
            types.append(NAMESPACES[namespace][0])
    if slots:
        b.on_host("linux.namespaces", "join_namespaces", tuple(slots), tuple(types))


def _late(b: Builder) -> tuple[str, ...]:
    """Namespaces that the new process makes itself, when it has become what their content depends on.

    A cgroup namespace has the cgroup at its creation as root (cgroup_namespaces(7)), which clone would take from the
    parent.  Time offsets must be written before anything enters (time_namespaces(7)).  The message queues of an
    IPC namespace belong to who makes it, and in a user namespace nobody is mapped yet.
    """
    return ("cgroup", "time", "ipc") if "user" in b.namespaces else ("cgroup", "time")


def clone(b: Builder, into: int) -> Op:
    """The op that makes the container's first process, in its new namespaces and the cgroup of slot ``into``.

    Some namespaces are unshared later, see ``_late``.
    """
    flags = 0
    for namespace, (flag, _) in NAMESPACES.items():
        if b.new(namespace) and namespace not in _late(b):
            flags |= flag
    return Op("clone", (flags, into), "linux.namespaces")


def mapping_text(mappings: Sequence[IDMapping]) -> str:
    """The lines of /proc/PID/uid_map (user_namespaces(7))."""
    return "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in mappings)


def enter(b: Builder) -> None:
    """The first steps of the new process, up to being root in its user namespace."""
    linux = b.spec.get("linux") or {}
    if b.new("user"):
        uids, gids = linux.get("uidMappings") or (), linux.get("gidMappings") or ()
        _write_maps(b, uids, gids)
    b.on_container("", "open_proc", SLOT_PROC)
    _time(b)
    if not _hidden_from_birth(b):
        b.on_container("", "dumpable", 0)
    if "user" in b.namespaces and has_root(b):
        b.on_container(_where(b, "user"), "become_root")
    b.on_container("", "setsid")
    if not b.request["no_new_keyring"]:
        b.on_container("", "session_keyring", "_ses." + b.request["id"])


def hide(b: Builder) -> None:
    """Keep processes of the same pid or user namespace from tracing the new process before its execve."""
    if _hidden_from_birth(b):
        b.on_host("", "dumpable", 0)


def _hidden_from_birth(b: Builder) -> bool:
    """Files of a process that is not dumpable belong to root, who alone could write its id maps (proc(5))."""
    return b.facts["uid"] == 0 or not b.new("user")


def has_root(b: Builder) -> bool:
    """Whether there is an id 0 to become; what a namespace that is joined by its path has, its maker knows.

    A process that makes or joins a user namespace has all capabilities in it, whoever it is there
    (user_namespaces(7)); being root only makes it the owner of what it creates.
    """
    if not b.new("user"):
        return True
    linux = b.spec.get("linux") or {}
    uids, gids = linux.get("uidMappings") or (), linux.get("gidMappings") or ()
    return any(m["containerID"] == 0 for m in uids) and any(m["containerID"] == 0 for m in gids)


def _write_maps(b: Builder, uids: Sequence[IDMapping], gids: Sequence[IDMapping]) -> None:
    where = "linux.uidMappings"
    if b.facts["caps"] & CAP_SETUID and b.facts["caps"] & CAP_SETGID:
        b.on_parent(where, "write_id_maps", mapping_text(uids), mapping_text(gids), "")
    elif _is_own(uids, b.facts["uid"]) and _is_own(gids, b.facts["gid"]):
        # The one mapping that needs no privilege, at the price of setgroups (user_namespaces(7)).
        b.on_parent(where, "write_id_maps", mapping_text(uids), mapping_text(gids), "deny")
        b.setgroups_denied = True
    else:
        _check_subids(b, "uid", uids, b.facts["uid"], b.facts["subuids"])
        _check_subids(b, "gid", gids, b.facts["gid"], b.facts["subgids"])
        b.on_parent(where, "new_id_maps", _arguments(uids), _arguments(gids))


def _is_own(mappings: Sequence[IDMapping], host_id: int) -> bool:
    return len(mappings) == 1 and mappings[0]["size"] == 1 and mappings[0]["hostID"] == host_id


def _arguments(mappings: Sequence[IDMapping]) -> tuple[str, ...]:
    return tuple(str(m[key]) for m in mappings for key in ("containerID", "hostID", "size"))


def _check_subids(
    b: Builder, kind: str, mappings: Sequence[IDMapping], own: int, ranges: Sequence[tuple[int, int]]
) -> None:
    allowed = [(own, 1), *ranges]
    for index, m in enumerate(mappings):
        first, last = m["hostID"], m["hostID"] + m["size"]
        if not any(start <= first and last <= start + count for start, count in allowed):
            have = ", ".join(f"{start}-{start + count - 1}" for start, count in allowed)
            b.problem(
                f"linux.{kind}Mappings[{index}]",
                f"host ids {first}-{last - 1} are not yours to map: you have {have} (see /etc/sub{kind})",
            )


def _time(b: Builder) -> None:
    """A time namespace, before the process is root in its user namespace: no longer could it write the offsets."""
    if not b.new("time"):
        return
    where = _where(b, "time")
    b.on_container(where, "unshare", CLONE_NEWTIME)
    offsets = (b.spec.get("linux") or {}).get("timeOffsets") or {}
    lines = "".join(
        f"{clock} {offset.get('secs', 0)} {offset.get('nanosecs', 0)}\n" for clock, offset in offsets.items()
    )
    if lines:
        if b.facts["uid"] != 0 and not b.new("user"):
            b.problem("linux.timeOffsets", "needs root, or a new user namespace in linux.namespaces")
        b.on_container("linux.timeOffsets", "proc_write", "self/timens_offsets", lines)
    b.on_container(where, "enter_time_ns")


def configure(b: Builder) -> None:
    """Namespaces that must be unshared from inside, and the loopback device."""
    if b.new("ipc") and "ipc" in _late(b):
        b.on_container(_where(b, "ipc"), "unshare", CLONE_NEWIPC)
    if b.new("cgroup"):
        b.on_container(_where(b, "cgroup"), "unshare", CLONE_NEWCGROUP)
    if b.new("network"):
        b.on_container(_where(b, "network"), "loopback_up")
    if "network" in b.namespaces:
        for name, device in ((b.spec.get("linux") or {}).get("netDevices") or {}).items():
            b.on_parent(f"linux.netDevices.{name}", "move_net_device", name, device.get("name") or name)


def names(b: Builder) -> None:
    if b.spec.get("hostname"):
        b.on_container("hostname", "hostname", b.spec["hostname"])
    if b.spec.get("domainname"):
        b.on_container("domainname", "domainname", b.spec["domainname"])
