"""mounts: from each entry of config.json to a detached mount and the place where it is attached.

runtime-spec config.md "Mounts".  Entries are applied in order, so that a later one may shadow an
earlier one.  A mount is complete (attributes, propagation, contents) before it appears in the tree,
except that a tmpfs becomes read-only last: other mounts may need mount points in it.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.plan import cgroup_mounts, rootfs
from pyrunc.plan.kernel import (
    AT_RECURSIVE,
    MOUNT_ATTR_RDONLY,
    MS_REC,
    MS_REMOUNT,
    OPEN_TREE_CLONE,
)
from pyrunc.plan.mount_options import Options, ms_flags, parse
from pyrunc.plan.namespaces import mapping_text
from pyrunc.plan.ops import CREATE_DIR, CREATE_LIKE, CREATE_NOTHING, TARGET_ALLOW_PROC, TARGET_NO_SYMLINKS
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder
    from pyrunc.spec.types import Mount

#: What may be mounted over below /proc, as runc allows it: files that a per-container view replaces
#: (lxcfs and the like).  Everything else there would blind LSM labels, masks or sysctls (CVE-2019-16884).
PROC_TARGETS = frozenset(
    "/proc/" + name
    for name in (
        "cpuinfo",
        "diskstats",
        "meminfo",
        "stat",
        "swaps",
        "uptime",
        "loadavg",
        "slabinfo",
        "net/dev",
        "sys/kernel/ns_last_pid",
        "sys/crypto/fips_enabled",
    )
)

#: strndup_user in fsconfig(2) takes no more than this, with its NUL.
FSCONFIG_LIMIT = 255


def apply(b: Builder) -> None:
    """Every mount of the config, with the container's own /tmp below them all and its workspace among them."""
    workspace_at = -1
    if b.isolation:
        from pyrunc.plan import isolation

        if "tmp" in b.isolation:
            isolation.private_tmp(b)
        if "workspace" in b.isolation:
            workspace_at = isolation.workspace_index(b)
            if workspace_at < 0:
                isolation.workspace(b)
    for index, mount in enumerate(b.spec.get("mounts") or ()):
        where = f"mounts[{index}]"
        destination = normal(mount["destination"])
        options = parse(mount.get("options") or ())
        if options.remount:
            remount(b, where, destination, options)
        elif options.bind or mount.get("type") == "bind":
            bind(b, where, mount, destination, options)
        elif mount.get("type") == "cgroup":
            cgroup_mounts.apply(b, where, destination, options)
        else:
            file_system(b, where, mount, destination, options)
        if index == workspace_at:
            isolation.workspace(b)
    if b.expected:
        isolation.confirm(b)


def target(
    b: Builder,
    where: str,
    path: str,
    create: int,
    *,
    like: int = -1,
    flags: int = 0,
    mode: int = 0o755,
    field: str = ".destination",
) -> int:
    """Open or make the mount point; returns its slot.  ``field`` of ``where`` is what names it."""
    slot = b.slot()
    if path in PROC_TARGETS:
        flags |= TARGET_ALLOW_PROC
    elif path.startswith("/proc/"):
        b.problem(
            where + field,
            f'"{path}" is inside /proc, where only these may be mounted over: ' + ", ".join(sorted(PROC_TARGETS)),
        )
    b.on_container(where + field, "target", slot, path, create, mode, flags, like)
    return slot


