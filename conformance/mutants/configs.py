"""Mutants that do not do what the config says: the real runtime is given another one."""

from __future__ import annotations

import os
from typing import Any

from conformance.mutants.mutant import edits

Config = dict[str, Any]

MOUNT_OPTIONS = "config.linux-mount-options"


# --- what is ignored -------------------------------------------------------------------------------------------------


def place(config: Config, path: str) -> tuple[Any, str]:
    """The object in which a property is, and its name; {} where there is none."""
    *parents, last = path.split(".")
    found: Any = config
    for name in parents:
        found = found.get(name, {})
    return found, last


def ignore(name: str, path: str, breaks: str, test: str) -> None:
    """The mutant does not know the property at ``path``."""

    def edit(config: Config) -> None:
        inside, last = place(config, path)
        inside.pop(last, None)

    edits(breaks, test, f"ignores-{name}")(edit)


#: Name, property, statement, test.
IGNORED = (
    ("masked-paths", "linux.maskedPaths", "config-linux.masked-paths.file",
     "test_paths.py::test_a_masked_file_cannot_be_read"),
    ("readonly-paths", "linux.readonlyPaths", "config-linux.readonly-paths.directory",
     "test_paths.py::test_a_readonly_directory_cannot_be_written"),
    ("readonly-of-the-root", "root.readonly", "config.root.readonly",
     "test_root.py::test_a_readonly_root_cannot_be_written"),
    ("propagation-of-the-root", "linux.rootfsPropagation", "config-linux.rootfs-mount-propagation.shared",
     "test_propagation.py::test_a_shared_root_has_a_peer_group"),
    ("hostname", "hostname", "config.hostname.set",
     "test_names.py::test_a_name_is_set_inside_and_not_outside[hostname]"),
    ("domainname", "domainname", "config.domainname.set",
     "test_names.py::test_a_name_is_set_inside_and_not_outside[domainname]"),
    ("no-new-privileges", "process.noNewPrivileges", "config.linux-process.no-new-privileges",
     "test_capabilities.py::test_no_new_privileges"),
    ("ambient-capabilities", "process.capabilities.ambient", "config.linux-process.capabilities-ambient",
     "test_capabilities.py::test_the_sets_of_another_user[ambient]"),
    ("rlimits", "process.rlimits", "config.posix-process.rlimits-nofile",
     "test_rlimits.py::test_a_limit_is_set[RLIMIT_NOFILE]"),
    ("oom-score-adj", "process.oomScoreAdj", "config.linux-process.oom-score-adj",
     "test_scheduling.py::test_the_oom_score_adjustment"),
    ("scheduler", "process.scheduler", "config.linux-process.scheduler-batch",
     "test_scheduling.py::test_the_policy_batch"),
    ("io-priority", "process.ioPriority", "config.linux-process.io-priority-be",
     "test_scheduling.py::test_the_io_priority[be]"),
    ("personality", "linux.personality", "config-linux.personality.linux32",
     "test_personality.py::test_the_domain_linux32"),
    ("additional-gids", "process.user.additionalGids", "config.posix-platform-user.additional-gids",
     "test_user.py::test_the_groups_are_the_configured_ones_and_none_of_the_caller_s[some]"),
    ("umask", "process.user.umask", "config.posix-platform-user.umask",
     "test_user.py::test_the_umask_is_the_configured_one[0o27]"),
    ("sysctl", "linux.sysctl", "config-linux.sysctl.network",
     "test_sysctl.py::test_parameters_are_set_for_the_container_alone[network]"),
    ("devices", "linux.devices", "config-linux.devices.type-c",
     "test_devices.py::test_a_device_is_there[c]"),
    ("seccomp", "linux.seccomp", "config-linux.seccomp.errno-ret",
     "test_seccomp.py::test_each_name_of_a_rule_and_each_errno_ret_counts"),
    ("time-offsets", "linux.timeOffsets", "config-linux.offset-for-time-namespace.monotonic-secs",
     "test_time_namespaces.py::test_secs_moves_one_clock[monotonic]"),
    ("annotations", "annotations", "runtime.state.annotations",
     "test_state.py::test_annotations_are_those_of_the_config"),
)  # fmt: skip

for _row in IGNORED:
    ignore(*_row)


# --- mounts ----------------------------------------------------------------------------------------------------------


def options(config: Config, change: dict[str, str]) -> None:
    """Put other words in the place of mount options; "" for none."""
    for mount in config["mounts"]:
        if "options" in mount:
            mount["options"] = [word for word in (change.get(word, word) for word in mount["options"]) if word]


