"""The plan of ``restore``: the container's cgroups and limits, mount points, and a CRIU with its own mount namespace.

pyrunc-init becomes CRIU, in the container's cgroups, so that what it restores is born there.  Runtime ops behind the
last one wait until the container's namespaces are there.
"""

from __future__ import annotations

from pyrunc.plan import cgroups, hooks, mounts, rootfs
from pyrunc.plan.builder import Builder, Plan
from pyrunc.plan.criu.dump import LEFT_OUT, NAMES, common, key
from pyrunc.plan.criu.mounts import is_bind
from pyrunc.plan.joining import join
from pyrunc.plan.kernel import (
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    CLONE_NEWNS,
    MS_REC,
    MS_SLAVE,
    NAMESPACES,
    O_RDONLY,
    OPEN_TREE_CLONE,
)
from pyrunc.plan.mount_options import parse
from pyrunc.plan.ops import CREATE_DIR, CREATE_LIKE, SLOT_FIRST, SLOT_ROOT, TARGET_NO_SYMLINKS, Op
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrunc.plan.criu.rpc import Options
    from pyrunc.plan.criu.wishes import Wishes
    from pyrunc.plan.facts import HostFacts, Request
    from pyrunc.spec.types import Mount, Spec

LOG = "restore.log"
#: In the container's directory: CRIU wants a mount point whose parent nothing is mounted over.
ROOT = "criu-root"


def restore(
    spec: Spec,
    facts: HostFacts,
    request: Request,
    *,
    program: str,
    path: str,
    descriptors: int,
    directories: Sequence[str],
) -> Plan:
    """``program`` is CRIU, with ``path`` for its PATH; it gets so many descriptors from 3 on.  ``directories``, of the
    images and perhaps of the log, are opened where CRIU can mount something in them: in its mount namespace.

    Raises SpecError with everything that this host cannot do.
    """
    b = Builder(spec, facts, request)
    cgroups.create(b)
    join(b, b.cgroups, from_elsewhere=True)
    place = f"{request['state_dir']}/{ROOT}"
    b.on_runtime("root.path", "make_directory", place)
    b.on_host("linux.namespaces", "unshare", CLONE_NEWNS)
    b.on_host("linux.namespaces", "propagation", "/", MS_REC | MS_SLAVE)
    whole = OPEN_TREE_CLONE | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW
    slot = b.slot()
    b.on_host("root.path", "open_tree", slot, rootfs.path(b), whole)
    b.on_host("root.path", "attach_root", slot, place)
    for index, (directory, option) in enumerate(zip(directories, ("--image-path", "--work-path"), strict=False)):
        slot = b.slot()
        b.on_host(option, "open", slot, directory, O_RDONLY)
        b.on_host(option, "pass_layer", index, slot)
    _mount_points(b, whole)
    b.host += b.container
    b.on_host("", "preserve_fds", descriptors)
    b.on_host("", "find_executable", program, ())
    b.on_host("", "execve", ("criu", "swrk", "3"), (f"PATH={path}",))
    _in_namespaces(b)
    b.finish()
    present = [Op("sync", (), "linux.cgroupsPath")] if b.unit else []
    return Plan([*present, *b.runtime, *b.host, *b.parent], b.cgroups, b.warnings, [], b.unit)


def _mount_points(b: Builder, whole: int) -> None:
    """Make those that are absent, as a creation does, in a copy of the rootfs with the bind mounts; CRIU makes none.

    What lies in a file system of the container's own comes back with its content.
    """
    at = rootfs.path(b)
    b.on_container("root.path", "open_tree", SLOT_ROOT, at, whole)
    b.on_container("root.path", "attach_root", SLOT_ROOT, at)
    own: list[str] = []
    for index, mount in enumerate(b.spec.get("mounts") or ()):
        destination = normal(mount["destination"])
        options = parse(mount.get("options") or ())
        if options.remount or any(destination.startswith(above + "/") for above in own):
            continue
        where = f"mounts[{index}]"
        if is_bind(mount):
            source = b.slot()
            tree = OPEN_TREE_CLONE | (AT_RECURSIVE if options.bind & MS_REC else 0)
            b.on_container(where + ".source", "open_tree", source, _source(b, mount), tree)
            target = mounts.target(b, where, destination, CREATE_LIKE, like=source)
            b.on_container(where, "attach", source, target)
        else:
            own.append(destination)
            kind = mount.get("type") or ""
            modes = any(option.startswith("mode=") for option in mount.get("options") or ())
            mode = 0o1777 if kind == "tmpfs" and not modes else 0o755
            flags = TARGET_NO_SYMLINKS if kind in ("proc", "sysfs") else 0
            mounts.target(b, where, destination, CREATE_DIR, flags=flags, mode=mode)
    b.on_container("root.path", "detach", at)


