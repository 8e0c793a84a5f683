"""Devices, sysctls and cgroup limits under podman, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import sh

if TYPE_CHECKING:
    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")


@pytest.mark.parametrize(
    "device",
    [
        "/dev/full",
        pytest.param("/dev/loop-control:/dev/elsewhere:r", marks=pytest.mark.needs("loop")),
        "/dev/null:/dev/deep/er/null:rwm",
    ],
)
def test_a_device(podman: Podman, device: str) -> None:
    podman.looks_same("--device", device)


@pytest.mark.parametrize(
    "sysctl",
    ["kernel.msgmax=65536", "kernel.shmmax=1048576", "fs.mqueue.msg_max=20", "net.ipv4.ip_forward=1"],
)
def test_a_sysctl(podman: Podman, sysctl: str) -> None:
    name, value = sysctl.split("=")
    assert f"{name.replace('.', '/')} {value}" in podman.looks_same("--sysctl", sysctl).sections["sysctl"]


def test_a_privileged_container(podman: Podman) -> None:
    seen = podman.looks_same("--privileged")
    assert seen.status("Seccomp") == "0"
    assert not any("/proc/acpi" in line for line in seen.sections["mountinfo"])


# Limits


def test_a_limit_of_processes(podman: Podman) -> None:
    assert "pids/pids.max 42" in podman.looks_same("--pids-limit", "42").sections["cgroup-files"]


def test_a_limit_of_memory(podman: Podman) -> None:
    assert "memory/memory.limit_in_bytes 33554432" in podman.looks_same("-m", "32m").sections["cgroup-files"]


@pytest.mark.parametrize(
    "options",
    [
        ["-m", "64m", "--memory-swap", "128m"],
        ["-m", "64m", "--memory-reservation", "32m"],
        ["--cpus", "0.5"],
        ["--cpu-shares", "512"],
        ["--cpu-period", "50000", "--cpu-quota", "25000"],
        ["--cpuset-cpus", "0"],
    ],
    ids=" ".join,
)
def test_other_limits(podman: Podman, options: list[str]) -> None:
    podman.looks_same(*options)


def test_a_container_that_needs_more_memory_is_killed(podman: Podman) -> None:
    seen = podman.same("-m", "16m", "--memory-swap", "16m", *sh("x=$(yes abcdefgh | head -c 100000000); echo $?"))
    assert seen.code == 137 or "137" in seen.out
