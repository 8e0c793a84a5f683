"""network: the controllers net_cls and net_prio, which only cgroup v1 has.

runtime-spec config-linux.md "Network"; kernel cgroup-v1/net_cls.rst, net_prio.rst.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.resources import Writes
    from pyrunc.spec.types import Network


def v1(writes: Writes, network: Network) -> None:
    if network.get("classID"):
        _write(writes, "network.classID", "net_cls.classid", network["classID"])
    for index, entry in enumerate(network.get("priorities", ())):
        field = f"network.priorities[{index}]"
        _write(writes, field, "net_prio.ifpriomap", f"{entry['name']} {entry['priority']}")


def _write(writes: Writes, field: str, file: str, value: object) -> None:
    controller = file.partition(".")[0]
    if writes.unified(controller):
        writes.refuse(field, f"needs the {controller} controller of cgroup v1, which this host has not mounted")
    else:
        writes.write(field, file, value)
