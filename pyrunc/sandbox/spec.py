"""From arguments to an OCI config: pure, and always the same for the same arguments and base.

Private state is asked for by the ``io.pyrunc.*`` annotations; everything else is plain OCI that any runtime runs.
``build`` makes the config of a box, ``process`` what one run of a program in it is.
"""

from __future__ import annotations

from pyrunc.sandbox import arguments as args
from pyrunc.sandbox import profile, values
from pyrunc.sandbox.problems import Problems
from pyrunc.spec.isolation import COW, ROOTFS, TMP, WORKSPACE
from pyrunc.spec.mount_checks import normal
from pyrunc.spec.template import MASKED, READONLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrunc.sandbox.arguments import Arguments, Path
    from pyrunc.sandbox.base import Base
    from pyrunc.spec.types import IDMapping, Linux, Mount, Process, Resources, Rlimit, Spec

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: The oldest version that has all that is used here: older runtimes refuse newer ones.
OCI_VERSION = "1.0.2"
#: Size of an overlay that takes nothing but mount points.
POINTS_SIZE = "1m"
#: userns=True: where the box's ids are on the host, behind the range that systemd gives to containers, and how many.
FIRST_ID, IDS = 0x70000000, 65536
_NAMESPACES = ("pid", "ipc", "uts", "mount", "cgroup")
_UMASK = 0o022
#: What is masked beside what the default config masks: how busy the host is, with a file to be woken by that (PSI).
_MASKED = ("/proc/pressure",)
#: The group that terminals belong to; a user namespace of one user does not have it.
TTY = 5
#: A box's pseudo terminals: the kernel has a number of them for all (kernel.pty.max, 4096).
_TERMINALS = 256
#: What can be gone through, but is no list of words in an order.
_NO_LISTS = (str, bytes, bytearray, dict, set, frozenset)
#: Both limits, for every program, as far as this process may have that much itself.
RLIMITS = {
    "RLIMIT_NOFILE": 1024,
    # core(5): 0 does not keep a program that core_pattern names from being run on the host; 1 does.
    "RLIMIT_CORE": 1,
    # What the kernel counts by user: root's boxes share theirs with one another, and with that user of the host.
    "RLIMIT_SIGPENDING": 1024,
    "RLIMIT_MSGQUEUE": 256 << 10,
}


def build(arguments: Arguments, base: Base, *, uid: int, gid: int) -> Spec:
    """The config of a box for the caller uid:gid; its process is a placeholder.

    Raises UsageError for what this caller cannot have.  For reading only: parts of it are shared by all boxes.
    """
    _check_ids(arguments, base)
    spec: Spec = {
        "ociVersion": OCI_VERSION,
        "process": _process(arguments, base),
        "root": {"path": base.rootfs, "readonly": arguments.writable is None},
        "hostname": arguments.hostname,
        "mounts": _mounts(arguments, base),
        "linux": _linux(arguments, base, uid, gid),
    }
    annotations = _annotations(arguments, base)
    if annotations:
        spec["annotations"] = annotations
    return spec


def process(
    spec: Spec,
    argv: Sequence[Path],
    *,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    user: int | str | tuple[int, int] | None = None,
) -> Process:
    """One run in the box of ``spec``: its own process with another program, and with what else is given.

    ``env`` is added to the box's variables; None takes one away.  UsageError with a line for each wrong argument.
    """
    problems = Problems()
    task: Process = {**spec["process"]}
    words = [] if isinstance(argv, _NO_LISTS) or not hasattr(argv, "__iter__") else list(argv)
    if words:
        task["args"] = [problems.take(f"argv[{at}]", word, _word, "") for at, word in enumerate(words)]
    else:
        problems.add("argv", argv, "expected a list: the program and its arguments")
    if env:
        task["env"] = merge(spec["process"].get("env") or (), args.environment(problems, env))
    if cwd is not None:
        task["cwd"] = problems.take("cwd", cwd, values.box_path, "/")
    if user is not None:
        ids = problems.take("user", user, values.user, (0, 0))
        if not _are_mapped(spec, ids):
            problems.add("user", user, "is not mapped in the user namespace of the box")
        task["user"] = {"uid": ids[0], "gid": ids[1], "umask": _UMASK}
    problems.finish()
    return task


def _word(value: object) -> str:
    """An argument of a program: a str, which may be empty, or a path object."""
    return values.text(value) if isinstance(value, str) else values.host_path(value)


def merge(entries: Sequence[str], changes: Mapping[str, str | None]) -> list[str]:
    """``NAME=value`` entries with changes applied: replaced in place, added at the end, or left out."""
    found = {entry.partition("=")[0]: entry for entry in entries}
    for name, value in changes.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = f"{name}={value}"
    return list(found.values())


def _check_ids(arguments: Arguments, base: Base) -> None:
    problems = Problems()
    if arguments.userns and base.alone:
        reason = "needs root; the box of an ordinary user has a user namespace of one user anyway"
        problems.add("userns", True, reason)
    elif arguments.userns and max(arguments.uid, arguments.gid) >= IDS:
        problems.add("user", f"{arguments.uid}:{arguments.gid}", f"with userns=True, ids go up to {IDS - 1}")
    problems.finish()


def _are_mapped(spec: Spec, ids: tuple[int, int]) -> bool:
    linux = spec["linux"]
    for wanted, mappings in zip(ids, (linux.get("uidMappings"), linux.get("gidMappings")), strict=True):
        if mappings and not any(0 <= wanted - one["containerID"] < one["size"] for one in mappings):
            return False
    return True


