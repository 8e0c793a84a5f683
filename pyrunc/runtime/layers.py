"""The end of a container's layers that are mounted on the host: pyrunc-init detaches them, as it has attached them."""

from __future__ import annotations

from pyrunc.plan.ops import Op
from pyrunc.runtime.conversation import perform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.plan.facts import Layer


def detach(layers: Sequence[Layer], warn: Callable[[str], None]) -> None:
    """Unmount what is mounted there; a layer that is not (any more, or never was on the host) is fine."""
    perform([Op("detach", (layer["path"],), "root.path") for layer in reversed(layers)], warn)
