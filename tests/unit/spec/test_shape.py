"""The texts for a config of the wrong shape, and the order in which they come."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.spec import load
from tests.unit.spec.support import MISSING, config, said

NAMESPACES = "pid, network, mount, ipc, uts, user, cgroup, time"
PROPAGATIONS = "private, rprivate, shared, rshared, slave, rslave, unbindable, runbindable"
ACTIONS = (
    "SCMP_ACT_KILL, SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_TRAP, SCMP_ACT_ERRNO, "
    "SCMP_ACT_TRACE, SCMP_ACT_ALLOW, SCMP_ACT_LOG, SCMP_ACT_NOTIFY"
)
FLAGS = (
    "SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, "
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
)
UINT64 = 18446744073709551615

CASES: list[tuple[dict[str, Any], str]] = [
    ({"process.rlimits.0.soft": "10"}, 'process.rlimits[0].soft: expected integer, got "10"'),
    ({"process.rlimits.0.soft": 10.0}, "process.rlimits[0].soft: expected integer, got 10.0"),
    ({"process.rlimits.0.soft": True}, "process.rlimits[0].soft: expected integer, got true"),
    ({"process.terminal": None}, "process.terminal: expected boolean, got null"),
    ({"process": []}, "process: expected object, got an array"),
    ({"mounts": {}}, "mounts: expected array, got an object"),
    ({"hostname": ["a"]}, "hostname: expected string, got an array"),
    ({"process.args": MISSING}, "process.args: required, but missing"),
    ({"process.args": []}, "process.args: must not be empty"),
    ({"process.cwd": ""}, "process.cwd: must not be empty"),
    ({"root.path": ""}, "root.path: must not be empty"),
    ({"root": MISSING}, "root: required, but missing"),
    ({"process.user.uid": MISSING}, "process.user.uid: required, but missing"),
    ({"process.user.gid": MISSING}, "process.user.gid: required, but missing"),
    ({"process.ioPriority": {"class": "IOPRIO_CLASS_BE"}}, "process.ioPriority.priority: required, but missing"),
    ({"process.user.uid": -1}, "process.user.uid: -1 is not in the range 0 to 4294967294"),
    ({"process.user.gid": 2**32 - 1}, "process.user.gid: 4294967295 is not in the range 0 to 4294967294"),
    ({"process.user.umask": 512}, "process.user.umask: 512 is not in the range 0 to 511"),
    ({"process.oomScoreAdj": 1001}, "process.oomScoreAdj: 1001 is not in the range -1000 to 1000"),
    (
        {"process.rlimits.0.hard": 2**64},
        f"process.rlimits[0].hard: {2**64} is not in the range 0 to {UINT64}",
    ),
    (
        {"process.ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}},
        "process.ioPriority.priority: 8 is not in the range 0 to 7",
    ),
    (
        {"process.ioPriority": {"class": "BE", "priority": 0}},
        'process.ioPriority.class: "BE" is not one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE',
    ),
    (
        {"process.scheduler": {"policy": "SCHED_OTHER", "nice": 20}},
        "process.scheduler.nice: 20 is not in the range -20 to 19",
    ),
    ({"linux.namespaces.0.type": "foo"}, f'linux.namespaces[0].type: "foo" is not one of {NAMESPACES}'),
    ({"linux.namespaces.0.type": 5}, "linux.namespaces[0].type: expected string, got 5"),
    (
        {"linux.rootfsPropagation": "public"},
        f'linux.rootfsPropagation: "public" is not one of {PROPAGATIONS}, ""',
    ),
    (
        {"linux.personality": {"domain": "BSD"}},
        'linux.personality.domain: "BSD" is not one of LINUX, LINUX32',
    ),
    ({"linux.personality": {"domain": "LINUX", "flags": ["x"]}}, "linux.personality.flags: must be empty"),
    (
        {"linux.devices": [{"type": "x", "path": "/dev/x"}]},
        'linux.devices[0].type: "x" is not one of c, b, u, p',
    ),
    (
        {"linux.devices": [{"type": "c", "path": "/dev/x", "major": 1, "minor": 2, "fileMode": 65536}]},
        "linux.devices[0].fileMode: 65536 is not in the range 0 to 65535",
    ),
    (
        {"linux.timeOffsets": {"monotonic": {"nanosecs": 10**9}}},
        "linux.timeOffsets.monotonic.nanosecs: 1000000000 is not in the range 0 to 999999999",
    ),
    (
        {"linux.sysctl": {"net.core.somaxconn": 5}},
        'linux.sysctl["net.core.somaxconn"]: expected string, got 5',
    ),
    (
        {"linux.uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}] * 341},
        "linux.uidMappings: 341 entries, at most 340 are possible",
    ),
    (
        {"hooks": {"prestart": [{"path": "/x", "timeout": 0}]}},
        "hooks.prestart[0].timeout: 0 is not in the range 1 to 2147483647",
    ),
    (
        {"linux.seccomp": {"defaultAction": "ALLOW"}},
        f'linux.seccomp.defaultAction: "ALLOW" is not one of {ACTIONS}',
    ),
    (
        {"linux.seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["NEW"]}},
        f'linux.seccomp.flags[0]: "NEW" is not one of {FLAGS}',
    ),
    ({"hostname": {"x": "y" * 200}}, "hostname: expected string, got an object"),
    ({"process.terminal": "y" * 200}, f'process.terminal: expected boolean, got "{"y" * 59}…"'),
]


@pytest.mark.parametrize(("changes", "line"), CASES, ids=[line.partition(":")[0] for _, line in CASES])
def test_each_wrong_shape_has_its_text(changes: dict[str, Any], line: str) -> None:
    assert said(config(changes)) == [line]


def test_all_violations_come_in_the_order_of_the_document() -> None:
    document = config(
        {
            "ociVersion": "2.0.0",
            "process.user.uid": "root",
            "process.args": MISSING,
            "root": 5,
            "mounts.2.options": "ro",
            "linux.namespaces.5": {"path": "x"},
            "linux.maskedPaths.0": "proc",
            "linux.cgroupsPath": "../x",
        }
    )
    assert [line.partition(":")[0] for line in said(document)] == [
        "ociVersion",
        "process.user.uid",
        "process.args",
        "root",
        "mounts[2].options",
        "linux.namespaces[5].type",
        "linux.maskedPaths[0]",
        "linux.cgroupsPath",
    ]


def test_a_rule_is_left_out_only_where_the_shape_that_it_reads_is_broken() -> None:
    broken = {"process.rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": "1"}], "process.cwd": "x"}
    assert said(config(broken)) == [
        'process.cwd: "x" is not an absolute path',
        'process.rlimits[0].hard: expected integer, got "1"',
    ]


def test_what_is_no_object_is_refused_by_the_name_of_its_file() -> None:
    assert said([1]) == ["config.json: expected a JSON object"]
    assert said(5, load.load_process) == ["process.json: expected a JSON object"]


def test_a_process_alone_has_paths_of_its_own() -> None:
    process = {"args": [], "cwd": "tmp", "rlimits": [{"type": "RLIMIT_CORE", "soft": "10", "hard": 1}]}
    assert said(process, load.load_process) == [
        "args: must not be empty",
        'cwd: "tmp" is not an absolute path',
        'rlimits[0].soft: expected integer, got "10"',
    ]


def test_unknown_properties_are_ignored_everywhere() -> None:
    assert said(config({"new": 1, "process.new": [], "linux.new": {}, "mounts.0.new": None})) == []