def _process(arguments: Arguments, base: Base) -> Process:
    workspace = arguments.workspace[0] if arguments.workspace else None
    defaults = {"PATH": PATH, "HOME": workspace or "/tmp", "LANG": "C.UTF-8"}
    env = [f"{name}={value}" for name, value in defaults.items()]
    env = merge(env, dict(entry.split("=", 1) for entry in base.env if "=" in entry))
    limits = {name: _rlimit(name, value, base) for name, value in RLIMITS.items()}
    if "pids" in arguments.defaults - base.controllers and base.processes_apart and (base.alone or arguments.userns):
        limits["RLIMIT_NPROC"] = _rlimit("RLIMIT_NPROC", args.DEFAULT_PIDS, base)
    limits.update((limit["type"], limit) for limit in arguments.rlimits)
    return {
        "user": {"uid": arguments.uid, "gid": arguments.gid, "umask": _UMASK},
        "args": ["/bin/sh"],
        "env": merge(env, arguments.env),
        "cwd": arguments.cwd or workspace or base.cwd,
        "capabilities": {"bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": []},
        "rlimits": [{**limit} for limit in limits.values()],
        "noNewPrivileges": True,
    }


def _rlimit(name: str, value: int, base: Base) -> Rlimit:
    value = min(value, base.ceilings.get(name, value))
    return {"type": name, "soft": value, "hard": value}


def _mounts(arguments: Arguments, base: Base) -> list[Mount]:
    """The box's own, then what the rootfs brings without what a share replaces, then the shares."""
    replaced = {share.destination for share in arguments.shares}
    if arguments.tmp is not None:
        replaced.add("/tmp")  # a mount of the config would lie above the private one
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            # Read-only when the nodes are there.  Not nodev, and a few pages are enough for directories and links.
            "options": ["nosuid", "noexec", "mode=755", "size=64k", "nr_inodes=1024", "ro"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": [
                *("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", f"max={_TERMINALS}"),
                *(() if base.alone else (f"gid={TTY}",)),
            ],
        },
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=64m", "nr_inodes=16384"],
        },
        {
            "destination": "/dev/mqueue",
            "type": "mqueue",
            "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"],
        },
        *[mount for mount in base.mounts if normal(mount["destination"]) not in replaced],
        *[share.mount() for share in arguments.shares],
    ]


def _linux(arguments: Arguments, base: Base, uid: int, gid: int) -> Linux:
    namespaces = [*_NAMESPACES, *(() if arguments.network else ("network",))]
    linux: Linux = {
        "maskedPaths": [*MASKED, *_MASKED],
        "readonlyPaths": list(READONLY),
        "seccomp": profile.default(debug=arguments.debug),
    }
    mappings = _mappings(arguments, base, uid, gid)
    if mappings:
        namespaces.append("user")
        linux["uidMappings"], linux["gidMappings"] = mappings
    linux["namespaces"] = [{"type": kind} for kind in namespaces]
    resources = _resources(arguments, base)
    if resources:
        linux["resources"] = resources
    return linux


def _mappings(arguments: Arguments, base: Base, uid: int, gid: int) -> tuple[list[IDMapping], list[IDMapping]] | None:
    """user_namespaces(7): without privilege, the caller may map nobody but itself, as whomever it likes."""
    if base.alone:
        return (
            [{"containerID": arguments.uid, "hostID": uid, "size": 1}],
            [{"containerID": arguments.gid, "hostID": gid, "size": 1}],
        )
    if arguments.userns:
        whole: IDMapping = {"containerID": 0, "hostID": FIRST_ID, "size": IDS}
        return [whole], [{**whole}]
    return None


def _resources(arguments: Arguments, base: Base) -> Resources:
    found: Resources = {}
    if not base.alone:
        found["devices"] = [{"allow": False, "access": "rwm"}]
    assumed = arguments.defaults & base.controllers
    memory = args.DEFAULT_MEMORY if "memory" in assumed else arguments.memory
    pids = args.DEFAULT_PIDS if "pids" in assumed else arguments.pids
    if memory is not None:
        found["memory"] = {"limit": memory}
        if base.swap:
            # The sum of both: without it, whatever does not fit would go to the host's swap.
            found["memory"]["swap"] = memory
    if pids is not None:
        found["pids"] = {"limit": pids}
    if arguments.cpus is not None:
        found["cpu"] = {"quota": arguments.cpus, "period": values.CPU_PERIOD}
    return found


def _annotations(arguments: Arguments, base: Base) -> dict[str, str]:
    found: dict[str, str] = {}
    if arguments.tmp is not None:
        found[TMP] = f"private,size={arguments.tmp}"
    if arguments.workspace is not None:
        path, size = arguments.workspace
        found[WORKSPACE] = f"{path},size={size}"
    if arguments.writable is not None:
        found[ROOTFS] = f"ephemeral,size={arguments.writable}"
    elif base.upper:
        # Mount points are made in an overlay of the box's own; the rootfs may be shared, or not ours to change.
        found[ROOTFS] = f"ephemeral,size={POINTS_SIZE}"
    copied = [share.destination for share in arguments.shares if share.mode == "cow"]
    if copied:
        found[COW] = ":".join(copied)
    return found
