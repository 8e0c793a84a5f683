"""Every rule that the schema cannot say: a config that breaks it, and the text."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.plan.capabilities import CAPS
from pyrunc.spec import checks, load, sysctl, unimplemented
from tests.unit.spec.support import MISSING, config, said

MAPPING = {"containerID": 0, "hostID": 1000, "size": 10}
USER = {"linux.namespaces.5": {"type": "user"}}
MAPPED = {**USER, "linux.uidMappings": [MAPPING], "linux.gidMappings": [MAPPING]}
ALLOW = {"defaultAction": "SCMP_ACT_ALLOW"}
DEADLINE = {"policy": "SCHED_DEADLINE", "runtime": 2000, "deadline": 3000, "period": 4000}
BIND = {"destination": "/x", "source": "/x", "options": ["bind"]}
OTHER = "for another platform; pyrunc makes Linux containers"
HOST = "not a kernel parameter of a namespace, so it would change the host"
LATER = "not implemented by pyrunc yet"


def notify(**changes: object) -> dict[str, object]:
    return {**ALLOW, "syscalls": [{"names": ["open"], "action": "SCMP_ACT_NOTIFY"}], **changes}


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"ociVersion": "2.0.0"}, ['ociVersion: "2.0.0" is not supported, only 1.x (pyrunc implements 1.3.0)']),
    ({"ociVersion": "0.9.0"}, ['ociVersion: "0.9.0" is not supported, only 1.x (pyrunc implements 1.3.0)']),
    ({"ociVersion": "1.0"}, ['ociVersion: "1.0" is not a version like 1.3.0']),
    ({"ociVersion": "1.0.0-"}, ['ociVersion: "1.0.0-" is not a version like 1.3.0']),
    ({"ociVersion": "1.0.0+a..b"}, ['ociVersion: "1.0.0+a..b" is not a version like 1.3.0']),
    ({"ociVersion": "01.0.0"}, ['ociVersion: "01.0.0" is not a version like 1.3.0']),
    ({"ociVersion": "1.²"}, ['ociVersion: "1.²" is not a version like 1.3.0']),
    # process
    ({"process.cwd": "tmp"}, ['process.cwd: "tmp" is not an absolute path']),
    ({"process.args.1": "a\0b"}, ["process.args[1]: contains a NUL character"]),
    ({"annotations": {"a\0b": "x"}}, ['annotations["a\\u0000b"]: contains a NUL character']),
    ({"process.env.2": "A=\ud800"}, ["process.env[2]: contains half of a surrogate pair"]),
    ({"process.rlimits.0.soft": 2000}, ["process.rlimits[0].soft: 2000 is more than the hard limit 1024"]),
    (
        {"process.rlimits.1": {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}},
        ["process.rlimits[1].type: RLIMIT_NOFILE is set by process.rlimits[0] already"],
    ),
    (
        {"process.scheduler": {"policy": "SCHED_FIFO"}},
        ["process.scheduler.priority: SCHED_FIFO needs a priority from 1 to 99"],
    ),
    (
        {"process.scheduler": {"policy": "SCHED_BATCH", "priority": 1}},
        ["process.scheduler.priority: only for SCHED_FIFO and SCHED_RR, not for SCHED_BATCH"],
    ),
    (
        {"process.scheduler": {"policy": "SCHED_OTHER", "period": 1}},
        ["process.scheduler.period: only for SCHED_DEADLINE, not for SCHED_OTHER"],
    ),
    (
        {"process.scheduler": {"policy": "SCHED_DEADLINE"}},
        [
            "process.scheduler.runtime: SCHED_DEADLINE needs at least 1024 nanoseconds",
            "process.scheduler.deadline: SCHED_DEADLINE needs one that is not below the runtime",
        ],
    ),
    (
        {"process.scheduler": {**DEADLINE, "period": 2500}},
        ["process.scheduler.period: 2500 is below the deadline 3000"],
    ),
    (
        {"process.execCPUAffinity": {"initial": "0-3,7", "final": "3-1"}},
        ['process.execCPUAffinity.final: "3-1" is not a list of CPUs like 0-3,7'],
    ),
    (
        {"process.execCPUAffinity": {"initial": "0-99999999999"}},
        ['process.execCPUAffinity.initial: "0-99999999999" is not a list of CPUs like 0-3,7'],
    ),
    # namespaces
    (
        {"linux.namespaces.5": {"type": "pid"}},
        ["linux.namespaces[5].type: pid is in linux.namespaces[0] already"],
    ),
    (
        {"linux.namespaces.0.path": "proc/1/ns/pid"},
        ['linux.namespaces[0].path: "proc/1/ns/pid" is not an absolute path'],
    ),
    (
        {"linux": MISSING, "hostname": ""},
        ["linux.namespaces: a mount namespace is required: pyrunc never mounts in the host's"],
    ),
    (
        USER,
        [
            "linux.uidMappings: required for a new user namespace, but missing",
            "linux.gidMappings: required for a new user namespace, but missing",
        ],
    ),
    ({"linux.uidMappings": [MAPPING]}, ["linux.uidMappings: needs a user namespace in linux.namespaces"]),
    (
        {**MAPPED, "linux.uidMappings": [MAPPING, {"containerID": 9, "hostID": 2000, "size": 5}]},
        ["linux.uidMappings[1].containerID: 9-13 overlaps linux.uidMappings[0]"],
    ),
    (
        {**MAPPED, "linux.gidMappings": [MAPPING, {"containerID": 10, "hostID": 0, "size": 1001}]},
        ["linux.gidMappings[1].hostID: 0-1000 overlaps linux.gidMappings[0]"],
    ),
    (
        {**MAPPED, "linux.gidMappings": [{"containerID": 0, "hostID": 1, "size": 2**32 - 1}]},
        ["linux.gidMappings[0].size: the ids from hostID 1 on go beyond 32 bits"],
    ),
    (
        {"linux.namespaces.3": {"type": "cgroup"}, "domainname": "x"},
        [
            "hostname: needs a uts namespace in linux.namespaces",
            "domainname: needs a uts namespace in linux.namespaces",
        ],
    ),
    ({"hostname": "ä" * 33}, ["hostname: longer than 64 bytes"]),
    (
        {"linux.timeOffsets": {"monotonic": {"secs": 1}}},
        ["linux.timeOffsets: needs a time namespace in linux.namespaces"],
    ),
    (
        {
            "linux.timeOffsets": {"boottime": {"secs": 1}},
            "linux.namespaces.5": {"type": "time", "path": "/ns"},
        },
        ["linux.timeOffsets: impossible for a time namespace that is joined by its path"],
    ),
    (
        {"linux.timeOffsets": {"real time": {}}, "linux.namespaces.5": {"type": "time"}},
        ['linux.timeOffsets["real time"]: "real time" is not one of monotonic, boottime'],
    ),
    (
        {"linux.netDevices": {"eth0": {}}, "linux.namespaces.1": {"type": "cgroup"}},
        ["linux.netDevices: needs a network namespace in linux.namespaces"],
    ),
    (
        {"linux.netDevices": {"eth 0": {"name": "eth0"}}},
        ['linux.netDevices["eth 0"]: "eth 0" is not a name of a network device'],
    ),
    (
        {"linux.netDevices": {"eth0": {"name": "x" * 16}}},
        ['linux.netDevices.eth0.name: "xxxxxxxxxxxxxxxx" is not a name of a network device'],
    ),
    (
        {"linux.netDevices": {"eth%d": {}, "eth1": {"name": "a%db%d"}, "eth2": {"name": "xxxxxxxxxxxxxx%d"}}},
        [
            'linux.netDevices["eth%d"]: "eth%d" is not a name of a network device',
            'linux.netDevices.eth1.name: "a%db%d" is not a name of a network device',
            'linux.netDevices.eth2.name: "xxxxxxxxxxxxxx%d" is not a name of a network device',
        ],
    ),
    (
        {"linux.netDevices": {"eth0": {}, "eth1": {"name": "eth0"}}},
        ['linux.netDevices.eth1.name: "eth0" is the name of linux.netDevices.eth0 already'],
    ),
    # sysctl
    (
        {"linux.sysctl": {"kernel.core_pattern": "|/x"}},
        [
            f'linux.sysctl["kernel.core_pattern"]: {HOST}',
        ],
    ),
    (
        {"linux.sysctl": {"net.//.kernel": "x"}},
        ['linux.sysctl["net.//.kernel"]: not a path below /proc/sys'],
    ),
    (
        {"linux.sysctl": {"net/../kernel/core_pattern": "x"}},
        ['linux.sysctl["net/../kernel/core_pattern"]: not a path below /proc/sys'],
    ),
    (
        {"linux.sysctl": {"kernel.shmmax": "1"}, "linux.namespaces.2": {"type": "cgroup"}},
        ['linux.sysctl["kernel.shmmax"]: needs a namespace of type ipc in linux.namespaces'],
    ),
    (
        {"linux.sysctl": {"kernel.hostname": "x"}},
        ['linux.sysctl["kernel.hostname"]: conflicts with hostname, which is the way to set it'],
    ),
    # mounts
    (
        {"mounts.8": {"destination": "/x"}},
        ["mounts[8].type: required unless it is a bind mount, but missing"],
    ),
    (
        {"mounts.8": {"destination": "/x", "type": "bind"}},
        ["mounts[8].source: required for a bind mount, but missing"],
    ),
    (
        {"mounts.8": {**BIND, "uidMappings": [MAPPING]}},
        ["mounts[8].gidMappings: required beside uidMappings, but missing"],
    ),
    (
        {"mounts.8": {**BIND, "gidMappings": [MAPPING]}},
        ["mounts[8].uidMappings: required beside gidMappings, but missing"],
    ),
    (
        {"mounts.0.uidMappings": [MAPPING], "mounts.0.gidMappings": [MAPPING]},
        ["mounts[0].uidMappings: only for bind mounts"],
    ),
    (
        {"mounts.8": {**BIND, "options": ["bind", "idmap"]}},
        ["mounts[8].options[1]: idmap needs mappings, of the mount or of a user namespace"],
    ),
    ({"linux.maskedPaths.0": "proc/acpi"}, ['linux.maskedPaths[0]: "proc/acpi" is not an absolute path']),
    ({"linux.readonlyPaths.0": ""}, ['linux.readonlyPaths[0]: "" is not an absolute path']),
    (
        {"linux.devices": [{"type": "c", "path": "dev/x", "major": 1}]},
        [
            'linux.devices[0].path: "dev/x" is not an absolute path',
            "linux.devices[0].minor: required for a device of type c, but missing",
        ],
    ),
    (
        {"linux.devices": [{"type": "b", "path": "/x", "major": 1, "minor": 1, "fileMode": 0o20666}]},
        ["linux.devices[0].fileMode: 0o20666 is of another type than b"],
    ),
    (
        {"linux.resources.devices": [{"allow": False}, {"allow": True, "access": "rx"}]},
        [
            "linux.resources.devices[0].access: must be some of r, w and m",
            "linux.resources.devices[1].access: must be some of r, w and m",
        ],
    ),
    ({"linux.cgroupsPath": "/a/../../b"}, ["linux.cgroupsPath: must not contain .."]),
    # seccomp
    (
        {"linux.seccomp": {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/s"}},
        ["linux.seccomp.defaultAction: SCMP_ACT_NOTIFY is impossible for what is not listed"],
    ),
    (
        {"linux.seccomp": {**ALLOW, "defaultErrnoRet": 1}},
        ["linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW has no errno"],
    ),
    (
        {"linux.seccomp": {**ALLOW, "syscalls": [{"names": ["x"], "action": "SCMP_ACT_LOG", "errnoRet": 1}]}},
        ["linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_LOG has no errno"],
    ),
    (
        {"linux.seccomp": {**ALLOW, "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X86"]}},
        ["linux.seccomp.architectures[1]: SCMP_ARCH_X86 is there twice"],
    ),
    (
        {"linux.seccomp": notify()},
        ["linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath"],
    ),
    (
        {
            "linux.seccomp": notify(
                listenerPath="/s", syscalls=[{"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}]
            )
        },
        ["linux.seccomp.syscalls[0].names[1]: SCMP_ACT_NOTIFY is impossible for write"],
    ),
    (
        {"linux.seccomp": {**ALLOW, "listenerMetadata": "x"}},
        ["linux.seccomp.listenerMetadata: needs a listenerPath"],
    ),
    # memory policy
    (
        {"linux.memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-"}},
        ['linux.memoryPolicy.nodes: "0-" is not a list of nodes like 0-3,7'],
    ),
    ({"linux.memoryPolicy": {"mode": "MPOL_BIND"}}, ["linux.memoryPolicy.nodes: MPOL_BIND needs nodes"]),
    (
        {"linux.memoryPolicy": {"mode": "MPOL_LOCAL", "nodes": "0"}},
        ["linux.memoryPolicy.nodes: MPOL_LOCAL takes no nodes"],
    ),
    (
        {
            "linux.memoryPolicy": {
                "mode": "MPOL_BIND",
                "nodes": "0",
                "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"],
            }
        },
        ["linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude one another"],
    ),
    # hooks and annotations
    ({"hooks": {"poststop": [{"path": "x"}]}}, ['hooks.poststop[0].path: "x" is not an absolute path']),
    (
        {"hooks": {"prestart": [{"path": "/x", "env": ["=A"]}]}},
        ['hooks.prestart[0].env[0]: "=A" is not NAME=value'],
    ),
    ({"annotations": {"": "x"}}, ["annotations: a key must not be empty"]),
    # other platforms, and what is not there yet
    *(({name: {}}, [f"{name}: {OTHER}"]) for name in unimplemented.OTHER_PLATFORMS),
    ({"linux.intelRdt": {}}, [f"linux.intelRdt: {LATER}"]),
]

TAKEN: list[dict[str, Any]] = [
    {},
    {"ociVersion": "1.0.2-dev"},
    {"ociVersion": "1.99.0+build.1"},
    {"process.user": MISSING},
    {"process.env": ["NO_SIGN", "=x", ""]},
    {"process.capabilities.bounding": ["CAP_FROM_THE_FUTURE"]},
    {"process.terminal": False, "process.consoleSize": {"height": 1, "width": 1}},
    {"process.scheduler": DEADLINE},
    {"process.scheduler": {"policy": "SCHED_RR", "priority": 99}},
    {"process.rlimits.0.hard": 2**64 - 1},
    {"process.execCPUAffinity": {"initial": "", "final": "0, 2-3"}},
    {"hostname": ""},
    {"linux.namespaces.0.path": ""},
    MAPPED,
    {"linux.namespaces.5": {"type": "user", "path": "/proc/1/ns/user"}},
    {**MAPPED, "linux.namespaces.5": {"type": "user", "path": "/proc/1/ns/user"}},
    {**MAPPED, "linux.uidMappings": [MAPPING, {"containerID": 10, "hostID": 1010, "size": 1}]},
    {**MAPPED, "linux.uidMappings": [{"containerID": 0, "hostID": 0, "size": 2**32 - 1}]},
    {"linux.timeOffsets": {"boottime": {"secs": -1}}, "linux.namespaces.5": {"type": "time"}},
    {"linux.netDevices": {"eth0": {"name": "lan0"}, "eth1": {}}},
    {"linux.netDevices": {"eth0": {"name": "lan%d"}, "eth1": {"name": "lan%d"}, "eth2": {"name": "lan0"}}},
    {
        "linux.sysctl": {
            "net.ipv4.ip_forward": "1",
            "net/ipv4/conf/a.b/rp_filter": "1",
            "kernel.domainname": "x",
        }
    },
    {"linux.sysctl": {"fs.mqueue.msg_max": "1", "kernel.shm_rmid_forced": "1"}},
    {"mounts.8": {"destination": "relative", "type": "tmpfs"}},
    {"mounts.8": {"destination": "/", "options": ["rshared"]}},
    {"mounts.8": {**BIND, "uidMappings": [MAPPING], "gidMappings": [MAPPING]}},
    {**MAPPED, "mounts.8": {**BIND, "options": ["rbind", "ridmap"]}},
    {"linux.devices": [{"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 8576}]},
    {"linux.devices": [{"type": "p", "path": "/pipe"}]},
    {"linux.resources.devices": [{"allow": True, "major": -1, "minor": -1, "access": "rwm"}]},
    {"linux.cgroupsPath": "system.slice:a..b:c"},
    {"linux.seccomp": notify(listenerPath="/s", listenerMetadata="x")},
    {"linux.seccomp": notify(), "annotations": {"run.oci.seccomp.receiver": "/s"}},
    {"linux.memoryPolicy": {"mode": "MPOL_PREFERRED"}},
    {"linux.memoryPolicy": {"mode": "MPOL_INTERLEAVE", "nodes": "0-3,7"}},
    {"hooks": {"prestart": [{"path": "/x", "env": ["A="], "timeout": 5}]}},
]


@pytest.mark.parametrize(("changes", "lines"), REFUSED, ids=[lines[0][:50] for _, lines in REFUSED])
def test_each_rule_has_its_text(changes: dict[str, Any], lines: list[str]) -> None:
    assert said(config(changes)) == lines


@pytest.mark.parametrize("changes", TAKEN, ids=[str(changes)[:60] for changes in TAKEN])
def test_what_a_rule_must_not_refuse_is_taken(changes: dict[str, Any]) -> None:
    assert said(config(changes)) == []


def test_the_cases_cover_the_whole_table_of_what_is_not_implemented() -> None:
    refused = {line.partition(":")[0] for _, lines in REFUSED for line in lines if line.endswith(LATER)}
    assert refused == set(unimplemented.NOT_IMPLEMENTED)


def test_a_process_alone_is_checked_by_the_same_rules() -> None:
    process = {"args": ["x"], "cwd": "/", "rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]}
    assert said(process, load.load_process) == ["rlimits[0].soft: 2 is more than the hard limit 1"]
    assert said({"args": ["a\0"], "cwd": "/"}, load.load_process) == ["args[0]: contains a NUL character"]


def test_an_escape_that_only_looks_like_a_nul_is_taken() -> None:
    assert said(config({"process.args.1": "\\u0000 \U0001f600"})) == []


def test_what_runc_tolerates_is_a_warning() -> None:
    spec = load.load_value(
        config({"process.capabilities.ambient.1": "CAP_NEW", "mounts.8": {"destination": "x", "type": "tmpfs"}})
    )
    assert list(map(str, checks.warnings(spec, CAPS))) == [
        'process.capabilities.ambient[1]: "CAP_NEW" is unknown and left out',
        'mounts[8].destination: "x" is relative, / is assumed',
    ]
    assert list(map(str, checks.process_warnings(spec["process"], "", CAPS))) == [
        'capabilities.ambient[1]: "CAP_NEW" is unknown and left out'
    ]


def test_what_an_annotation_asks_of_crun_alone_is_a_warning() -> None:
    asked = {"run.oci.hooks.stdout": "/x", "run.oci.delegate-cgroup": "y", "run.oci.other": "", "x": ""}
    spec = load.load_value(config({"annotations": asked}))
    assert list(map(str, checks.warnings(spec, CAPS))) == [
        f'annotations["{key}"]: is an annotation of crun\'s and has no effect here'
        for key in ("run.oci.delegate-cgroup", "run.oci.hooks.stdout")
    ]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eno2/100.rp_filter", "net/ipv4/conf/eno2.100/rp_filter"),
        ("net/ipv4/conf/eno2.100/rp_filter", "net/ipv4/conf/eno2.100/rp_filter"),
        ("net", "net"),
    ],
)
def test_a_kernel_parameter_is_found_in_both_notations(name: str, file: str) -> None:
    assert sysctl.file(name) == file
