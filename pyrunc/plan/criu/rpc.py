"""The messages of ``criu swrk``: names and numbers of CRIU's images/rpc.proto, of the fields that are used here."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.plan.criu.protobuf import Table

#: criu_req_type
DUMP, RESTORE, PRE_DUMP, NOTIFY, FEATURE_CHECK, VERSION, SINGLE_PRE_DUMP = 1, 2, 4, 6, 9, 10, 13
TYPES = {
    DUMP: "DUMP", RESTORE: "RESTORE", PRE_DUMP: "PRE_DUMP", NOTIFY: "NOTIFY", FEATURE_CHECK: "FEATURE_CHECK",
    VERSION: "VERSION", SINGLE_PRE_DUMP: "SINGLE_PRE_DUMP",
}  # fmt: skip

#: criu_cg_mode; "" is CRIU's own choice, which is soft.
CGROUP_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5, "": 6}

PAGE_SERVER: Table = {"address": (1, str), "port": (2, int)}
EXTERNAL_MOUNT: Table = {"key": (1, str), "val": (2, str)}
INHERITED: Table = {"key": (1, str), "fd": (2, int)}
CGROUP_ROOT: Table = {"ctrl": (1, str), "path": (2, str)}
JOINED: Table = {"ns": (1, str), "ns_file": (2, str)}

OPTIONS: Table = {
    "images_dir_fd": (1, int),
    "pid": (2, int),
    "leave_running": (3, bool),
    "ext_unix_sk": (4, bool),
    "tcp_established": (5, bool),
    "evasive_devices": (6, bool),
    "shell_job": (7, bool),
    "file_locks": (8, bool),
    "log_level": (9, int),
    "log_file": (10, str),
    "ps": (11, PAGE_SERVER),
    "notify_scripts": (12, bool),
    "root": (13, str),
    "parent_img": (14, str),
    "track_mem": (15, bool),
    "auto_dedup": (16, bool),
    "work_dir_fd": (17, int),
    "link_remap": (18, bool),
    "ext_mnt": (23, [EXTERNAL_MOUNT]),
    "manage_cgroups": (24, bool),
    "cg_root": (25, [CGROUP_ROOT]),
    "rst_sibling": (26, bool),
    "inherit_fd": (27, [INHERITED]),
    "manage_cgroups_mode": (34, int),
    "external": (37, [str]),
    "empty_ns": (38, int),
    "join_ns": (39, [JOINED]),
    "freeze_cgroup": (44, str),
    "tcp_skip_in_flight": (46, bool),
    "lazy_pages": (48, bool),
    "orphan_pts_master": (50, bool),
    "config_file": (51, str),
    "tcp_close": (52, bool),
    "lsm_profile": (53, str),
    "lsm_mount_context": (63, str),
    "mntns_compat_mode": (65, bool),
}

FEATURES: Table = {"mem_track": (1, bool), "lazy_pages": (2, bool)}
REQUEST: Table = {"type": (1, int), "opts": (2, OPTIONS), "notify_success": (3, bool), "features": (5, FEATURES)}

RESPONSE: Table = {
    "type": (1, int),
    "success": (2, bool),
    "restore": (4, {"pid": (1, int)}),
    "notify": (5, {"script": (1, str), "pid": (2, int)}),
    "cr_errno": (7, int),
    "features": (8, FEATURES),
    "cr_errmsg": (9, str),
    "version": (10, {"major_number": (1, int), "minor_number": (2, int), "sublevel": (4, int)}),
}

if TYPE_CHECKING:
    Options = dict[str, Any]
