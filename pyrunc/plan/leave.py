"""What is taken back from a mount namespace that the container has joined, not made: it outlives the container."""

from __future__ import annotations

from pyrunc.plan.kernel import CLONE_NEWNS
from pyrunc.plan.ops import SLOT_FIRST, Op

#: The slot in which the caller presets the namespace.
SLOT_NAMESPACE = SLOT_FIRST


def leave(rootfs: str) -> list[Op]:
    """The program that detaches the container's mounts, all of which lie below its rootfs."""
    return [
        Op("join_namespaces", ((SLOT_NAMESPACE,), (CLONE_NEWNS,)), "linux.namespaces"),
        Op("detach", (rootfs,), "root.path"),
    ]
