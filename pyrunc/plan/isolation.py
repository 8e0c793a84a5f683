"""Private state over shared input: what the ``io.pyrunc.*`` annotations and the flags of the same meaning ask for.

A layer is a tmpfs that takes the container's writes: the upper directory of an overlay, a workspace, or copies of
files.  It lies at ``layers/N`` in the container's state directory.  Where the caller may mount on the host it is
mounted there, by pyrunc-init before the clone: then it outlives the container's mount namespace, and a stopped
container keeps what it has written until it is deleted.  Otherwise it is mounted in the container's own mount namespace
and ends with it.

kernel: Documentation/filesystems/overlayfs.rst, tmpfs.rst.
"""

from __future__ import annotations

from pyrunc.plan import rootfs
from pyrunc.plan.kernel import (
    AT_SYMLINK_NOFOLLOW,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOSUID,
    MS_PRIVATE,
    O_PATH,
    OPEN_TREE_CLONE,
)
from pyrunc.plan.mounts import target
from pyrunc.plan.ops import CREATE_DIR, SLOT_ROOT, TARGET_NOT_ROOT
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyrunc.plan.builder import Builder
    from pyrunc.plan.facts import Layer
    from pyrunc.spec.types import IDMapping

_ATTRIBUTES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
#: What the kernel's defaults may say otherwise: all that a container has written lies in its upper directory as it is.
_OVERLAY = ("source=overlay", "redirect_dir=off", "metacopy=off", "index=off")
#: Powers of two.
_UNITS, _PAGE = {"": 0, "k": 10, "m": 20, "g": 30}, 12
#: Whatever the size: for the directories and mount points of a layer that is meant to be small.
_LEAST_INODES = 1024
#: In a user namespace overlayfs keeps its notes in user.* attributes, and the rest is off.
_OVERLAY_USERNS = ("source=overlay", "userxattr")


def on_host(b: Builder) -> bool:
    """Whether layers are mounted on the host, and so outlive the container's processes."""
    return b.mounts_on_host


def _adder(b: Builder) -> Callable[..., None]:
    return b.on_host if on_host(b) else b.on_container


def _size(size: str) -> tuple[str, ...]:
    """A tmpfs's limits.  Empty files take no page, so that a size alone would leave them without a limit."""
    if not size or size.endswith("%"):
        return (f"size={size}",) if size else ()  # by itself the kernel allows an inode for every second page of memory
    digits = size.rstrip("kmg")
    pages = (int(digits) << _UNITS[size[len(digits) :]]) >> _PAGE
    return f"size={size}", f"nr_inodes={max(pages, _LEAST_INODES)}"


def _layer(b: Builder, where: str, options: Iterable[str]) -> tuple[str, int]:
    """A tmpfs at the next path; that path and its slot."""
    if not on_host(b) and not b.new("mount"):
        b.problem(where, "needs a new mount namespace: without privilege a layer lives in that of the container")
    path = f"{b.request['state_dir']}/layers/{b.layer_count}"
    b.layer_count += 1
    add = _adder(b)
    place, slot = b.slot(), b.slot()
    b.on_runtime(where, "make_directory", path)
    add(where, "open", place, path, O_PATH)
    add(where, "fsmount", slot, "tmpfs", "tmpfs", tuple(options), _ATTRIBUTES, -1)
    add(where, "attach", slot, place)
    # Nobody who shares the host's mounts gets it from now on.
    add(where, "mount_attr", slot, 0, 0, MS_PRIVATE, 0, -1)
    return path, slot


def _keep(b: Builder, where: str, slot: int, layer: Layer) -> None:
    """Let others find the layer, whose tmpfs is in ``slot``, until the container is deleted."""
    if b.request["pass_layers"] and not on_host(b):
        b.on_container(where, "pass_layer", len(b.layers), slot)
    b.layers.append(layer)


def _described(b: Builder, kind: str, destination: str, lower: str, path: str, slot: int) -> Layer:
    return {
        "kind": kind,
        "destination": destination,
        "lower": lower,
        "path": path,
        "slot": slot,
        "userxattr": bool(lower) and _in_userns(b),
    }


def _in_userns(b: Builder) -> bool:
    """Whether overlays are mounted in a user namespace."""
    return not b.facts["initial_userns"] or (not on_host(b) and "user" in b.namespaces)


def _overlay(b: Builder, where: str, slot: int, lower: int, layer: int) -> None:
    _adder(b)(where, "overlay", slot, lower, layer, _OVERLAY_USERNS if _in_userns(b) else _OVERLAY, 0)


