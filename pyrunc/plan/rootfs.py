"""root, rootfsPropagation and cwd: the tree that becomes the container's /.

The rootfs is hostile: from here on every path in it is resolved by the executor below slot ROOT.
runtime-spec config.md "Root", config-linux.md "Rootfs Mount Propagation".
"""

from __future__ import annotations

from pyrunc.plan.kernel import (
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
    OPEN_TREE_CLONE,
)
from pyrunc.plan.mount_options import PROPAGATION
from pyrunc.plan.ops import SLOT_ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder


def path(b: Builder) -> str:
    """The absolute path of the rootfs on the host."""
    root = b.spec["root"]["path"]
    return root if root.startswith("/") else b.request["bundle"].rstrip("/") + "/" + root


def propagation(b: Builder) -> int:
    """MS_* of rootfsPropagation; without it slave, so that nothing leaks back to the host, but / itself is private."""
    return PROPAGATION.get((b.spec.get("linux") or {}).get("rootfsPropagation", ""), MS_SLAVE | MS_REC)


def is_default(b: Builder) -> bool:
    """Whether a copy made inside the container's mount namespace has the right propagation as it is."""
    return not b.host_opens and b.new("mount") and propagation(b) == MS_SLAVE | MS_REC


def attach(b: Builder) -> None:
    rootfs = path(b)
    if b.new("mount"):
        # Mounts made below must never reach the host; and pivot_root(2) refuses shared parents.
        b.on_container("linux.namespaces", "propagation", "/", MS_REC | MS_SLAVE)
    if "rootfs" in b.isolation:
        from pyrunc.plan import isolation

        isolation.ephemeral_root(b)
    else:
        flags = OPEN_TREE_CLONE | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW
        b.on_source("root.path", "open_tree", SLOT_ROOT, rootfs, flags)
    if not is_default(b):
        flags = propagation(b)
        # The new root of pivot_root(2) must not be shared, and what is unbindable cannot be copied for
        # linux.readonlyPaths: these come after it.
        first = MS_PRIVATE | flags & MS_REC if flags & (MS_SHARED | MS_UNBINDABLE) else flags
        recursive = int(bool(first & MS_REC))
        b.on_container("linux.rootfsPropagation", "mount_attr", SLOT_ROOT, 0, 0, first & ~MS_REC, recursive, -1)
    if not (b.spec.get("linux") or {}).get("rootfsPropagation") and "rootfs" not in b.isolation:
        # What the host mounts in the rootfs later is not the container's, as with crun and runc 1.1.15.
        b.on_container("root.path", "mount_attr", SLOT_ROOT, 0, 0, MS_PRIVATE, 0, -1)
    b.on_container("root.path", "attach_root", SLOT_ROOT, rootfs)


def enter(b: Builder) -> None:
    if not b.new("mount"):
        # In a namespace of others, the root of its other processes is not ours to replace.
        b.on_container("root.path", "chroot")
    elif b.request["no_pivot"]:
        b.on_container("root.path", "move_root", path(b))
    else:
        b.on_container("root.path", "pivot_root")


def finish(b: Builder) -> None:
    """What waits until the rootfs is /: its propagation, the working directory, and read-only last."""
    flags = propagation(b)
    if flags & (MS_SHARED | MS_UNBINDABLE):
        recursive = int(bool(flags & MS_REC))
        b.on_container("linux.rootfsPropagation", "mount_attr", SLOT_ROOT, 0, 0, flags & ~MS_REC, recursive, -1)
    b.on_container("process.cwd", "make_cwd", b.spec["process"]["cwd"])
    if b.spec["root"].get("readonly"):
        b.on_container("root.readonly", "mount_attr", SLOT_ROOT, MOUNT_ATTR_RDONLY, 0, 0, 0, -1)
