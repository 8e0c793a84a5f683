"""The options of a dump, but for the numbers of descriptors.  They are those of runc, in CRIU's names (rpc.proto)."""

from __future__ import annotations

from pyrunc.plan.criu import rpc
from pyrunc.plan.criu.mounts import NULL
from pyrunc.plan.criu.wishes import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrunc.plan.criu.rpc import Options
    from pyrunc.plan.criu.wishes import Wishes
    from pyrunc.spec.types import Spec

LOG = "dump.log"
#: CRIU's debug level: a failure is no use without what led to it.
LOG_LEVEL = 4
#: Where CRIU may have more options for containers, as with runc; an annotation of this name stands for another file.
CONFIG, CONFIG_ANNOTATION = "/etc/criu/runc.conf", "org.criu.config"

#: OCI namespace type -> CRIU's name.
NAMES = {"network": "net", "pid": "pid", "ipc": "ipc", "uts": "uts"}
#: Those that CRIU can leave out of the images.
LEFT_OUT = ("network", "pid")


def key(namespace: str) -> str:
    """By which CRIU finds an external namespace again; runc's, so that its images can be restored."""
    return f"extRoot{NAMES[namespace].title()}NS"


def dump(
    spec: Spec,
    wishes: Wishes,
    *,
    pid: int,
    rootfs: str,
    cgroups: Mapping[str, str],
    namespaces: Mapping[str, int],
    external: Sequence[str],
    masked: Sequence[str],
    descriptors: Sequence[str],
) -> Options:
    """``namespaces``: type -> inode of those that have a path.  ``external``: mount points of external mounts;
    ``masked``: of masked files.  ``descriptors``: what CRIU calls the first three, "" for those that it brings back."""
    options: Options = {
        **common(spec, wishes, LOG),
        "root": rootfs,
        "pid": pid,
        "leave_running": wishes.leave_running,
        "tcp_skip_in_flight": wishes.tcp_skip_in_flight,
        "link_remap": wishes.link_remap,
        "external": [
            *(f"{NAMES[type]}[{inode}]:{key(type)}" for type, inode in namespaces.items() if type in LEFT_OUT),
            *(name for name in dict.fromkeys(descriptors) if name.startswith("file[")),
        ],
    }
    freezer = cgroups.get("freezer") or cgroups.get("")
    if freezer:
        options["freeze_cgroup"] = freezer
    if wishes.page_server:
        options["ps"] = {"address": wishes.page_server[0], "port": wishes.page_server[1]}
    if wishes.parent:
        options.update(parent_img=wishes.parent, track_mem=True)
    if not wishes.pre_dump:
        options["ext_mnt"] = [{"key": point, "val": point} for point in external]
        options["ext_mnt"] += [{"key": point, "val": NULL} for point in masked]
    return options


def common(spec: Spec, wishes: Wishes, log: str) -> Options:
    """What a dump and a restore have in common."""
    options: Options = {
        "log_level": LOG_LEVEL,
        "log_file": log,
        "notify_scripts": True,
        "orphan_pts_master": True,
        "manage_cgroups": True,
        "manage_cgroups_mode": rpc.CGROUP_MODES[wishes.cgroups_mode],
        "shell_job": wishes.shell_job,
        "tcp_established": wishes.tcp_established,
        "ext_unix_sk": wishes.ext_unix_sk,
        "file_locks": wishes.file_locks,
        "auto_dedup": wishes.auto_dedup,
        "lazy_pages": wishes.lazy_pages,
        # Devices and addresses of a network are the engine's to make again, as in runc.
        "empty_ns": EMPTY["network"],
    }
    config = (spec.get("annotations") or {}).get(CONFIG_ANNOTATION, CONFIG)
    if config:
        options["config_file"] = config
    return options
