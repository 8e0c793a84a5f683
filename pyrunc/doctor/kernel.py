"""The kernel, and what it lets this user do."""

from __future__ import annotations

from pyrunc.doctor.finding import Finding
from pyrunc.doctor.machine import Machine, read
from pyrunc.errors import HostError
from pyrunc.host import libseccomp, seccomp
from pyrunc.plan.capabilities import CAPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Idmapped mounts and mount_setattr(2), which plans rely on, came with it.
OLDEST = (5, 12)

_NEEDED = ("mnt", "pid", "net", "ipc", "uts")
_WANTED = {"user": "CONFIG_USER_NS", "cgroup": "CONFIG_CGROUPS", "time": "CONFIG_TIME_NS"}

#: Capabilities that root may lack in a container or on a hosted machine -> what fails without them.
_LACKING = {
    "CAP_SYS_ADMIN": "no container can be made",
    "CAP_SYS_RESOURCE": "hard limits cannot be raised, nor oom_score_adj lowered",
    "CAP_MKNOD": "devices are bind mounts of the host's",
    "CAP_NET_ADMIN": "network devices cannot be moved or set up",
}


def version(machine: Machine) -> Iterator[Finding]:
    major, minor = machine.facts["kernel"]
    found = f"Linux {major}.{minor}, {machine.facts['machine']}"
    if (major, minor) >= OLDEST:
        yield Finding("kernel.version", "kernel", "ok", found)
    else:
        oldest = ".".join(map(str, OLDEST))
        yield Finding("kernel.version", "kernel", "problem", found, f"use Linux {oldest} or newer")


def namespaces(machine: Machine) -> Iterator[Finding]:
    known = machine.facts["namespaces"]
    missing = [name for name in _NEEDED if name not in known]
    lacking = [name for name in _WANTED if name not in known]
    found = "missing: " + ", ".join(missing + lacking) if missing or lacking else "all kinds"
    do = "use a kernel that is built with " + ", ".join(
        _WANTED.get(name, f"{name} namespaces") for name in missing + lacking
    )
    status = "problem" if missing else "warning" if lacking else "ok"
    yield Finding("kernel.namespaces", "namespaces", status, found, do if missing or lacking else "")  # type: ignore[arg-type]


def user_namespaces(machine: Machine) -> Iterator[Finding]:
    """Without root everything depends on them; with root only containers that ask for one."""
    closed = [
        (path.rpartition("/")[2], do)
        for path, value, do in (
            ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
            ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
            (
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
                "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give pyrunc a profile with userns",
            ),
        )
        if read(path) == value
    ]
    title = "user namespaces"
    if not closed:
        limit = read("/proc/sys/user/max_user_namespaces") or "unknown"
        yield Finding("kernel.user-namespaces", title, "ok", f"allowed, at most {limit}")
        return
    found = "switched off by " + ", ".join(name for name, _ in closed)
    only_users = closed[0][0] != "max_user_namespaces"
    status = "problem" if machine.facts["uid"] else "ok" if only_users else "warning"
    yield Finding("kernel.user-namespaces", title, status, found, "as root: " + "; ".join(do for _, do in closed))  # type: ignore[arg-type]


def capabilities(machine: Machine) -> Iterator[Finding]:
    if machine.facts["uid"]:
        return
    missing = [name for name in _LACKING if not machine.facts["caps"] >> CAPS[name] & 1]
    if not missing:
        yield Finding("kernel.capabilities", "capabilities of root", "ok", "those that containers need")
        return
    found = "; ".join(f"no {name}: {_LACKING[name]}" for name in missing)
    do = "run pyrunc where root has them; on a machine that is a container itself, its engine's --cap-add gives them"
    status = "problem" if "CAP_SYS_ADMIN" in missing else "warning"
    yield Finding("kernel.capabilities", "capabilities of root", status, found, do)  # type: ignore[arg-type]


def overlay(machine: Machine) -> Iterator[Finding]:  # noqa: ARG001
    known = [line.split()[-1] for line in (read("/proc/filesystems") or "").split("\n") if line]
    if "overlay" in known:
        yield Finding("kernel.overlay", "overlayfs", "ok", "there")
    else:
        found = "not in /proc/filesystems: no ephemeral rootfs and no copy-on-write directories until it is loaded"
        yield Finding("kernel.overlay", "overlayfs", "warning", found, "as root: modprobe overlay")


def filters(machine: Machine) -> Iterator[Finding]:
    """linux.seccomp needs the kernel's filters, and libseccomp to write them."""
    actions = read("/proc/sys/kernel/seccomp/actions_avail")
    if actions is None:
        do = "use a kernel that is built with CONFIG_SECCOMP_FILTER"
        yield Finding("seccomp.kernel", "seccomp in the kernel", "problem", "no filters", do)
    else:
        yield Finding("seccomp.kernel", "seccomp in the kernel", "ok", actions)
    try:
        path = seccomp.library(machine.facts["machine"])
        libseccomp.Library(path)
    except HostError as error:
        yield Finding("seccomp.library", "libseccomp", "problem", error.message, error.hint)
    else:
        yield Finding("seccomp.library", "libseccomp", "ok", path)


def modules(machine: Machine) -> Iterator[Finding]:
    """Security modules: which are there decides what process.apparmorProfile and selinuxLabel can be."""
    facts = machine.facts
    active = [name for name, on in (("AppArmor", facts["apparmor"]), ("SELinux", facts["selinux"])) if on]
    found = " and ".join(active) or "neither AppArmor nor SELinux: configs that ask for one of them are refused"
    if facts["selinux"] and read("/sys/fs/selinux/enforce") == "0":
        found += ", permissive"
    yield Finding("lsm", "security modules", "ok", found)


CHECKS = (version, namespaces, user_namespaces, capabilities, overlay, filters, modules)