def _source(b: Builder, mount: Mount) -> str:
    source = mount.get("source") or ""
    return source if source.startswith("/") else b.request["bundle"].rstrip("/") + "/" + source


def _in_namespaces(b: Builder) -> None:
    """What the runtime does when they are there: network devices, prestart and createRuntime hooks, as in runc."""
    if "network" in b.namespaces:
        for name, device in ((b.spec.get("linux") or {}).get("netDevices") or {}).items():
            b.on_parent(f"linux.netDevices.{name}", "move_net_device", name, device.get("name") or name)
    given = b.spec.get("hooks") or {}
    for kind, found in (("prestart", given.get("prestart")), ("createRuntime", given.get("createRuntime"))):
        for index, hook in enumerate(found or ()):
            b.on_parent(f"hooks.{kind}[{index}]", "runtime_hook", kind, *hooks.arguments(hook))


def loopback(pid: int) -> list[Op]:
    """The program that brings up the loopback device of the new network namespace, which CRIU leaves as it is."""
    slot = SLOT_FIRST
    flag = NAMESPACES["network"][0]
    return [
        Op("open", (slot, f"/proc/{pid}/ns/net", O_RDONLY), "linux.namespaces"),
        Op("join_namespaces", ((slot,), (flag,)), "linux.namespaces"),
        Op("loopback_up", (), "linux.namespaces"),
    ]


def options(
    spec: Spec,
    wishes: Wishes,
    *,
    root: str,
    cgroups: Mapping[str, str],
    sources: Mapping[str, str],
    descriptors: Sequence[str],
    namespaces: Mapping[str, int],
) -> Options:
    """What CRIU is asked.  ``cgroups``: controller -> path in its hierarchy; ``sources``: of external mounts by key;
    ``descriptors``: what CRIU calls the first three, from the images; ``namespaces``: type -> descriptor."""
    found: Options = {
        **common(spec, wishes, LOG),
        "root": root,
        "evasive_devices": True,
        "rst_sibling": True,
        "tcp_close": wishes.tcp_close,
        # CRIU's newer way copies the propagation of a mount from another one of its peer group, which the kernel
        # refuses where neither shows a part of the other: two bind mounts of one file system of the host.
        "mntns_compat_mode": True,
        "ext_mnt": [{"key": name, "val": source} for name, source in sources.items()],
        "cg_root": [{"ctrl": name, "path": path} if name else {"path": path} for name, path in cgroups.items()],
        "inherit_fd": [
            *({"key": name, "fd": fd} for name, fd in _inherited(descriptors).items()),
            *({"key": key(type), "fd": fd} for type, fd in namespaces.items()),
        ],
        "join_ns": [
            {"ns": NAMES[entry["type"]], "ns_file": entry["path"]}
            for entry in (spec.get("linux") or {}).get("namespaces") or ()
            if entry.get("path") and entry["type"] not in LEFT_OUT
        ],
    }
    if wishes.lsm_profile:
        found["lsm_profile"] = wishes.lsm_profile
    if wishes.lsm_mount_context:
        found["lsm_mount_context"] = wishes.lsm_mount_context
    return found


def _inherited(descriptors: Sequence[str]) -> dict[str, int]:
    """Those that lead out of the container get what the caller has there now; of equal ones the first."""
    found: dict[str, int] = {}
    for number, name in enumerate(descriptors):
        if name.startswith(OUTSIDE):
            found.setdefault(name, number)
    return found


#: How CRIU names what may be given from outside at the restore.
OUTSIDE = ("pipe:[", "file[", "tty[")
