"""What a machine must have for a test: each name's probe, run at most once.

A probe returns "" when the requirement is met, else the reason for the skip.  Tests say what they need by the marker
``needs``, fixtures by ``demand``.  Nothing else lives here.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import compilers, mount_table, programs

if TYPE_CHECKING:
    from collections.abc import Callable

    Probe = Callable[[], str]


def _program(name: str) -> Probe:
    return lambda: "" if shutil.which(name, path=programs.PATH) else f"{name} is not installed"


def _in_usr(name: str) -> Probe:
    """What sandboxes of tests have, too: they see the host's /usr."""

    def probe() -> str:
        found = shutil.which(name, path=programs.PATH)
        return "" if found and os.path.realpath(found).startswith("/usr/") else f"{name} is not installed in /usr"

    return probe


def _file(path: str, what: str) -> Probe:
    return lambda: "" if Path(path).exists() else what


def _no_file(path: str, what: str) -> Probe:
    return lambda: what if Path(path).exists() else ""


def _root() -> str:
    return "" if os.geteuid() == 0 else "needs root"


def _user() -> str:
    return "" if os.geteuid() != 0 else "needs an ordinary user"


def _unshare(*options: str) -> Probe:
    def probe() -> str:
        done = subprocess.run(
            ["unshare", *options, "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
        )
        return "" if done.returncode == 0 else f"unshare {' '.join(options)}: {done.stderr.strip()}"

    return probe


def _capability(name: str, number: int) -> Probe:
    def probe() -> str:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                return "" if int(line.split()[1], 16) >> number & 1 else f"{name} is missing"
        return "/proc/self/status has no CapEff"

    return probe


def cgroup_mounts() -> dict[str, str]:
    """Mount point of each v1 controller, and of cgroup2 under the name ``""``."""
    found: dict[str, str] = {}
    for line in mount_table.lines():
        front, _, back = line.rpartition(" - ")
        point = front.split(" ")[4]
        kind, _, options = back.split(" ")[:3]
        if kind == "cgroup2":
            found.setdefault("", point)
        elif kind == "cgroup":
            for option in options.split(","):
                found.setdefault(option, point)
    return found


def _cgroup1() -> str:
    return "" if "memory" in cgroup_mounts() else "cgroup v1 controllers are not mounted"


def _cgroup2() -> str:
    point = cgroup_mounts().get("")
    if point is None:
        return "cgroup2 is not mounted"
    controllers = Path(point, "cgroup.controllers").read_text().split()
    return "" if "memory" in controllers else "cgroup2 has no memory controller here"


def _hugetlb() -> str:
    """With v1, the one controller that may be left to cgroup2."""
    mounts = cgroup_mounts()
    found = "hugetlb" not in mounts and "" in mounts
    controllers = Path(mounts[""], "cgroup.controllers").read_text().split() if found else []
    return "" if "hugetlb" in controllers else "there is no cgroup2 with hugetlb here"


def _memory() -> str:
    return "" if not _cgroup1() or not _cgroup2() else "no cgroup hierarchy has a memory controller here"


def _cgroup2_bare() -> str:
    return "" if "" in cgroup_mounts() else "cgroup2 is not mounted"


def _guest() -> str:
    return "" if Path("/etc/pyrunc-guest").exists() else "runs in the virtual machine alone: ./dev vm"


def _vm() -> str:
    for name in ("qemu-system-x86_64", "debootstrap", "mke2fs", "ssh", "ssh-keygen", "git"):
        if not shutil.which(name, path=programs.PATH):
            return f"{name} is not installed"
    return _x86_64() or _root()


def _overlay() -> str:
    filesystems = Path("/proc/filesystems").read_text().split()
    return "" if "overlay" in filesystems else "the kernel has no overlayfs (or has not loaded it)"


def _pidfd() -> str:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return f"pidfd_open: {error.strerror}"
    return ""


def _libseccomp() -> str:
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return "libseccomp.so.2 is not installed"
    return ""


def _python_for_all() -> str:
    """The interpreter may lie in somebody's own directory."""
    if os.geteuid() != 0:
        return ""
    words = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--inh-caps=-all", "--"]
    done = subprocess.run(
        [*words, sys.executable, "-c", ""], stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True
    )
    return "" if done.returncode == 0 else f"an ordinary user cannot run {sys.executable}"


def _seccomp() -> str:
    return "" if Path("/proc/sys/kernel/seccomp/actions_avail").exists() else "the kernel has no seccomp filters"


def _idmapped_mounts() -> str:
    """Idmapped mounts need 5.12 and a file system that allows them: tried on the temporary directory."""
    with tempfile.TemporaryDirectory(prefix="pyrunc-needs-") as folder:
        done = subprocess.run(
            [programs.static("idmap_probe"), folder],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
        )
        return "" if done.returncode == 0 else f"idmapped mount of {folder}: {done.stderr.strip()}"


def _busybox() -> str:
    return "" if programs.busybox() else "no static busybox (package busybox-static)"


def _static() -> str:
    return "" if compilers.static() else "no C compiler that links statically"


def _subids() -> str:
    for name in ("newuidmap", "newgidmap"):
        if not shutil.which(name, path=programs.PATH):
            return f"{name} is not installed (package uidmap)"
    return ""


def _processors() -> str:
    return "" if len(os.sched_getaffinity(0)) > 1 else "this machine has one processor"


def _block_device() -> str:
    return "" if any(Path("/sys/block").iterdir()) else "this machine has no block device"


def _user_xattrs() -> str:
    with tempfile.TemporaryDirectory(prefix="pyrunc-needs-") as folder:
        try:
            os.setxattr(folder, "user.needs", b"1")
        except OSError as error:
            return f"no user.* attributes in the temporary directory: {error.strerror}"
    return ""


def _x86_64() -> str:
    return "" if platform.machine() == "x86_64" else "needs x86-64"


PROBES: dict[str, Probe] = {
    "root": _root,
    "user": _user,
    "userns": _unshare("--user", "--map-root-user"),
    "netns": _unshare("--user", "--map-root-user", "--net"),
    "timens": _unshare("--user", "--map-root-user", "--time", "--fork"),
    "cgroupns": _unshare("--user", "--map-root-user", "--cgroup"),
    "cap_sys_resource": _capability("CAP_SYS_RESOURCE", 24),
    "cap_mknod": _capability("CAP_MKNOD", 27),
    "cgroup1": _cgroup1,
    "cgroup2": _cgroup2,
    "memory": _memory,
    "cgroup2-bare": _cgroup2_bare,
    "overlay": _overlay,
    "idmap": _idmapped_mounts,
    "pidfd": _pidfd,
    "seccomp": _seccomp,
    "libseccomp": _libseccomp,
    "static": _static,
    "busybox": _busybox,
    "subids": _subids,
    "python-for-all": _python_for_all,
    "psi": _file("/proc/pressure", "the kernel has no PSI"),
    "x86_64": _x86_64,
    "guest": _guest,
    "vm": _vm,
    "apparmor": _file("/sys/kernel/security/apparmor", "the kernel runs no AppArmor"),
    "selinux": _file("/sys/fs/selinux/enforce", "the kernel runs no SELinux"),
    "no-apparmor": _no_file("/sys/kernel/security/apparmor", "the kernel runs AppArmor"),
    "no-selinux": _no_file("/sys/fs/selinux/enforce", "the kernel runs SELinux"),
    "fuse": _file("/dev/fuse", "there is no /dev/fuse"),
    "loop": _file("/dev/loop-control", "there is no /dev/loop-control"),
    "hugetlb": _hugetlb,
    "processors": _processors,
    "block-device": _block_device,
    "user-xattrs": _user_xattrs,
    "seccomp-profile": _file("/usr/share/containers/seccomp.json", "the engines' seccomp profile is not installed"),
    "cni": _file("/usr/lib/cni/bridge", "the CNI plugins are not installed (package containernetworking-plugins)"),
    "quadlet": _file("/usr/libexec/podman/quadlet", "podman has no quadlet, which came with 4.4"),
    "node": _in_usr("node"),
    "java": _in_usr("java"),
    **{
        name: _program(name)
        for name in (
            "podman", "conmon", "runc", "crun", "buildah", "containerd", "ctr", "dockerd", "docker", "docker-init",
            "criu", "bwrap", "strace", "gcc", "clang", "netavark", "aardvark-dns", "iptables", "setpriv", "unshare",
            "nsenter", "newuidmap", "skopeo", "umoci", "catatonit", "systemd-run", "ip", "ps", "git", "make",
            "mkfs.ext4", "bash", "zsh", "fish", "mandoc", "groff", "man",
        )
    },
}  # fmt: skip

#: Requirements that are facts about a kind of machine -> where they are met.  PYRUNC_REQUIRE=all asks for them only on
#: the kind that is known to have them, the guest of ``./dev vm``: elsewhere their tests are skipped, and say where they
#: run.
KINDS = {
    "user": "any login but root; ./dev vm has a suite of such tests",
    "guest": "./dev vm",
    "cgroup1": "a machine that was booted with cgroup v1",
    "cgroup2": "./dev vm",
    "hugetlb": "a machine that was booted with cgroup v1 without hugetlb, and ./dev vm",
    "cap_sys_resource": "any root that was given it",
    "apparmor": "a kernel that runs it",
    "selinux": "a kernel that runs it",
    "no-apparmor": "a kernel that runs none",
    "no-selinux": "a kernel that runs none",
    "fuse": "a machine with the device",
    "loop": "a machine with the device",
    "processors": "a machine with two",
    "block-device": "a machine with a disk",
    "user-xattrs": "Linux 6.6, or another file system",
    "x86_64": "x86-64",
    "quadlet": "./dev vm --suite quadlet",
    "node": "a machine with Node.js",
    "java": "a machine with Java",
}
#: Those that the guest has.
GUEST = frozenset({"guest", "cgroup2", "no-selinux", "processors", "block-device", "x86_64"})


@cache
def unmet(name: str) -> str:
    """Why ``name`` is not met on this machine, "" if it is; ValueError for a name that has no probe."""
    if name not in PROBES:
        raise ValueError(f"unknown requirement {name!r}; known: {', '.join(sorted(PROBES))}")
    return PROBES[name]()


def required(name: str) -> bool:
    """Does PYRUNC_REQUIRE (``all``, or names separated by commas) turn an unmet ``name`` into a failure?"""
    wanted = os.environ.get("PYRUNC_REQUIRE", "").replace(",", " ").split()
    of_all = name not in KINDS or (name in GUEST and not unmet("guest"))
    return name in wanted or ("all" in wanted and of_all)


def demand(*names: str) -> None:
    """Skip the test visibly, or fail it where PYRUNC_REQUIRE says so, when a requirement is not met."""
    for name in names:
        reason = unmet(name)
        if reason and required(name):
            pytest.fail(f"needs {name}: {reason} (PYRUNC_REQUIRE)", pytrace=False)
        if reason:
            where = f"; met by: {KINDS[name]}" if name in KINDS else ""
            pytest.skip(f"needs {name}: {reason}{where}")
