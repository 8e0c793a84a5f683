"""Rules for the root file system, mounts, masks and devices."""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.spec.linux_checks import check_mappings, namespaces
from pyrunc.spec.process_checks import not_absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.spec.types import Mount, Spec

_BIND = ("bind", "rbind")
#: Options that change a mount that exists, so that there is no file system to name.
_CHANGES = frozenset(
    ("remount", "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable")
)
#: The type of a device -> the type bits of its mode (inode(7)).
_TYPE_BITS = {"c": 0o020000, "u": 0o020000, "b": 0o060000, "p": 0o010000}
_TYPE_MASK = 0o170000


def is_bind(mount: Mount) -> bool:
    """Engines write a bind mount as type bind, as option bind or rbind, or both."""
    return mount.get("type") == "bind" or any(option in _BIND for option in mount.get("options", ()))


def normal(path: str) -> str:
    """``path`` as an absolute path without empty, ``.`` and ``..`` components (lexically)."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def check_mounts(spec: Spec) -> Iterator[Violation]:
    for index, mount in enumerate(spec.get("mounts", ())):
        where = f"mounts[{index}]"
        if is_bind(mount):
            if not mount.get("source") and "remount" not in mount.get("options", ()):
                yield Violation(f"{where}.source", "required for a bind mount, but missing")
        elif not mount.get("type") and not _CHANGES.intersection(mount.get("options", ())):
            yield Violation(f"{where}.type", "required unless it is a bind mount, but missing")
        yield from _check_idmap(spec, mount, where)


def _check_idmap(spec: Spec, mount: Mount, where: str) -> Iterator[Violation]:
    uids, gids = mount.get("uidMappings", ()), mount.get("gidMappings", ())
    if uids and not gids:
        yield Violation(f"{where}.gidMappings", "required beside uidMappings, but missing")
    if gids and not uids:
        yield Violation(f"{where}.uidMappings", "required beside gidMappings, but missing")
    yield from check_mappings(uids, f"{where}.uidMappings")
    yield from check_mappings(gids, f"{where}.gidMappings")
    if (uids or gids) and not is_bind(mount):
        yield Violation(f"{where}.uidMappings", "only for bind mounts")
    for index, option in enumerate(mount.get("options", ())):
        if option in ("idmap", "ridmap") and not uids and not gids and "user" not in namespaces(spec):
            place = f"{where}.options[{index}]"
            yield Violation(place, f"{option} needs mappings, of the mount or of a user namespace")


def check_masks(spec: Spec) -> Iterator[Violation]:
    linux = spec.get("linux", {})
    for name in ("maskedPaths", "readonlyPaths"):
        values: list[str] = linux.get(name, [])  # type: ignore[assignment]
        for index, value in enumerate(values):
            if not value.startswith("/"):
                yield not_absolute(f"linux.{name}[{index}]", value)


def check_devices(spec: Spec) -> Iterator[Violation]:
    for index, device in enumerate(spec.get("linux", {}).get("devices", ())):
        where = f"linux.devices[{index}]"
        if not device["path"].startswith("/"):
            yield not_absolute(f"{where}.path", device["path"])
        kind = device["type"]
        for name in ("major", "minor"):
            if kind != "p" and name not in device:
                yield Violation(f"{where}.{name}", f"required for a device of type {kind}, but missing")
        bits = device.get("fileMode", 0) & _TYPE_MASK
        if bits not in (0, _TYPE_BITS[kind]):
            yield Violation(f"{where}.fileMode", f"{device['fileMode']:#o} is of another type than {kind}")


def check_device_rules(spec: Spec) -> Iterator[Violation]:
    for index, rule in enumerate(spec.get("linux", {}).get("resources", {}).get("devices", ())):
        access = rule.get("access", "")
        if not access or access.strip("rwm"):
            where = f"linux.resources.devices[{index}].access"
            yield Violation(where, "must be some of r, w and m")


def check_cgroups_path(spec: Spec) -> Iterator[Violation]:
    path = spec.get("linux", {}).get("cgroupsPath", "")
    if ".." in path.split("/"):
        yield Violation("linux.cgroupsPath", "must not contain ..")
