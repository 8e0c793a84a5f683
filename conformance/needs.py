"""What a test needs from the machine and the user: each need is probed once, and one that is not met is a reason."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import cgroup, disks
from conformance.support.seccomp import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable


def _root() -> str:
    return "" if os.geteuid() == 0 else "it needs root"


def _user() -> str:
    return "it is for an ordinary user, and this is root" if os.geteuid() == 0 else ""


def _cgroup(version: int) -> Callable[[], str]:
    def probe() -> str:
        return "" if cgroup.version() == version else f"it is for cgroup v{version}, and this is v{cgroup.version()}"

    return probe


def _controller(name: str) -> Callable[[], str]:
    def probe() -> str:
        if os.geteuid():
            return "a cgroup's limits need root, or a delegation that the suite does not look for"
        return "" if name in cgroup.controllers() else f"there is no cgroup controller {name}"

    return probe


def _file(path: str) -> Callable[[], str]:
    def probe() -> str:
        return "" if os.path.exists(path) else f"there is no {path}"

    return probe


def _capability(name: str, number: int) -> Callable[[], str]:
    def probe() -> str:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:") and int(line.split()[1], 16) >> number & 1:
                return ""
        return f"it needs {name}"

    return probe


def _can(code: str, what: str) -> Callable[[], str]:
    """Run a line of Python in a process of its own, since it changes the process."""

    def probe() -> str:
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else f"{what}: {done.stderr.strip().splitlines()[-1:]}"

    return probe


def _without(probe: Callable[[], str], reason: str) -> Callable[[], str]:
    return lambda: "" if probe() else reason


def _policy(mode: int) -> Callable[[], str]:
    """Set for a process of its own, with node 0 (set_mempolicy(2) on x86-64 and elsewhere)."""
    number = {"x86_64": 238, "aarch64": 237, "riscv64": 237}.get(platform.machine(), 0)
    code = "import ctypes, os, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    code += f"if libc.syscall({number}, {mode}, ctypes.byref(ctypes.c_ulong(1)), 64):\n"
    code += "    sys.exit(os.strerror(ctypes.get_errno()))"
    return _can(code, f"the kernel has no memory policy {mode}")


def _veth() -> str:
    code = f"import ctypes, os, sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
    code += "from conformance.support import network\n"
    code += "if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):\n    sys.exit(os.strerror(ctypes.get_errno()))\n"
    return _can(code + "network.veth('a', 'b')", "there are no veth devices")()


def _swap_accounting() -> str:
    if cgroup.version() == 2:
        return _file("/proc/swaps")()
    there = "memory" in cgroup.hierarchies()
    return _file(str(cgroup.hierarchies()["memory"][0] / "memory.memsw.limit_in_bytes"))() if there else "no controller"


def _i386() -> str:
    if platform.machine() != "x86_64":
        return "it is for x86-64"
    code = "import ctypes, mmap\nplace = mmap.mmap(-1, 4096, prot=7)\n"
    code += "place.write(bytes.fromhex('5331dbb814000000cd805bc3'))\n"
    code += "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(place)))()"
    return _can(code, "the kernel has no calls of i386")()


def _unshare(flag: int, name: str) -> Callable[[], str]:
    code = f"import ctypes, os, sys\nlibc = ctypes.CDLL(None, use_errno=True)\nif libc.unshare({flag:#x}):\n"
    code += "    sys.exit(os.strerror(ctypes.get_errno()))"
    return _can(code, f"there are no {name} namespaces")


def _kernel(*wanted: int) -> Callable[[], str]:
    def probe() -> str:
        major, minor = (int(word) for word in re.findall(r"\d+", platform.release())[:2])
        return (
            "" if (major, minor) >= wanted else f"it needs Linux {wanted[0]}.{wanted[1]}, and this is {major}.{minor}"
        )

    return probe


#: Name -> a function that says why the need is not met, "" when it is.
PROBES: dict[str, Callable[[], str]] = {
    "root": _root,
    "user": _user,
    "cgroup1": _cgroup(1),
    "cgroup2": _cgroup(2),
    "userns": _unshare(0x10000000, "user"),
    "timens": _file("/proc/self/ns/time"),
    "cgroupns": _file("/proc/self/ns/cgroup"),
    "seccomp": _file("/proc/sys/kernel/seccomp/actions_avail"),
    "apparmor": _file("/sys/kernel/security/apparmor"),
    "selinux": _file("/sys/fs/selinux/enforce"),
    "no-selinux": lambda: "this kernel has SELinux" if os.path.exists("/sys/fs/selinux/enforce") else "",
    "resctrl": _file("/sys/fs/resctrl/schemata"),
    "no-resctrl": _without(_file("/sys/fs/resctrl/schemata"), "it is for a machine without resctrl"),
    "numa": _policy(2),
    "mpol_preferred_many": _policy(5),
    "mpol_weighted_interleave": _policy(6),
    "i386": _i386,
    "veth": _veth,
    "ipv6": _file("/proc/sys/net/ipv6"),
    "known-calls": lambda: "" if NUMBERS else f"the suite knows no numbers of calls for {platform.machine()}",
    "idmapped-tmpfs": _kernel(6, 3),
    "linux-5.7": _kernel(5, 7),
    "linux-5.14": _kernel(5, 14),
    "linux-5.15": _kernel(5, 15),
    "linux-5.16": _kernel(5, 16),
    "linux-5.19": _kernel(5, 19),
    "cgroups": lambda: "" if cgroup.hierarchies() else "no cgroups are mounted",
    "huge-pages": _file("/sys/kernel/mm/hugepages"),
    "swap-accounting": _swap_accounting,
    "disk": lambda: "" if disks.numbers() else "there is no disk in /sys/block",
    "two-disks": lambda: "" if len(disks.numbers()) > 1 else "there are no two disks in /sys/block",
    "mqueue": _file("/proc/sys/fs/mqueue"),
    "x86_64": lambda: "" if platform.machine() == "x86_64" else "it is for x86-64",
    "cap_sys_resource": _capability("CAP_SYS_RESOURCE", 24),
    "cap_mknod": _capability("CAP_MKNOD", 27),
    "cap_sys_nice": _capability("CAP_SYS_NICE", 23),
    "two-cpus": lambda: "" if len(os.sched_getaffinity(0)) > 1 else "it needs two processors",
    **{
        f"controller-{name}": _controller(name)
        for name in (
            "cpu",
            "cpuset",
            "memory",
            "pids",
            "io",
            "blkio",
            "hugetlb",
            "rdma",
            "net_cls",
            "net_prio",
            "devices",
        )
    },
}


@cache
def unmet(name: str) -> str:
    """Why the need is not met here, "" when it is.  ValueError for one that has no probe."""
    if name not in PROBES:
        raise ValueError(f"unknown need {name!r}; known: {', '.join(sorted(PROBES))}")
    return PROBES[name]()
