"""blockIO: weights and throttling of block devices, the controller blkio of v1 and io of v2.

runtime-spec config-linux.md "Block IO"; kernel cgroup-v1/blkio-controller.rst, block/bfq-iosched.rst, cgroup-v2.rst.
"""

from __future__ import annotations

from pyrunc.plan.resources import MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.resources import Writes
    from pyrunc.spec.types import BlockIO, ThrottleDevice

#: field -> (file of v1, key in io.max)
_THROTTLES = {
    "throttleReadBpsDevice": ("blkio.throttle.read_bps_device", "rbps"),
    "throttleWriteBpsDevice": ("blkio.throttle.write_bps_device", "wbps"),
    "throttleReadIOPSDevice": ("blkio.throttle.read_iops_device", "riops"),
    "throttleWriteIOPSDevice": ("blkio.throttle.write_iops_device", "wiops"),
}


def v1(writes: Writes, io: BlockIO) -> None:
    """Weights are of CFQ, whose files Linux lost with 5.0, or of BFQ."""
    if io.get("weight"):
        writes.write_either("blockIO.weight", "blkio.weight", io["weight"], "blkio.bfq.weight", io["weight"])
    if io.get("leafWeight"):
        writes.write("blockIO.leafWeight", "blkio.leaf_weight", io["leafWeight"])
    for index, device in enumerate(io.get("weightDevice", ())):
        field = f"blockIO.weightDevice[{index}]"
        number = f"{device['major']}:{device['minor']}"
        if device.get("weight"):
            value = f"{number} {device['weight']}"
            writes.write_either(f"{field}.weight", "blkio.weight_device", value, "blkio.bfq.weight_device", value)
        if device.get("leafWeight"):
            writes.write(f"{field}.leafWeight", "blkio.leaf_weight_device", f"{number} {device['leafWeight']}")
    for key, (file, _) in _THROTTLES.items():
        for index, throttle in enumerate(_throttles(io, key)):
            value = f"{throttle['major']}:{throttle['minor']} {throttle['rate']}"
            writes.write(f"blockIO.{key}[{index}]", file, value)


def v2(writes: Writes, io: BlockIO) -> None:
    """BFQ has a file of its own with the range of v1; io.weight is that of the iocost controller."""
    if io.get("weight"):
        writes.write_either("blockIO.weight", "io.bfq.weight", io["weight"], "io.weight", weight(io["weight"]))
    if io.get("leafWeight"):
        writes.refuse("blockIO.leafWeight", "cgroup2 has no weight of leaves")
    for index, device in enumerate(io.get("weightDevice", ())):
        field = f"blockIO.weightDevice[{index}]"
        number = f"{device['major']}:{device['minor']}"
        if given := device.get("weight"):
            bfq, iocost = f"{number} {given}", f"{number} {weight(given)}"
            writes.write_either(f"{field}.weight", "io.bfq.weight", bfq, "io.weight", iocost)
        if device.get("leafWeight"):
            writes.refuse(f"{field}.leafWeight", "cgroup2 has no weight of leaves")
    for key, (_, name) in _THROTTLES.items():
        for index, throttle in enumerate(_throttles(io, key)):
            # The kernel takes no zero here; on v1 it removes the limit.
            value = f"{throttle['major']}:{throttle['minor']} {name}={throttle['rate'] or MAX}"
            writes.write(f"blockIO.{key}[{index}]", "io.max", value)


def _throttles(io: BlockIO, key: str) -> list[ThrottleDevice]:
    return io.get(key, [])  # type: ignore[return-value]


def weight(blkio: int) -> int:
    """io.weight for a weight of v1: 10…1000 onto 1…10000, in a line, as in runc and crun."""
    return 1 + (blkio - 10) * 9999 // 990
