"""Refusals of the kernel and of the plan, in the words of who asked for a sandbox."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from pyrunc.errors import HostError, OpFailed, SpecError, Violation
from pyrunc.host import probe
from pyrunc.sandbox import arguments, refusal

ROOTLESS: Any = {"linux": {"namespaces": [{"type": "pid"}, {"type": "user"}]}}
ROOT: Any = {"linux": {"namespaces": [{"type": "pid"}]}}


CONFIG: Any = {
    **ROOT,
    "mounts": [{"destination": "/proc"}, {"destination": "/in/file"}, {"destination": "/in/other"}],
    "process": {"rlimits": [{"type": "RLIMIT_CORE"}, {"type": "RLIMIT_NOFILE"}]},
}
WANTED = arguments.read(
    files={"/h/file": "/in/file", "/h/copy": ("/in/copy", "cow")},
    mounts={"/h/d": ("/in/d", "cow")},
    memory="1m",
    pids=7,
)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("linux.resources.memory.limit", "memory (linux.resources.memory.limit)"),
        ("linux.cgroupsPath", "memory, pids (linux.cgroupsPath)"),
        ("process.rlimits[1]", 'rlimits["nofile"] (process.rlimits[1])'),
        ("mounts[0]", "mounts[0]"),
        ("mounts[1].destination", 'files["/h/file"] (mounts[1].destination)'),
        ("mounts[2]", "mounts[2]"),
        ('annotations["io.pyrunc.tmp"]', 'tmp (annotations["io.pyrunc.tmp"])'),
        ('annotations["io.pyrunc.workspace"]', 'workspace (annotations["io.pyrunc.workspace"])'),
        ('annotations["io.pyrunc.rootfs"]', 'rootfs (annotations["io.pyrunc.rootfs"])'),
        ('annotations["io.pyrunc.cow"]', 'files["/h/copy"], mounts["/h/d"] (annotations["io.pyrunc.cow"])'),
        ("hostname", "hostname"),
        ("linux.seccomp", "linux.seccomp"),
    ],
)
def test_the_argument_stands_in_front_of_the_config_path(where: str, said: str) -> None:
    assert str(refusal.told(OpFailed("no", op="open_tree", where=where), WANTED, CONFIG)) == f"{said}: no"
    assert str(refusal.told(SpecError([Violation(where, "no")]), WANTED, CONFIG)) == f"{said}: no"


def test_of_all_copies_the_one_that_the_error_is_about_is_named() -> None:
    error = OpFailed("open /h/copy: no", op="copy_file", where='annotations["io.pyrunc.cow"]')
    assert refusal.told(error, WANTED, CONFIG).where.startswith('files["/h/copy"] (')


def test_limits_that_nobody_has_asked_for_are_all_named() -> None:
    error = OpFailed("no", op="cgroup_write", where="linux.cgroupsPath")
    assert refusal.told(error, arguments.read(), CONFIG).where == "memory, pids, cpus (linux.cgroupsPath)"


def test_the_runtime_root_and_the_cgroup_manager_are_named() -> None:
    error = refusal.of_host(HostError("no", where="/r/.host-rootfs", hint="run as root, or give --root DIR"), "/r")
    assert str(error) == "root (/r/.host-rootfs): no (run as root, or give root=DIR)"
    assert refusal.of_host(HostError("no", where="/rx"), "/r").where == "/rx"
    error = refusal.of_host(HostError("no", where="systemd", hint="use --cgroup-manager cgroupfs"), "/r")
    assert str(error) == 'cgroup_manager (systemd): no (use cgroup_manager="cgroupfs")'


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"user/max_user_namespaces": "0\n"}, "user.max_user_namespaces is 0"),
        ({"kernel/unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone is 0"),
        ({"kernel/apparmor_restrict_unprivileged_userns": "1"}, "apparmor_restrict_unprivileged_userns is 1"),
        ({"user/max_user_namespaces": "1000"}, "hint of the op"),
    ],
)
def test_a_host_without_user_namespaces_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], text: str
) -> None:
    def read(path: str) -> str:
        try:
            return settings[path.removeprefix("/proc/sys/")]
        except KeyError:
            raise FileNotFoundError(path) from None

    monkeypatch.setattr(probe, "read", read)

    def refused() -> OpFailed:
        return OpFailed("clone3", op="clone", errno=errno.EPERM, where="linux.namespaces", hint="hint of the op")

    assert text in str(refusal.told(refused(), WANTED, ROOTLESS))
    assert "hint of the op" in str(refusal.told(refused(), WANTED, ROOT))
