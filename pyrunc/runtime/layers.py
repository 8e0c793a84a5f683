"""What the state keeps of a container's layers, and the end of those that are mounted on the host."""

from __future__ import annotations

import posix

from pyrunc.host import unmount
from pyrunc.state.store import wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyrunc.plan.facts import Layer


def identified(layers: list[Layer]) -> list[Layer]:
    """With what is at the paths of the lower directories now; later commands open these again."""
    for layer in layers:
        path = layer["lower"]
        if path:
            try:
                now = posix.stat(path)
            except OSError as error:
                raise wrap(error, path) from None
            layer["lower_id"] = [now.st_dev, now.st_ino]
    return layers


def detach(directory: str, warn: Callable[[str], None]) -> None:
    """Unmount what is mounted in ``layers`` of a container's directory, whatever its state says; nothing is fine.

    Who may not mount may not even ask: umount2(2) says EPERM, whatever is there.
    """
    parent = directory + "/layers"
    try:
        names = posix.listdir(parent)
    except FileNotFoundError:
        return
    own = posix.stat(parent).st_dev
    mounted = [path for path in (f"{parent}/{name}" for name in names) if posix.lstat(path).st_dev != own]
    refused = [path for path in mounted if not unmount.detach(path)]
    if refused:
        # pyrunc-init does the same, and tells why it cannot be done.
        from pyrunc.plan.ops import Op
        from pyrunc.runtime.conversation import perform

        perform([Op("detach", (path,), "root.path") for path in refused], warn)
