"""What this host and user can do: fills ``plan.facts.HostFacts`` from procfs and sysfs.

Only reads of a few small files belong here, because every ``create`` pays for them.  What is slow or
rarely asked for (subordinate ids, of root) is not read.  Nothing here decides anything.
"""

from __future__ import annotations

import posix

from pyrunc.host import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.facts import CgroupFacts, HostFacts, KernelFacts

#: The mount that everybody means when a hierarchy is mounted more than once.
_USUAL = "/sys/fs/cgroup"
#: ioctl_ns(2).
_NS_GET_USERNS = 0xB701

#: What does not change while the kernel runs, and the last cgroup layout with the texts that it was read from.
_kernel: KernelFacts | None = None
_layout: tuple[str, str, CgroupFacts] | None = None


def facts() -> HostFacts:
    """Probe the host.  Costs a fraction of a millisecond; raises OSError when /proc is not a procfs."""
    global _kernel, _layout
    if _kernel is None:
        _kernel = _kernel_facts()
    uid, gid, caps, bounding = rights()
    mountinfo, membership = read("/proc/self/mountinfo"), read("/proc/self/cgroup")
    layout = _layout
    if layout is None or layout[:2] != (mountinfo, membership):
        _layout = layout = (mountinfo, membership, cgroup_facts(mountinfo, membership))
    initial = read("/proc/self/uid_map").split() == ["0", "0", "4294967295"]
    return {
        "uid": uid,
        "gid": gid,
        "caps": caps,
        "bounding": bounding,
        "initial_userns": initial,
        "subuids": subids("/etc/subuid", uid) if uid else (),
        "subgids": subids("/etc/subgid", uid) if uid else (),
        "cgroup": layout[2],
        "owns_mounts": initial or _owns_mounts(),
        "setgroups_denied": not initial and setgroups_denied("self"),
        "delegated": (uid != 0 or not initial) and _is_delegated(layout[2]),
        "systemd": None,
        **_kernel,
    }


