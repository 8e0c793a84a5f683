"""Fetches the private trees of a container out of its mount namespace, for whoever has no other way to them.

What comes is a clone of the one mount that the container sees at each place, without what is mounted below it.
"""

from __future__ import annotations

from pyrunc.plan.kernel import OPEN_TREE_CLONE
from pyrunc.plan.ops import SLOT_FIRST, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: The slot in which the caller presets a pidfd of a process of the container; in SLOT_ROOT its root directory.
SLOT_PIDFD = SLOT_FIRST


def view(destinations: Sequence[str], namespaces: int) -> list[Op]:
    """The program that sends the mount at each destination as the layer of that index.

    ``namespaces``: CLONE_NEWNS, and CLONE_NEWUSER unless the container has the caller's.
    """
    # As in an exec: a process of the container could trace us as soon as we share its namespaces.
    program = [Op("dumpable", (0,), ""), Op("join_pidfd", (SLOT_PIDFD, namespaces), "linux.namespaces")]
    for index, destination in enumerate(destinations):
        target = SLOT_PIDFD + 1 + 2 * index
        program += [
            Op("target", (target, destination, 0, 0, 0, -1), f"layers[{index}]"),
            Op("clone_mount", (target + 1, target, OPEN_TREE_CLONE), f"layers[{index}]"),
            Op("pass_layer", (index, target + 1), f"layers[{index}]"),
        ]
    return program
