"""linux.devices, the default devices, the links in /dev, and the container's terminal.

runtime-spec config-linux.md "Devices", "Default Devices", "Dev symbolic links".
"""

from __future__ import annotations

from pyrunc.plan.capabilities import CAP_MKNOD
from pyrunc.plan.kernel import OPEN_TREE_CLONE, S_IFBLK, S_IFCHR, S_IFIFO
from pyrunc.plan.mount_options import parse
from pyrunc.plan.ops import CREATE_FILE
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder
    from pyrunc.spec.types import Device, Process

#: path -> (major, minor) of character devices, mode 0666
DEFAULTS = {
    "/dev/null": (1, 3),
    "/dev/zero": (1, 5),
    "/dev/full": (1, 7),
    "/dev/random": (1, 8),
    "/dev/urandom": (1, 9),
    "/dev/tty": (5, 0),
}

SYMLINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/core": "/proc/kcore",
    "/dev/ptmx": "pts/ptmx",
}

_TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}


def owns_dev(b: Builder) -> bool:
    """Whether /dev is the container's: with a /dev bound from elsewhere, its owner fills it (as runc)."""
    for mount in b.spec.get("mounts") or ():
        if normal(mount["destination"]) == "/dev":
            options = parse(mount.get("options") or ())
            if options.bind or mount.get("type") == "bind":
                return False
    return True


def populate(b: Builder) -> None:
    process = b.spec["process"]
    if owns_dev(b):
        listed: dict[str, tuple[str, Device]] = {}
        for index, device in enumerate((b.spec.get("linux") or {}).get("devices") or ()):
            listed[normal(device["path"])] = (f"linux.devices[{index}]", device)
        for path, (major, minor) in DEFAULTS.items():
            if path not in listed:
                _node(b, "linux.devices", path, S_IFCHR | 0o666, major, minor, 0, 0)
        # A ptmx of the host would open the host's ptys (devpts kernel documentation): the link it is, as in runc.
        listed.pop("/dev/ptmx", None)
        for path, (where, device) in listed.items():
            mode = _TYPES[device["type"]] | (device["fileMode"] & 0o7777 if "fileMode" in device else 0o666)
            major, minor = device.get("major", 0), device.get("minor", 0)
            _node(b, where, path, mode, major, minor, device.get("uid", 0), device.get("gid", 0))
        for path, to in SYMLINKS.items():
            b.on_container("linux.devices", "symlink", path, to)
    if process.get("terminal"):
        b.on_container("process.terminal", "open_pty", *terminal_size(b, process), 1, newline(b))


def terminal_size(b: Builder, process: Process) -> tuple[int, int]:
    """Rows and columns: those of the terminal that the pty is shown on, else the config's, else none."""
    if b.request["terminal_size"]:
        return b.request["terminal_size"]
    size = process.get("consoleSize")
    return (size["height"], size["width"]) if size else (0, 0)


def newline(b: Builder) -> int:
    """Whether the pty turns ``\\n`` into ``\\r\\n``: not for the caller's own terminal, which does that itself (as in
    runc; who listens on a console socket decides for itself)."""
    return int(not b.request["serves_terminal"])


def _node(b: Builder, where: str, path: str, mode: int, major: int, minor: int, uid: int, gid: int) -> None:
    fifo = mode & 0o170000 == S_IFIFO
    if fifo or (b.facts["initial_userns"] and "user" not in b.namespaces and b.facts["caps"] & CAP_MKNOD):
        b.on_container(where, "mknod", path, mode, major, minor, uid, gid)
        return
    # mknod(2) of devices is for the host's root alone: the host's node of that path stands in.
    source, place = b.slot(), b.slot()
    b.on_source(where, "open_tree", source, path, OPEN_TREE_CLONE)
    b.on_container(where, "target", place, path, CREATE_FILE, 0o600, 0, -1)
    b.on_container(where, "attach", source, place)