def _owns_mounts() -> bool:
    """Whether the mount namespace belongs to this user namespace or to one in it (ioctl_ns(2) NS_GET_USERNS)."""
    import fcntl

    fd = posix.open("/proc/self/ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        posix.close(fcntl.ioctl(fd, _NS_GET_USERNS))
    except PermissionError:  # its owner is out of sight from here
        return False
    finally:
        posix.close(fd)
    return True


def setgroups_denied(pid: int | str) -> bool:
    """Whether the kernel refuses setgroups(2) in the user namespace of that process (user_namespaces(7))."""
    return read(f"/proc/{pid}/setgroups").strip() == "deny"


def _is_delegated(layout: CgroupFacts) -> bool:
    """cgroups(7) "Cgroups delegation": to move needs the right to write to the cgroup.procs above both cgroups."""
    above = beside(layout) if layout["mode"] == "v2" else ""
    return bool(above) and posix.access(above, posix.W_OK) and posix.access(above + "/cgroup.procs", posix.W_OK)


def beside(layout: CgroupFacts) -> str:
    """The directory of cgroup2 in which that of this process lies; of the top it is that itself."""
    mount, own = layout["mounts"][""].rstrip("/"), layout["own"][""]
    return mount if own == "/" else files.parent(mount + own)


def rights() -> tuple[int, int, int, int]:
    """Of this thread: effective uid and gid, and as bit sets the effective and the bounding capabilities."""
    status = read("/proc/thread-self/status")
    return posix.geteuid(), posix.getegid(), _hex_field(status, "CapEff:"), _hex_field(status, "CapBnd:")


def _kernel_facts() -> KernelFacts:
    uname = posix.uname()
    major, minor = uname.release.split("-")[0].split(".")[:2]
    return {
        "last_cap": int(read("/proc/sys/kernel/cap_last_cap")),
        "kernel": (int(major), int(minor)),
        "machine": uname.machine,
        "apparmor": _read_if_there("/sys/module/apparmor/parameters/enabled").startswith("Y"),
        "selinux": bool(_read_if_there("/sys/fs/selinux/enforce")),
        "namespaces": tuple(sorted(posix.listdir("/proc/self/ns"))),
    }


def read(path: str) -> str:
    """The text of a procfs or sysfs file."""
    fd = files.held(posix.open, path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        chunks = []
        while chunk := posix.read(fd, 65536):
            chunks.append(chunk)
    finally:
        posix.close(fd)
    return b"".join(chunks).decode("utf-8", "surrogateescape")


def lines(text: str) -> list[str]:
    """The lines of a table of the kernel.

    Not ``splitlines``: that ends a line at \\v, \\f and U+2028, too, and names that others choose may contain those.
    """
    return text.removesuffix("\n").split("\n") if text else []


def _read_if_there(path: str) -> str:
    try:
        return read(path)
    except FileNotFoundError:
        return ""


def _hex_field(status: str, name: str) -> int:
    start = status.index("\n" + name) + len(name) + 1  # the first line is the name that the program was given
    return int(status[start : status.index("\n", start)], 16)


def subids(path: str, uid: int) -> tuple[tuple[int, int], ...]:
    """The ranges that subuid(5) or subgid(5) gives to a user: ((first, count), …)."""
    import pwd

    owners = [str(uid)]
    try:
        owners.append(pwd.getpwuid(uid).pw_name)
    except KeyError:
        pass  # a user without a name may still own ranges by number
    ranges = []
    for line in lines(_read_if_there(path)):
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in owners and fields[1].isdigit() and fields[2].isdigit():
            ranges.append((int(fields[1]), int(fields[2])))
    return tuple(ranges)


def cgroup_facts(mountinfo: str, membership: str) -> CgroupFacts:
    """The cgroup layout, from the texts of /proc/self/mountinfo and /proc/self/cgroup (cgroups(7))."""
    paths: dict[str, str] = {}
    for line in lines(membership):
        number, controllers, path = line.split(":", 2)
        for controller in [""] if number == "0" else controllers.split(","):
            paths[controller] = path
    mounts: dict[str, str] = {}
    own: dict[str, str] = {}
    kinds = set()
    for point, root, kind, options in _cgroup_mounts(mountinfo):
        kinds.add(kind)
        for controller in [""] if kind == "cgroup2" else options.split(","):
            if controller not in paths:
                continue  # an option of the mount, such as rw
            if controller in mounts and not point.startswith(_USUAL):
                continue
            mounts[controller] = point
            own[controller] = _below(root, paths[controller])
    modes = {(): "none", ("cgroup",): "v1", ("cgroup2",): "v2", ("cgroup", "cgroup2"): "hybrid"}
    return {"mode": modes[tuple(sorted(kinds))], "mounts": mounts, "own": own}


def _cgroup_mounts(mountinfo: str) -> list[tuple[str, str, str, str]]:
    """(mount point, root, type, super options) of the cgroup mounts that a path look-up reaches."""
    found: list[tuple[str, str, str, str]] = []
    for line in lines(mountinfo):
        _, _, _, root, point, rest = line.split(" ", 5)
        if found:
            # A later mount at or above a mount point hides it.
            found = [mount for mount in found if not (mount[0] + "/").startswith(point.rstrip("/") + "/")]
        kind, _, options = rest.partition(" - ")[2].split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            found.append((unescape(point), unescape(root), kind, options))
    return found


def mount_points() -> list[str]:
    """Where something is mounted in our mount namespace, in the order of the table."""
    return [unescape(line.split(" ", 5)[4]) for line in lines(read("/proc/self/mountinfo"))]


def unescape(text: str) -> str:
    """Undo the octal escapes of mountinfo: space, tab, newline and backslash (proc_pid_mountinfo(5))."""
    first, *rest = text.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def _below(root: str, path: str) -> str:
    """A cgroup's path as the mount shows it.

    In a container without a cgroup namespace of its own the mount shows a part of the hierarchy only.
    A cgroup outside of that part cannot be reached through the mount; the top is what stands for it.
    """
    if root == "/":
        return path if not path.startswith("/..") else "/"
    if path == root or path.startswith(root + "/"):
        return path[len(root) :] or "/"
    return "/"