@edits(f"{MOUNT_OPTIONS}.nosuid", "test_mount_options.py::test_a_tmpfs_has_the_option[nosuid]")
def drops_the_option_nosuid(config: Config) -> None:
    options(config, {"nosuid": ""})


@edits(f"{MOUNT_OPTIONS}.ro", "test_mount_options.py::test_a_bind_mount_has_the_option[ro]")
def drops_the_option_ro(config: Config) -> None:
    options(config, {"ro": ""})


@edits(f"{MOUNT_OPTIONS}.rro", "test_mount_recursive.py::test_every_mount_of_the_tree_has_the_option[rro]")
def takes_rro_for_ro(config: Config) -> None:
    options(config, {"rro": "ro"})


@edits(f"{MOUNT_OPTIONS}.rbind", "test_mount_recursive.py::test_rbind_mounts_what_is_mounted_below")
def takes_rbind_for_bind(config: Config) -> None:
    options(config, {"rbind": "bind"})


@edits(f"{MOUNT_OPTIONS}.bind", "test_mount_recursive.py::test_bind_mounts_without_what_is_mounted_below")
def takes_bind_for_rbind(config: Config) -> None:
    options(config, {"bind": "rbind"})


@edits(f"{MOUNT_OPTIONS}.unbindable", "test_propagation.py::test_a_mount_has_the_propagation[unbindable]")
def takes_unbindable_for_private(config: Config) -> None:
    options(config, {"unbindable": "private"})


@edits(f"{MOUNT_OPTIONS}.tmpcopyup", "test_mount_options.py::test_tmpcopyup_copies_what_the_tmpfs_covers")
def does_not_copy_up(config: Config) -> None:
    options(config, {"tmpcopyup": ""})


@edits(f"{MOUNT_OPTIONS}.unknown", "test_mount_options.py::test_an_option_of_the_file_system_is_handed_over")
def drops_options_of_file_systems(config: Config) -> None:
    for mount in config["mounts"]:
        mount["options"] = [word for word in mount.get("options", []) if "=" not in word]


@edits("config.mounts.order", "test_mounts.py::test_the_entries_are_mounted_in_their_order")
def mounts_from_last_to_first(config: Config) -> None:
    config["mounts"].reverse()


@edits("config.mounts.applied", "test_mounts.py::test_every_entry_is_mounted")
def forgets_the_last_of_several_mounts(config: Config) -> None:
    if len(config["mounts"]) > 2:
        config["mounts"].pop()


@edits("config.posix-platform-mounts.type-unknown", "test_mounts.py::test_a_type_that_the_kernel_has_not_is_refused")
def mounts_a_tmpfs_for_what_it_does_not_know(config: Config) -> None:
    for mount in config["mounts"]:
        if mount.get("type") not in ("proc", "tmpfs"):
            mount.update(type="tmpfs", options=[])


@edits(
    "config.mounts.source-missing", "test_mounts.py::test_a_source_that_is_not_there_is_refused_and_not_made[absolute]"
)
def skips_mounts_whose_source_is_not_there(config: Config) -> None:
    config["mounts"] = [
        mount for mount in config["mounts"] if mount["source"] == "proc" or os.path.exists(mount["source"])
    ]


# --- namespaces and ids ----------------------------------------------------------------------------------------------


def without(config: Config, kind: str) -> None:
    config["linux"]["namespaces"] = [each for each in config["linux"]["namespaces"] if each.get("type") != kind]


@edits("config-linux.namespaces.ipc", "test_namespaces.py::test_a_type_in_the_list_is_a_new_namespace[ipc]")
def makes_no_ipc_namespace(config: Config) -> None:
    without(config, "ipc")


@edits("config-linux.namespaces.network", "test_namespaces.py::test_a_type_in_the_list_is_a_new_namespace[network]")
def makes_no_network_namespace(config: Config) -> None:
    without(config, "network")


@edits(
    "config-linux.namespaces.unlisted-network",
    "test_namespaces.py::test_a_type_that_is_not_in_the_list_is_inherited[network]",
)
def always_makes_a_network_namespace(config: Config) -> None:
    if not any(each["type"] == "network" for each in config["linux"]["namespaces"]):
        config["linux"]["namespaces"].append({"type": "network"})


@edits("config-linux.namespaces.path-network", "test_namespace_paths.py::test_the_namespace_at_path_is_joined[network]")
def makes_a_network_namespace_in_place_of_joining(config: Config) -> None:
    for each in config["linux"]["namespaces"]:
        if each["type"] == "network":
            each.pop("path", None)


