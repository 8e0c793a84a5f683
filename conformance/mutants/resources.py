"""Mutants that do not apply limits, or apply others."""

from __future__ import annotations

from typing import Any

from conformance.mutants.configs import ignore
from conformance.mutants.mutant import edits

Config = dict[str, Any]

RULES = "test_device_rules.py::test_a_device_can_be_opened_or_not"

#: Name, property, statement, test.
IGNORED = (
    ("memory-limit", "linux.resources.memory", "config-linux.memory.limit",
     "test_memory_limits.py::test_limit_is_the_limit"),
    ("pids-limit", "linux.resources.pids", "config-linux.pids.limit",
     "test_pids_limits.py::test_no_more_processes_can_be_made"),
    ("cpu-quota", "linux.resources.cpu.quota", "config-linux.cpu.quota",
     "test_cpu_limits.py::test_quota_is_the_time_per_period"),
    ("device-rules", "linux.resources.devices", "config-linux.allowed-device-list.deny", f"{RULES}[denied-deny]"),
    ("cgroups-path", "linux.cgroupsPath", "config-linux.cgroups-path.absolute",
     "test_cgroups_path.py::test_an_absolute_path_begins_at_the_mount_point_and_is_made"),
)  # fmt: skip

for _row in IGNORED:
    ignore(*_row)


@edits("config-linux.allowed-device-list.order", f"{RULES}[whole-order]")
def applies_device_rules_from_last_to_first(config: Config) -> None:
    config["linux"].get("resources", {}).get("devices", []).reverse()


@edits("config-linux.allowed-device-list.access-read", f"{RULES}[allowed-access-read]")
def allows_to_write_what_may_be_read(config: Config) -> None:
    for rule in config["linux"].get("resources", {}).get("devices", []):
        if rule.get("allow") and "r" in rule.get("access", ""):
            rule["access"] += "w"