def ephemeral_root(b: Builder) -> None:
    """The rootfs as the lower directory of an overlay, which fills slot ROOT."""
    wish = b.isolation["rootfs"]
    where, source = wish["where"], rootfs.path(b)
    path, layer = _layer(b, where, ("mode=0700", *_size(wish["size"])))
    lower = b.slot()
    _adder(b)("root.path", "open_tree", lower, source, AT_SYMLINK_NOFOLLOW)
    _overlay(b, where, SLOT_ROOT, lower, layer)
    _keep(b, where, layer, _described(b, "rootfs", "/", source, path, SLOT_ROOT))


def private_tmp(b: Builder) -> None:
    """A tmpfs on /tmp, below all mounts of the config."""
    wish = b.isolation["tmp"]
    where = wish["where"]
    place = target(b, where, "/tmp", CREATE_DIR, mode=0o1777, flags=TARGET_NOT_ROOT, field="")
    slot = b.slot()
    b.on_container(where, "fsmount", slot, "tmpfs", "tmpfs", ("mode=1777", *_size(wish["size"])), _ATTRIBUTES, -1)
    b.on_container(where, "attach", slot, place)
    b.expected["/tmp"] = (where, slot)


def confirm(b: Builder) -> None:
    """When all mounts stand: each of ours is where its path leads, unless the config mounts over that very path."""
    covered = {normal(mount["destination"]) for mount in b.spec.get("mounts") or ()} if "/tmp" in b.expected else set()
    for path, (where, slot) in b.expected.items():
        if path != "/tmp" or path not in covered:
            b.on_container(where, "expect_mount", slot, path)


def workspace_path(b: Builder) -> str:
    path = b.isolation["workspace"]["path"]
    return normal(b.spec["process"]["cwd"] if path == "cwd" else path)


def workspace_index(b: Builder) -> int:
    """The last entry of ``mounts`` at or above the workspace, which covers it; -1 if there is none."""
    path = workspace_path(b)
    last = -1
    for index, mount in enumerate(b.spec.get("mounts") or ()):
        destination = normal(mount["destination"])
        if path == destination or destination == "/" or path.startswith(destination + "/"):
            last = index
    return last


def workspace(b: Builder) -> None:
    """An empty tmpfs of the process's user."""
    wish = b.isolation["workspace"]
    where = wish["where"]
    user = b.spec["process"]["user"]
    owner = [f"{key}={_owner(b, key, user[key])}" for key in ("uid", "gid")]
    path, layer = _layer(b, where, ("mode=0755", *owner, *_size(wish["size"])))
    tree, destination = b.slot(), workspace_path(b)
    _adder(b)(where, "clone_mount", tree, layer, OPEN_TREE_CLONE)
    _keep(b, where, layer, _described(b, "workspace", destination, "", path, tree))
    place = target(b, where, destination, CREATE_DIR, flags=TARGET_NOT_ROOT, field="")
    b.on_container(where, "attach", tree, place)
    b.expected[destination] = (where, tree)


def _owner(b: Builder, key: str, id: int) -> int:
    """An id of the container as the file system's mounter has to say it."""
    mappings: list[IDMapping] = (b.spec.get("linux") or {}).get(f"{key}Mappings") or []  # type: ignore[assignment]
    if "user" not in b.namespaces or (not on_host(b) and not mappings):
        return id
    for mapping in mappings:
        if mapping["containerID"] <= id < mapping["containerID"] + mapping["size"]:
            return mapping["hostID"] + id - mapping["containerID"] if on_host(b) else id
    b.problem(f"process.user.{key}", f"{id} is not mapped in linux.{key}Mappings: it could not own the workspace")
    return id


def cow(b: Builder, where: str, source: str, destination: str) -> int:
    """A bind mount's source as a private copy; the slot of the mount that is attached in its place."""
    asked = b.isolation["cow"]["where"]
    slot = b.slot()
    if source in b.request["cow_directories"]:
        path, layer = _layer(b, asked, ("mode=0700",))
        lower = b.slot()
        _adder(b)(where + ".source", "open_tree", lower, source, 0)
        _overlay(b, asked, slot, lower, layer)
        _keep(b, asked, layer, _described(b, "cow", destination, source, path, slot))
    else:
        # A tmpfs of their own, not the file system of the state: what the container writes counts against its limits,
        # and its mount table tells nothing about the host's directories.
        if not b.copies:
            b.copies, _ = _layer(b, asked, ("mode=0700",))
        _adder(b)(asked, "copy_file", slot, source, f"{b.copies}/{slot}")
    return slot