@edits("config-linux.namespaces.duplicate", "test_namespace_paths.py::test_a_type_that_stands_twice_is_refused[ipc]")
def forgives_a_namespace_that_stands_twice(config: Config) -> None:
    once = {each["type"]: each for each in config["linux"]["namespaces"]}
    config["linux"]["namespaces"] = list(once.values())


@edits(
    "config-linux.user-namespace-mappings.uid-mappings",
    "test_user_namespaces.py::test_the_maps_are_as_in_the_config[one]",
)
def maps_one_uid_more(config: Config) -> None:
    for each in config["linux"].get("uidMappings", []):
        each["size"] += 1


# --- the process -----------------------------------------------------------------------------------------------------


@edits("config.posix-platform-user.uid", "test_user.py::test_every_id_of_the_process_is_the_configured_one[Uid-1234]")
def runs_every_program_as_root(config: Config) -> None:
    config["process"]["user"]["uid"] = 0


@edits("config.posix-platform-user.gid", "test_user.py::test_every_id_of_the_process_is_the_configured_one[Gid-70000]")
def leaves_the_group_at_0(config: Config) -> None:
    config["process"]["user"]["gid"] = 0


@edits("config.linux-process.capabilities-bounding", "test_capabilities.py::test_the_sets_of_root[bounding]")
def leaves_a_capability_in_the_bounding_set(config: Config) -> None:
    config["process"]["capabilities"]["bounding"].append("CAP_SYS_ADMIN")


@edits("config.process.args", "test_program.py::test_the_arguments_are_those_of_the_config")
def loses_the_last_argument(config: Config) -> None:
    arguments = config["process"]["args"]
    if arguments[1:] != ["wait"]:
        arguments.pop()


@edits("config.process.cwd", "test_program.py::test_the_directory_and_the_environment_are_those_of_the_config")
def stays_in_the_root_directory(config: Config) -> None:
    config["process"]["cwd"] = "/"


@edits("config.process.env", "test_program.py::test_the_directory_and_the_environment_are_those_of_the_config")
def cuts_the_environment_at_an_equals_sign(config: Config) -> None:
    config["process"]["env"] = ["=".join(entry.split("=")[:2]) for entry in config["process"]["env"]]


@edits("config.process.env-only", "test_program.py::test_nothing_of_the_caller_s_environment_gets_in")
def hands_its_environment_on(config: Config) -> None:
    own = [f"{name}={value}" for name, value in os.environ.items() if name not in ("PATH", "HOME", "CONFORMANCE")]
    config["process"]["env"] = [*own, *config["process"]["env"]]


@edits("config.process.cwd-absolute", "test_program.py::test_what_a_process_must_have[relative cwd]")
def makes_a_relative_directory_absolute(config: Config) -> None:
    config["process"]["cwd"] = os.path.join("/", config["process"]["cwd"])


@edits("config.posix-process.rlimits-type-unknown", "test_rlimits.py::test_what_no_limit_may_be[unknown type]")
def skips_limits_that_it_does_not_know(config: Config) -> None:
    found = config["process"].get("rlimits", [])
    config["process"]["rlimits"] = [each for each in found if each.get("type") == "RLIMIT_NOFILE"]


# --- the rest --------------------------------------------------------------------------------------------------------


@edits("config-linux.sysctl.unknown", "test_sysctl.py::test_what_cannot_be_set_is_refused[unknown]")
def skips_parameters_that_there_are_not(config: Config) -> None:
    found = config["linux"].get("sysctl", {})
    known = {name: value for name, value in found.items() if os.path.exists(f"/proc/sys/{name.replace('.', '/')}")}
    config["linux"]["sysctl"] = known


@edits("config-linux.devices.file-mode", "test_devices.py::test_filemode_is_the_mode")
def makes_devices_with_a_mode_of_its_own(config: Config) -> None:
    for device in config["linux"].get("devices", []):
        device["fileMode"] = 0o600


@edits("config-linux.devices.uid", "test_devices.py::test_uid_and_gid_own_the_node")
def makes_devices_of_root(config: Config) -> None:
    for device in config["linux"].get("devices", []):
        device["uid"] = 0


@edits("config-linux.seccomp.op-lt", "test_seccomp.py::test_an_operator_compares_an_argument[LT]")
def takes_less_for_less_or_equal(config: Config) -> None:
    for rule in config["linux"].get("seccomp", {}).get("syscalls", []):
        for argument in rule.get("args", []):
            argument["op"] = argument["op"].replace("_LT", "_LE")


@edits(
    "config.specification-version.oci-version-major",
    "test_values.py::test_a_config_of_another_major_version_is_refused",
)
def takes_a_config_of_every_version(config: Config) -> None:
    config["ociVersion"] = "1.0.2"