def bind(b: Builder, where: str, mount: Mount, destination: str, options: Options) -> None:
    for index, option in options.data:
        # podman leaves options for itself in the list (nocopy, U), and mount(2) ignores them as it does with runc.
        b.warnings.append(Violation(f"{where}.options[{index}]", f'"{option}" means nothing for a bind mount'))
    if options.tmpcopyup:
        b.problem(f"{where}.options", '"tmpcopyup" is for tmpfs')
    if options.ms_flags:
        reason = (
            "sync, dirsync, mand, lazytime and the like belong to the file system; a bind mount does not change them"
        )
        b.warnings.append(Violation(f"{where}.options", reason))
    source = mount.get("source") or ""
    if not source:
        b.problem(where + ".source", "required for a bind mount, but missing")
        return
    if not source.startswith("/"):
        # config.md: "for bind mounts, source is relative to the bundle"
        source = b.request["bundle"].rstrip("/") + "/" + source
    if "cow" in b.isolation and destination in b.isolation["cow"]["destinations"]:
        from pyrunc.plan import isolation

        slot = isolation.cow(b, where, source, destination)
    elif options.copy_symlink:
        slot = b.slot()
        b.on_container(where + ".source", "copy_symlink", slot, source, destination)
    else:
        slot = b.slot()
        tree = OPEN_TREE_CLONE | (AT_RECURSIVE if options.bind & MS_REC else 0)
        # An id-mapped mount needs the capabilities of its file system's owner: the host's.
        add = b.on_host if _wants_id_map(mount, options) else b.on_source
        add(where + ".source", "open_tree", slot, source, tree)
    place = target(b, where, destination, CREATE_LIKE, like=slot)
    _id_map(b, where, mount, options, slot)
    if _wants_id_map(mount, options) or not rootfs.is_default(b):
        flags = rootfs.propagation(b)
        recursive = int(bool(flags & MS_REC))
        b.on_container(where + ".options", "mount_attr", slot, 0, 0, flags & ~MS_REC, recursive, -1)
    attributes(b, where, slot, options, inherited=True)
    b.on_container(where, "attach", slot, place)
    if destination in ("/proc", "/sys") and not options.copy_symlink:
        b.pinned[destination] = slot  # podman's --pid=host binds the host's


def _wants_id_map(mount: Mount, options: Options) -> bool:
    return bool(options.idmap or mount.get("uidMappings"))


def _id_map(b: Builder, where: str, mount: Mount, options: Options, slot: int) -> None:
    if not _wants_id_map(mount, options):
        return
    recursive = 0
    uids, gids = mount.get("uidMappings"), mount.get("gidMappings")
    if options.idmap:
        index, option = options.idmap
        name, _, value = option.partition("=")
        recursive = int(name == "ridmap")
        if value:
            try:
                uid_text, gid_text = parse_id_map(value)
            except ValueError as error:
                b.problem(f"{where}.options[{index}]", str(error))
                return
            _add_id_map(b, where, slot, uid_text, gid_text, recursive)
            return
    linux = b.spec.get("linux") or {}
    uids = uids or linux.get("uidMappings")
    gids = gids or linux.get("gidMappings")
    if not uids or not gids:
        b.problem(where, "an id-mapped mount needs uidMappings and gidMappings, its own or the container's")
        return
    _add_id_map(b, where, slot, mapping_text(uids), mapping_text(gids), recursive)


def _add_id_map(b: Builder, where: str, slot: int, uids: str, gids: str, recursive: int) -> None:
    userns = b.slot()
    b.on_host(where + ".uidMappings", "userns", userns, uids, gids)
    b.on_host(where + ".uidMappings", "mount_attr", slot, 0, 0, 0, recursive, userns)


def parse_id_map(value: str) -> tuple[str, str]:
    """``uids=0-1000-1#…;gids=…`` (container-host-size, as crun and podman write it) as map texts."""
    found = {}
    for part in value.split(";"):
        kind, _, triples = part.partition("=")
        if kind not in ("uids", "gids") or kind in found:
            raise ValueError(f'"{part}": expected uids=… and gids=…, once each')
        lines = ""
        for triple in triples.split("#"):
            # crun's @ and + mean ids relative to the container's map; they are not in the OCI spec.
            numbers = triple.split("-")
            if len(numbers) != 3 or not all(n.isascii() and n.isdigit() for n in numbers):
                raise ValueError(f'"{triple}" is not CONTAINER-HOST-SIZE')
            lines += " ".join(numbers) + "\n"
        found[kind] = lines
    if len(found) != 2:
        raise ValueError(f'"{value}": expected uids=… and gids=…')
    return found["uids"], found["gids"]


