"""The end of a container's layers that are mounted on the host: pyrunc-init detaches them, as it has attached them."""

from __future__ import annotations

import posix

from pyrunc.host import files
from pyrunc.plan.ops import Op
from pyrunc.runtime.conversation import perform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.plan.facts import Layer


def detach(layers: Sequence[Layer], warn: Callable[[str], None]) -> None:
    """Unmount what is mounted there; a layer that is not (any more, or never was on the host) is fine.

    Who may not mount may not even ask: umount2(2) says EPERM, whatever is there.
    """
    mounted = [layer["path"] for layer in reversed(layers) if _is_mounted(layer["path"])]
    if mounted:
        perform([Op("detach", (path,), "root.path") for path in mounted], warn)


def _is_mounted(path: str) -> bool:
    """Whether ``path`` is another file system than the directory that it is in."""
    try:
        return posix.lstat(path).st_dev != posix.lstat(files.parent(path)).st_dev
    except FileNotFoundError:
        return False
