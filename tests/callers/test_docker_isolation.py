"""Capabilities, seccomp, shared namespaces, devices and limits under docker, as with runc.

Each test runs one docker command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import IMAGE, SLEEP, running, sh, unique

if TYPE_CHECKING:
    from pathlib import Path

    from tests.callers.docker import Docker

pytestmark = pytest.mark.needs(
    "root", "dockerd", "docker", "containerd", "runc", "busybox", "nsenter", "unshare", "cgroup1"
)


@pytest.mark.parametrize(
    "options",
    [
        ["--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE", "--cap-drop", "CHOWN"],
        ["--cap-drop", "all", "--cap-add", "NET_BIND_SERVICE"],
        ["--user", "1000:50", "--cap-add", "NET_RAW", "--security-opt", "no-new-privileges"],
        ["--user", "12345:23456"],
    ],
    ids=" ".join,
)
def test_users_and_capabilities(docker: Docker, options: list[str]) -> None:
    seen = docker.looks_same(*options)
    assert seen.status("NoNewPrivs") == ("1" if "no-new-privileges" in options else "0")
    if "all" in options:
        assert int(seen.status("CapBnd"), 16) == 1 << 10


def test_without_seccomp(docker: Docker) -> None:
    assert docker.looks_same("--security-opt", "seccomp=unconfined").status("Seccomp") == "0"


def test_seccomp_answers_each_call_alike(docker: Docker, tmp_path: Path) -> None:
    calls = ["unshare -m true", "mount -t tmpfs t /tmp", "swapoff /x", "chroot / true", "unshare -U true"]
    script = sh("; ".join(f"{call} 2>&1; echo $?" for call in calls))
    assert "not permitted" in docker.same("--net=none", *script).out
    rule = {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    seen = docker.same("--net=none", "--security-opt", f"seccomp={path}", *script)
    assert "Operation not supported" in seen.out or "Not supported" in seen.out, seen


def test_unmasked_paths(docker: Docker) -> None:
    seen = docker.looks_same("--security-opt", "systempaths=unconfined")
    assert not any("/proc/acpi" in line for line in seen.sections["mountinfo"])


@pytest.mark.needs("cap_sys_resource")
def test_a_privileged_container_shows_the_same(docker: Docker) -> None:
    docker.looks_same("--privileged")


def test_a_privileged_container_has_what_the_daemon_has(docker: Docker) -> None:
    """Without CAP_SYS_RESOURCE, too, where runc refuses."""
    seen = docker.run(docker.runtime, "--privileged", "--net=none", IMAGE, "/bin/look")
    assert seen.code == 0, seen
    assert int(seen.status("CapEff"), 16) & (1 << 38) - 1 == docker.capabilities()
    assert seen.status("Seccomp") == "0"
    assert not any("/proc/acpi" in line for line in seen.sections["mountinfo"])


def test_limits_reach_the_cgroup_and_the_process(docker: Docker) -> None:
    options = ["-m", "64m", "--memory-swap", "128m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpu-shares"]
    options += ["512", "--cpuset-cpus", "0", "--pids-limit", "42", "--ulimit", "nofile=64:128", "--ulimit", "core=0"]
    seen = docker.looks_same(*options, "--ulimit", "nproc=77:88")
    files = set(seen.sections["cgroup-files"])
    assert {"pids/pids.max 42", "memory/memory.limit_in_bytes 67108864", "cpu/cpu.cfs_quota_us 50000"} <= files
    assert any(line.split()[3:5] == ["64", "128"] for line in seen.sections["limits"] if line.startswith("Max open"))


def test_devices_and_sysctls(docker: Docker) -> None:
    options = ["--device", "/dev/full:/dev/elsewhere:r", "--device", "/dev/null:/dev/deep/er/null:rwm"]
    options += ["--device-cgroup-rule", "c 42:* rm", "--sysctl", "kernel.msgmax=65536"]
    options += ["--sysctl", "net.ipv4.ip_forward=0", "--sysctl", "fs.mqueue.msg_max=20"]
    seen = docker.looks_same(*options)
    assert "devices/devices.list c 42:* rm" in seen.sections["cgroup-files"]
    assert "kernel/msgmax 65536" in seen.sections["sysctl"]
    assert any(line.startswith("elsewhere ") for line in seen.sections["dev"])


def test_a_refused_sysctl_is_told(docker: Docker) -> None:
    for runtime in (docker.reference, docker.runtime):
        seen = docker.run(runtime, "--net=none", "--sysctl", "kernel.msgmax=nonsense", *sh("true"))
        assert (seen.code, "msgmax" in seen.err, "invalid argument" in seen.err.lower()) == (125, True, True), seen


@pytest.mark.parametrize("which", ["pid", "net", "ipc", "uts", "cgroup"])
def test_a_namespace_of_the_host(docker: Docker, which: str) -> None:
    # with the host's UTS namespace, docker names the container after its id
    seen = docker.looks_same("-e", "HOSTNAME=box", f"--{which}{'ns' if which == 'cgroup' else ''}=host")
    host = docker.enclosure.run(["readlink", f"/proc/1/ns/{which}"]).stdout.decode().strip()
    assert f"{which} {host}" in seen.raw


@pytest.mark.parametrize("option", ["--cgroupns=private", "--ipc=none", "--ipc=shareable"])
def test_a_namespace_of_its_own(docker: Docker, option: str) -> None:
    docker.looks_same(option)


def test_the_namespaces_of_another_container(docker: Docker) -> None:
    for runtime in (docker.reference, docker.runtime):
        with running(docker, runtime, name := unique(), "--net=none", "--ipc=shareable", *SLEEP) as container:
            pid = container.inspect("{{.State.Pid}}")
            options = [f"--{kind}=container:{name}" for kind in ("pid", "net", "ipc")]
            seen = docker.run(runtime, *options, IMAGE, "/bin/look")
            assert seen.code == 0, seen
            for kind in ("pid", "net", "ipc"):
                theirs = docker.enclosure.run(["readlink", f"/proc/{pid}/ns/{kind}"]).stdout.decode().strip()
                assert f"{kind} {theirs}" in seen.raw
            assert "sleep 1000" in seen.sections["cmdline"][0]
