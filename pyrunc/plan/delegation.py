"""Who owns the container's cgroup2 when the container may write to it.

runtime-spec config-linux.md "Cgroup ownership"; cgroups(7) "Cgroups delegation".  Delegation is safe on cgroup2
only: limits are in files that stay with the host, and the container gets those that manage what is below.
"""

from __future__ import annotations

from pyrunc.plan.capabilities import CAPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder


def apply(b: Builder) -> None:
    """Give the cgroup to the user of the host that process.user.uid stands for.

    Nothing to do where that is the caller, who has made it.  An ordinary caller can give nothing away: then the
    container's other users see the cgroup as belonging to its root.
    """
    uid = _host_uid(b, (b.spec["process"].get("user") or {}).get("uid", 0))
    if uid is not None and uid != b.facts["uid"] and b.facts["caps"] >> CAPS["CAP_CHOWN"] & 1:
        b.on_runtime("mounts", "cgroup_own", b.cgroups[""], uid)


def _host_uid(b: Builder, uid: int) -> int | None:
    """None for a user that the container has no number for, and in a namespace whose maps are not in the config."""
    if "user" not in b.namespaces:
        return uid
    for mapping in (b.spec.get("linux") or {}).get("uidMappings") or ():
        if mapping["containerID"] <= uid < mapping["containerID"] + mapping["size"]:
            return mapping["hostID"] + uid - mapping["containerID"]
    return None
