"""What a container of a pod sees under the handler pyrunc is what it sees under runc.

`look_same` fails on any difference that tests/callers/differences.py does not list.  What a test asserts beyond that is
that the wish had an effect at all.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.callers.cri import Pod, look_same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from tests.callers.cri import Cri
    from tests.callers.engine import Seen

    Both = tuple[Pod, Pod]

pytestmark = pytest.mark.needs(
    "root", "containerd", "ctr", "cni", "runc", "busybox", "nsenter", "unshare", "overlay", "cgroup1"
)

#: What a kubelet asks for unless procMount is Unmasked.
MASKED = ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]  # fmt: skip
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


@pytest.fixture(scope="module")
def pods(cri: Cri) -> Iterator[Both]:
    with Pod(cri, "runc") as theirs, Pod(cri, "pyrunc") as ours:
        yield theirs, ours


def security(pods: Both, **context: Any) -> Seen:
    """Both look, with a LinuxContainerSecurityContext."""
    return look_same(*pods, linux={"security_context": context})


def test_the_default(pods: Both) -> None:
    seen = look_same(*pods)
    assert seen.sections["hostname"] == ["box"]
    assert "HOSTNAME=box" in seen.sections["env"]


def test_what_a_kubelet_asks_for(pods: Both) -> None:
    limits = {"cpu_period": "100000", "cpu_quota": "20000", "cpu_shares": "102", "memory_limit_in_bytes": "33554432"}
    context = {"masked_paths": MASKED, "readonly_paths": READONLY, "seccomp": {"profile_type": "RuntimeDefault"}}
    seen = look_same(*pods, linux={"resources": {**limits, "oom_score_adj": "998"}, "security_context": context})
    assert seen.status("Seccomp") == "2"
    assert seen.sections["oom"] == ["998"]
    assert "memory/memory.limit_in_bytes 33554432" in seen.sections["cgroup-files"]
    assert any(line.startswith("/proc/acpi on=/proc ") for line in seen.sections["mountinfo"])


@pytest.mark.parametrize(
    ("context", "uid"),
    [
        ({"run_as_user": {"value": "1000"}}, "1000"),
        ({"run_as_user": {"value": "1234"}, "run_as_group": {"value": "50"}, "supplemental_groups": ["60"]}, "1234"),
        ({"run_as_username": "alice"}, "1000"),
    ],
    ids=["user", "group", "name"],
)
def test_the_user(pods: Both, context: dict[str, Any], uid: str) -> None:
    assert security(pods, **context).status("Uid").split()[0] == uid


def test_a_read_only_rootfs_without_new_privileges(pods: Both) -> None:
    seen = security(pods, readonly_rootfs=True, no_new_privs=True)
    assert "/" not in seen.sections["writable"]
    assert seen.status("NoNewPrivs") == "1"


def test_capabilities(pods: Both) -> None:
    wish = {"add_capabilities": ["NET_ADMIN"], "drop_capabilities": ["CHOWN"]}
    assert int(security(pods, capabilities=wish).status("CapEff"), 16) & 0x1001 == 0x1000
    none = security(pods, capabilities={"drop_capabilities": ["ALL"]})
    assert int(none.status("CapBnd"), 16) == 0


@pytest.mark.parametrize("kind", ["Unconfined", "Localhost"])
def test_a_seccomp_profile(pods: Both, tmp_path: Path, kind: str) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    (tmp_path / "profile.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    profile = {"profile_type": kind, **({"localhost_ref": f"{tmp_path}/profile.json"} if kind == "Localhost" else {})}
    assert security(pods, seccomp=profile).status("Seccomp") == ("2" if kind == "Localhost" else "0")


def test_a_privileged_pod(cri: Cri) -> None:
    with (
        Pod(cri, "runc", security={"privileged": True}) as theirs,
        Pod(cri, "pyrunc", security={"privileged": True}) as ours,
    ):
        seen = look_same(theirs, ours)
        assert len(seen.sections["dev"]) > 20
        assert " rw," in seen.mount("/sys")


def test_the_namespaces_of_the_node_look_alike(cri: Cri) -> None:
    node = {"network": "NODE", "pid": "NODE", "ipc": "NODE"}
    with Pod(cri, "runc", namespaces=node) as theirs, Pod(cri, "pyrunc", namespaces=node) as ours:
        look_same(theirs, ours)


def test_command_environment_and_directory(pods: Both) -> None:
    envs = [{"key": "A", "value": "b c"}, {"key": "EMPTY", "value": ""}, {"key": "HOME", "value": "/srv"}]
    seen = look_same(*pods, envs=envs, working_dir="/srv", annotations={"org.example/key": "value"})
    assert {"A=b c", "EMPTY=", "HOME=/srv"} <= set(seen.sections["env"])
    assert seen.sections["cwd"] == ["/srv"]


def test_mounts_and_devices(pods: Both, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text\n")
    (tmp_path / "link").symlink_to(tmp_path)
    mounts = [
        {"container_path": "/srv/data", "host_path": str(tmp_path)},
        {"container_path": "/srv/read-only", "host_path": f"{tmp_path}/link", "readonly": True},
        {"container_path": "/etc/hosts", "host_path": f"{tmp_path}/file"},
        {"container_path": "/dev/termination-log", "host_path": f"{tmp_path}/file"},
    ]
    devices = [{"container_path": "/dev/elsewhere", "host_path": "/dev/full", "permissions": "rw"}]
    seen = look_same(*pods, mounts=mounts, devices=devices)
    assert " ro," in seen.mount("/srv/read-only")
    assert any(line.startswith("elsewhere ") for line in seen.sections["dev"])
