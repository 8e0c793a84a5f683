"""The life of a container's cgroups after they are made: list, signal, freeze state, removal (cgroups(7)).

Everywhere here ``cgroups`` is the mapping of state.json: controller -> absolute directory of the container,
``""`` for cgroup2, ``name=systemd`` and the like for named v1 hierarchies.  On a hybrid host it
holds both kinds.  Making cgroups and writing limits is the work of plan ops, not of this package.
"""

from __future__ import annotations

from pyrunc.host.cgroups import tree, v1, v2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Cgroups = Mapping[str, str]


def procs(cgroups: Cgroups) -> list[int]:
    """Pids in the cgroups and in all below them, ascending.

    The union over the hierarchies: a process that left some of its v1 cgroups is still the container's.
    """
    pids: set[int] = set()
    for directory in dict.fromkeys(cgroups.values()):
        pids.update(tree.procs(directory))
    return sorted(pids)


def signal_all(cgroups: Cgroups, number: int) -> None:
    """Send a signal to every process in the cgroups; none can escape by forking meanwhile.

    SIGKILL also thaws what is frozen.  Without v2's cgroup.kill it returns when the cgroups are empty.
    """
    if not cgroups:
        return
    for directory in cgroups.values():
        tree.refuse_top(directory)
    if number == v2.SIGKILL and "" in cgroups:
        v2.kill(cgroups[""])
    if "freezer" in cgroups or "" not in cgroups:
        v1.signal_all(cgroups, number)
    elif number != v2.SIGKILL:
        v2.signal_all(cgroups[""], number)


def frozen(cgroups: Cgroups) -> bool:
    """Whether the container is paused, or about to be.  False for cgroups that are gone."""
    if "freezer" in cgroups:
        return v1.frozen(cgroups["freezer"])
    return "" in cgroups and v2.frozen(cgroups[""])


def remove_empty(cgroups: Cgroups) -> bool:
    """Remove the cgroups if nobody is in them and none is below; False as soon as one is in use."""
    return all(tree.remove_empty(directory) for directory in dict.fromkeys(cgroups.values()))


def remove(cgroups: Cgroups, seconds: float = 5) -> None:
    """Remove the cgroups and all below them; absent ones are fine.

    Processes that are on their way out are waited for, up to the deadline; then HostError names who is left.
    """
    for directory in dict.fromkeys(cgroups.values()):
        tree.refuse_top(directory)
        tree.remove(directory, seconds)
