"""The cgroup layout, who manages it, and which limits can be set."""

from __future__ import annotations

from pyrunc.doctor.finding import Finding
from pyrunc.doctor.machine import Machine, read
from pyrunc.errors import HostError, PyruncError
from pyrunc.host import files
from pyrunc.host.cgroups import controllers as cgroup2
from pyrunc.host.systemd import reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DELEGATE = (
    "as root: mkdir -p /etc/systemd/system/user@.service.d; "
    "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' >/etc/systemd/system/user@.service.d/delegate.conf; "
    "systemctl daemon-reload; then log in again"
)


def layout(machine: Machine) -> Iterator[Finding]:
    cgroup = machine.facts["cgroup"]
    names = {"v1": "v1", "hybrid": "v1 with cgroup2 beside it (hybrid)", "v2": "v2"}
    if cgroup["mode"] == "none":
        do = "as root: mount -t cgroup2 none /sys/fs/cgroup; or use --cgroup-manager disabled"
        yield Finding("cgroup.layout", "cgroups", "problem", "not mounted", do)
        return
    point = cgroup["mounts"].get("", next(iter(cgroup["mounts"].values()), ""))
    yield Finding("cgroup.layout", "cgroups", "ok", f"{names[cgroup['mode']]}, {point}")
    yield _controllers(machine)


def _controllers(machine: Machine) -> Finding:
    """Which limits containers of this user can have."""
    v2 = machine.facts["cgroup"]["mode"] == "v2"
    wanted = ("cpu", "cpuset", "io" if v2 else "blkio", "memory", "pids")
    usable = [name for name in wanted if _usable(machine, name)]
    missing = [name for name in wanted if name not in usable]
    found = f"can be limited: {', '.join(usable) or 'nothing'}"
    title = "controllers"
    if not missing:
        return Finding("cgroup.controllers", title, "ok", found)
    found += f"; not: {', '.join(missing)}"
    if not machine.rootless:
        do = "boot with cgroup_enable=memory" if missing == ["memory"] else "use a kernel with these controllers"
    elif v2:
        do = _DELEGATE if machine.systemd else "as root: give a cgroup with these controllers to this user"
    else:
        do = "limits without root need cgroup v2: boot with systemd.unified_cgroup_hierarchy=1"
    return Finding("cgroup.controllers", title, "warning", found, do)


def _usable(machine: Machine, name: str) -> bool:
    cgroup = machine.facts["cgroup"]
    if cgroup["mode"] != "v2":
        point = cgroup["mounts"].get(name)
        return point is not None and (not machine.rootless or _writable(point + cgroup["own"][name]))
    point = cgroup["mounts"][""]
    if not machine.rootless:
        return name in (read(point + "/cgroup.controllers") or "").split()
    own = (point + cgroup["own"][""]).rstrip("/")
    return own != point and cgroup2.obtainable(files.parent(own), point, name)


def _writable(path: str) -> bool:
    import os

    return os.access(path, os.W_OK)


def systemd(machine: Machine) -> Iterator[Finding]:
    """Whether --systemd-cgroup, podman's default where systemd runs, will find its systemd."""
    if not machine.systemd:
        yield Finding(
            "cgroup.systemd", "systemd", "ok", "does not run here: engines must manage cgroups themselves (cgroupfs)"
        )
        return
    try:
        facts = reach.facts(rootless=machine.rootless)
    except HostError as error:
        yield Finding("cgroup.systemd", "systemd", "warning", error.message, error.hint)
    except PyruncError as error:
        yield Finding("cgroup.systemd", "systemd", "unknown", str(error))
    else:
        whose = "of this user" if facts["user"] else "of the system"
        yield Finding("cgroup.systemd", "systemd", "ok", f"{facts['version']}, {whose}, by {facts['socket']}")


CHECKS = (layout, systemd)