def attributes(b: Builder, where: str, slot: int, options: Options, *, inherited: bool) -> None:
    """Attributes and propagation of the detached mount, in the order in which runc applies them."""
    where += ".options"
    if inherited and (options.attr_set or options.attr_clear):
        b.on_container(where, "mount_attr", slot, options.attr_set, options.attr_clear, 0, 0, -1)
    if options.recursive_set or options.recursive_clear:
        b.on_container(where, "mount_attr", slot, options.recursive_set, options.recursive_clear, 0, 1, -1)
    for flags in options.propagation:
        b.on_container(where, "mount_attr", slot, 0, 0, flags & ~MS_REC, int(bool(flags & MS_REC)), -1)


def remount(b: Builder, where: str, destination: str, options: Options) -> None:
    place = target(b, where, destination, CREATE_NOTHING)
    if options.bind:
        attributes(b, where, place, options, inherited=True)
        return
    flags = MS_REMOUNT | options.ms_flags | ms_flags(options.attr_set)
    b.on_container(where, "remount", place, flags, ",".join(text for _, text in options.data))
    attributes(b, where, place, options, inherited=False)


def file_system(b: Builder, where: str, mount: Mount, destination: str, options: Options) -> None:
    kind = mount.get("type") or ""
    if not kind:
        b.problem(where + ".type", 'required, but missing (a bind mount has "bind" or "rbind" in its options)')
        return
    if options.copy_symlink:
        b.problem(where + ".options", '"copy-symlink" is for bind mounts')
    if options.tmpcopyup and kind != "tmpfs":
        b.problem(where + ".options", '"tmpcopyup" is for tmpfs')
    if _wants_id_map(mount, options):
        b.problem(where, "id mappings are for bind mounts")
    # An /proc or /sys that leads elsewhere would make every mask and label below it go nowhere
    # (CVE-2019-16884, CVE-2023-27561, CVE-2023-28642).
    real = TARGET_NO_SYMLINKS if kind in ("proc", "sysfs") else 0
    data = [text for _, text in options.data]
    keeps_mode = kind == "tmpfs" and not any(text.startswith("mode=") for text in data)
    # A mount point that has to be made gets the mode that the tmpfs then has, so that the next start, which finds
    # it, sees the same.
    place = target(b, where, destination, CREATE_DIR, flags=real, mode=0o1777 if keeps_mode else 0o755)
    late_read_only = kind == "tmpfs" and options.attr_set & MOUNT_ATTR_RDONLY
    attr = options.attr_set & ~(MOUNT_ATTR_RDONLY if late_read_only else 0)
    source = mount.get("source") or kind
    if options.only_mount or any(len(text.encode()) > FSCONFIG_LIMIT for text in data):
        flags = options.ms_flags | ms_flags(attr)
        b.on_container(where, "legacy_mount", place, kind, source, flags, ",".join(data))
        # What the target's path shows now is the new mount.
        slot = target(b, where, destination, CREATE_NOTHING)
        attributes(b, where, slot, options, inherited=False)
        return
    if attr & MOUNT_ATTR_RDONLY:
        data.append("ro")  # mount(2) makes the superblock of a new mount read-only, too
    slot = b.slot()
    b.on_container(
        where, "fsmount", slot, kind, source, (*options.superblock, *data), attr, place if keeps_mode else -1
    )
    if options.tmpcopyup:
        b.on_container(where + ".options", "copy_up", place, slot)
    attributes(b, where, slot, options, inherited=False)
    b.on_container(where, "attach", slot, place)
    if kind in ("proc", "sysfs"):
        b.pinned[destination] = slot
    if late_read_only:
        b.before_pivot(where + ".options", "mount_attr", slot, MOUNT_ATTR_RDONLY, 0, 0, 0, -1)
