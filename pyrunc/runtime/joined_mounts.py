"""The mounts of a container in a mount namespace that it joined: found by the namespace's identity, and detached."""

from __future__ import annotations

import posix

from pyrunc.host import files
from pyrunc.plan.leave import SLOT_NAMESPACE, leave
from pyrunc.runtime.conversation import perform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.state.store import Joined


def identify(path: str) -> Joined:
    """The mount namespace to join, as it is now."""
    found = posix.stat(path)
    return path, found.st_dev, found.st_ino


def detach(joined: Joined, rootfs: str, warn: Callable[[str], None]) -> None:
    """Detach what is mounted at ``rootfs`` there.  A namespace that is gone has taken its mounts along; and what its
    path leads to by now may be another one (/proc/PID/ns/mnt), in which nothing is ours."""
    path, device, inode = joined
    try:
        fd = files.held(posix.open, path, posix.O_RDONLY | posix.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return
    try:
        found = posix.fstat(fd)
        if (found.st_dev, found.st_ino) != (device, inode):
            return
        perform(leave(rootfs), warn, {SLOT_NAMESPACE: fd})
    finally:
        posix.close(fd)
