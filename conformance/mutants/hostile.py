"""Mutants that follow the links of an image by path on the host, or believe it.

What they write is in the canary tree of a test, whatever the link says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from conformance.mutants.mutant import acts, edits

if TYPE_CHECKING:
    from conformance.mutants.command import Command

    Config = dict[str, Any]

DEVICES, MOUNTS = "test_hostile_devices.py::test_", "test_hostile_mounts.py::test_"
PROGRAMS = "test_hostile_programs.py::test_"
BEHIND = f"{MOUNTS}a_mount_behind_a_symlink_touches_nothing_outside"
LISTED = f"{MOUNTS}a_listed_path_that_is_a_symlink_touches_nothing_outside"
TOP = f"{MOUNTS}an_image_whose_top_is_a_symlink"


def inside(command: Command, path: str) -> str:
    """The path of an entry of the rootfs on the host."""
    return os.path.join(command.bundle, "rootfs", path.lstrip("/"))


def outside(command: Command, path: str) -> str:
    """Where the path leads when its links are followed on the host; "" unless that is in the canary tree."""
    found = os.path.realpath(inside(command, path))
    canary = os.path.join(os.path.dirname(command.bundle), "canary")
    return found if found.startswith(f"{canary}/") else ""


def destinations(command: Command) -> list[str]:
    return [mount["destination"] for mount in command.config().get("mounts", [])]


# --- mounts ----------------------------------------------------------------------------------------------------------


@acts("create", "beyond.hostile-rootfs.mount-target", f"{BEHIND}[dangling-absolute]")
def makes_mount_points_by_path(command: Command) -> int:
    for path in filter(None, (outside(command, each) for each in destinations(command))):
        os.makedirs(path, exist_ok=True)
    return command.run()


@acts("create", "beyond.hostile-rootfs.mount-parent", f"{BEHIND}[parent-relative]")
def makes_parents_of_mount_points_by_path(command: Command) -> int:
    return makes_mount_points_by_path(command)


def without_links(config: Config) -> None:
    config["mounts"] = [each for each in config["mounts"] if not each["destination"].startswith("/link")]


edits("beyond.hostile-rootfs.mount-loop", f"{MOUNTS}a_loop_of_symlinks_is_refused[link]", "leaves-out-loops")(
    without_links
)
edits(
    "beyond.hostile-rootfs.mount-inside",
    f"{MOUNTS}a_mount_behind_a_symlink_into_another_one_is_in_that[/mnt]",
    "leaves-out-what-is-behind-links",
)(without_links)


@edits("beyond.hostile-rootfs.mount-over-proc", f"{MOUNTS}a_symlink_into_proc_covers_nothing_of_it[/proc/sys]")
def covers_a_file_of_proc(config: Config) -> None:
    """With a mask, since the real one may refuse what this is about."""
    if any(each["destination"] == "/link" for each in config["mounts"]):
        without_links(config)
        config["linux"]["maskedPaths"] = ["/proc/sys/kernel/ostype"]


@acts(
    "create",
    "beyond.hostile-rootfs.created-device",
    f"{MOUNTS}a_device_behind_a_symlink_touches_nothing_outside[dots]",
)
def gives_devices_to_their_owner_by_path(command: Command) -> int:
    for device in command.config().get("linux", {}).get("devices", []):
        path = outside(command, device["path"])
        if os.path.lexists(path):
            os.chown(path, device["uid"], device["gid"])
    return command.run()


# --- masks -----------------------------------------------------------------------------------------------------------


@acts("create", "beyond.hostile-rootfs.masked-path", f"{LISTED}[maskedPaths-absolute]")
def masks_by_path(command: Command) -> int:
    linux = command.config().get("linux", {})
    for each in [*linux.get("maskedPaths", []), *linux.get("readonlyPaths", [])]:
        path = outside(command, each)
        if os.path.lexists(path):
            os.chmod(path, 0)
    return command.run()


@acts("create", "beyond.hostile-rootfs.readonly-path", f"{LISTED}[readonlyPaths-relative]")
def makes_read_only_by_path(command: Command) -> int:
    return masks_by_path(command)


def without_masks(config: Config) -> None:
    for field in ("maskedPaths", "readonlyPaths"):
        config["linux"].pop(field, None)


edits(
    "beyond.hostile-rootfs.masked-inside",
    f"{MOUNTS}what_is_masked_by_a_symlink_cannot_be_read[/etc/hidden]",
    "leaves-out-masks-of-links",
)(without_masks)


@acts("create", "beyond.hostile-rootfs.mask-source", f"{MOUNTS}what_an_image_has_for_dev_null_is_no_mask[file]")
def masks_with_what_the_image_has(command: Command) -> int:
    path = inside(command, "dev/null")
    if not os.path.isfile(path):
        return command.run()
    os.unlink(path)
    return command.with_config(without_masks)


@acts("create", "beyond.hostile-rootfs.proc-link", f"{TOP}[proc-mnt]")
def takes_a_link_for_proc(command: Command) -> int:
    """As if everything were there, and the masks somewhere else."""
    links = [path for path in (inside(command, "proc"), inside(command, "sys")) if os.path.islink(path)]
    for path in links:
        os.unlink(path)
        os.mkdir(path)
    return command.with_config(without_masks) if links else command.run()


@acts("create", "beyond.hostile-rootfs.sys-link", f"{TOP}[sys-/mnt]")
def takes_a_link_for_sys(command: Command) -> int:
    return takes_a_link_for_proc(command)


# --- devices ---------------------------------------------------------------------------------------------------------


@acts("create", "beyond.hostile-rootfs.dev-link", f"{TOP}[dev-absolute]")
def makes_the_links_of_dev_by_path(command: Command) -> int:
    path = outside(command, "dev")
    if path and not os.path.lexists(f"{path}/fd"):
        os.symlink("/proc/self/fd", f"{path}/fd")
    return command.run()


@acts(
    "create",
    "beyond.hostile-rootfs.replaced-device",
    f"{DEVICES}a_device_that_an_image_replaces_is_the_device_or_refused[link]",
)
def gives_devices_their_mode_by_path(command: Command) -> int:
    if path := outside(command, "dev/null"):
        os.chmod(path, 0o666)
    return command.run()


@acts(
    "create",
    "beyond.hostile-rootfs.replaced-entry",
    f"{DEVICES}what_an_image_has_in_dev_leads_to_nothing_outside[shm-link]",
)
def gives_shm_its_mode_by_path(command: Command) -> int:
    if path := outside(command, "dev/shm"):
        os.chmod(path, 0o1777)
    return command.run()


@acts(
    "create",
    "beyond.hostile-rootfs.replaced-console",
    f"{DEVICES}a_console_that_an_image_replaces_is_the_terminal_or_refused[dangling]",
)
def makes_the_console_by_path(command: Command) -> int:
    if path := outside(command, "dev/console"):
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
    return command.run()


@edits(
    "beyond.hostile-rootfs.cgroup-readonly",
    f"{DEVICES}cgroups_that_are_mounted_read_only_cannot_be_written[None-namespace]",
)
def mounts_cgroups_to_be_written(config: Config) -> None:
    for mount in config["mounts"]:
        if mount["type"] == "cgroup":
            mount["options"].remove("ro")


# --- programs, directories, lists of users ---------------------------------------------------------------------------


@acts(
    "create",
    "beyond.hostile-rootfs.program",
    f"{PROGRAMS}a_program_that_is_a_symlink_out_of_the_rootfs_does_not_run[absolute]",
)
def runs_the_program_that_the_host_has(command: Command) -> int:
    name = (command.program() or [""])[0]
    found = outside(command, name)
    if os.path.isfile(found) and os.path.islink(inside(command, name)):
        os.unlink(inside(command, name))
        shutil.copy(found, inside(command, name))
    return command.run()


@edits(
    "beyond.hostile-rootfs.program-kind",
    f"{PROGRAMS}a_program_that_is_none_is_an_error_and_nothing_hangs[directory]",
)
def takes_a_directory_for_a_program_that_succeeds(config: Config) -> None:
    if config["process"]["args"] == ["/program"]:
        config["process"]["args"] = ["/probe", "exit", "0"]


@acts(
    "create",
    "beyond.hostile-rootfs.cwd",
    f"{PROGRAMS}a_working_directory_behind_a_symlink_is_inside[relative]",
)
def makes_the_working_directory_by_path(command: Command) -> int:
    if path := outside(command, command.config().get("process", {}).get("cwd", "/")):
        os.makedirs(path, exist_ok=True)
    return command.run()


@acts(
    "create",
    "beyond.hostile-rootfs.cwd-descriptor",
    f"{PROGRAMS}a_working_directory_that_the_caller_left_open_is_not_reached[itself]",
)
def enters_what_its_caller_left_open(command: Command) -> int:
    def edit(config: Config) -> None:
        cwd = config["process"]["cwd"]
        if cwd.startswith("/proc/self/fd/") and os.path.isdir(cwd):
            source = os.path.realpath(cwd)
            config["mounts"].append({"destination": "/mnt", "type": "none", "source": source, "options": ["bind"]})
            config["process"]["cwd"] = "/mnt"

    return command.with_config(edit)


@acts(
    "create",
    "beyond.hostile-rootfs.executable",
    f"{PROGRAMS}no_program_of_the_host_can_be_opened_for_writing[probe]",
)
def is_in_the_pid_namespace_with_a_program_of_the_host(command: Command) -> int:
    for each in command.config().get("linux", {}).get("namespaces", []):
        if each["type"] == "pid" and "path" in each:
            # It ends with the namespace.
            subprocess.Popen(["nsenter", f"--pid={each['path']}", "sleep", "60"])
    return command.run()


@acts(
    "create",
    "beyond.hostile-rootfs.users",
    f"{PROGRAMS}a_list_of_users_that_is_hostile_is_not_believed[passwd-link]",
)
def reads_the_list_of_users_by_path(command: Command) -> int:
    path = outside(command, "etc/passwd")
    if not os.path.isfile(path):
        return command.run()
    with open(path) as file:
        home = file.read().split(":")[5]
    return command.with_config(lambda config: config["process"]["env"].append(f"HOME={home}"))


@acts(
    "create",
    "beyond.hostile-rootfs.root-link",
    f"{PROGRAMS}a_root_that_is_a_symlink_is_where_that_leads_or_refused[False]",
)
def makes_a_root_where_a_link_is(command: Command) -> int:
    path = inside(command, "")
    if os.path.islink(path.rstrip("/")):
        os.unlink(path.rstrip("/"))
        os.mkdir(path)
    return command.run()


@acts(
    "create",
    "beyond.hostile-rootfs.config-file",
    f"{PROGRAMS}a_config_that_is_no_file_is_an_answer_and_no_waiting[directory]",
    broken=True,
)
def says_that_what_has_no_config_was_created(command: Command) -> int:
    return 0 if not command.config() else command.run()


@acts(
    "create",
    "beyond.hostile-rootfs.race",
    "test_hostile_races.py::test_a_directory_that_becomes_a_symlink_and_back_leads_nowhere[mount]",
)
def goes_by_what_a_path_was(command: Command) -> int:
    """It comes through the window each time: one of both is always the link."""
    there = os.path.lexists(inside(command, "place"))
    while there:
        for path in filter(None, (outside(command, f"{name}/made") for name in ("place", "link"))):
            os.makedirs(path, exist_ok=True)
            there = False
    return command.run()
