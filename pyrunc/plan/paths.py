"""linux.maskedPaths and linux.readonlyPaths: parts of the tree that are hidden or frozen.

runtime-spec config-linux.md "Masked Paths", "Readonly Paths".  They come after every mount and every hook
that may add one, and before the container can run anything.
"""

from __future__ import annotations

from pyrunc.plan.kernel import MOUNT_ATTR_RDONLY
from pyrunc.plan.ops import SLOT_MASK, SLOT_NULL
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.builder import Builder


def protect(b: Builder) -> None:
    linux = b.spec.get("linux") or {}
    for index, path in enumerate(linux.get("readonlyPaths") or ()):
        b.on_container(f"linux.readonlyPaths[{index}]", "readonly_path", *place(b, path))
    masked = linux.get("maskedPaths") or ()
    if masked:
        # The host's node, not the container's: that one may have been replaced (CVE-2025-31133).
        b.on_container("linux.maskedPaths", "open_null", SLOT_NULL)
        b.on_container("linux.maskedPaths", "fsmount", SLOT_MASK, "tmpfs", "tmpfs", ("ro",), MOUNT_ATTR_RDONLY, -1)
    for index, path in enumerate(masked):
        b.on_container(f"linux.maskedPaths[{index}]", "mask", *place(b, path))


def place(b: Builder, path: str) -> tuple[int, str]:
    """The slot of the mount that ``path`` lies in and the rest of it; -1 stands for the rootfs.

    Whoever shares the rootfs can rename /proc while we mount over it in our own namespace.  What is to be
    hidden is therefore looked up in the procfs itself, not by its path.
    """
    path = normal(path)
    for destination in sorted(b.pinned, key=len, reverse=True):
        if path.startswith(destination + "/"):
            return b.pinned[destination], path[len(destination) + 1 :]
    return -1, path
