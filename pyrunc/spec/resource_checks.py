"""Rules for linux.resources that hold on every host: what fields ask of one another, and names that become file names.

runtime-spec config-linux.md "Control groups".  Imported for configs with resources beyond devices and pids.  Which
values a kernel takes is not repeated here: it says so itself, and the error names field, file and value.
"""

from __future__ import annotations

from pyrunc.errors import Violation
from pyrunc.spec import jsontext, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyrunc.spec.types import CPU, BlockIO, HugepageLimit, Memory, Network, Rdma, Resources

_TOP = "linux.resources"
#: Weights of block I/O (kernel cgroup-v1/blkio-controller.rst); 0 is none.
_WEIGHTS = (10, 1000)
#: Files of cgroup2 that are no resource: they move, stop or end processes, or say where there may be some.
_NO_RESOURCE = ("cgroup.procs", "cgroup.threads", "cgroup.freeze", "cgroup.kill", "cgroup.type")


def violations(resources: Resources) -> Iterator[Violation]:
    yield from _memory(resources.get("memory", {}))
    yield from _cpu(resources.get("cpu", {}))
    yield from _block_io(resources.get("blockIO", {}))
    yield from _huge_pages(resources.get("hugepageLimits", []))
    yield from _network(resources.get("network", {}))
    yield from _rdma(resources.get("rdma", {}))
    yield from _unified(resources.get("unified", {}))


def _memory(memory: Memory) -> Iterator[Violation]:
    for key in ("limit", "reservation", "swap", "kernel", "kernelTCP"):
        value: int = memory.get(key, 0)  # type: ignore[assignment]
        if value < -1:
            yield Violation(f"{_TOP}.memory.{key}", f"{value} is neither a number of bytes nor -1, for no limit")
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if 0 < swap < limit:
        yield Violation(f"{_TOP}.memory.swap", f"is less than memory.limit ({limit}): it is the sum of both")
    if limit == -1 and swap > 0:
        yield Violation(f"{_TOP}.memory.swap", "is less than memory.limit (none): it is the sum of both")


def _cpu(cpu: CPU) -> Iterator[Violation]:
    burst, quota = cpu.get("burst", 0), cpu.get("quota", 0)
    if 0 < quota < burst:
        yield Violation(f"{_TOP}.cpu.burst", f"{burst} is more than the quota {quota}")
    if cpu.get("idle", 0) not in (0, 1):
        yield Violation(f"{_TOP}.cpu.idle", f"{cpu['idle']} is neither 0 nor 1")


def _block_io(io: BlockIO) -> Iterator[Violation]:
    yield from _weights(io, f"{_TOP}.blockIO")
    for index, device in enumerate(io.get("weightDevice", ())):
        where = f"{_TOP}.blockIO.weightDevice[{index}]"
        if "weight" not in device and "leafWeight" not in device:
            yield Violation(where, "needs a weight or a leafWeight")
        yield from _weights(device, where)


def _weights(holder: Mapping[str, object], path: str) -> Iterator[Violation]:
    low, high = _WEIGHTS
    for key in ("weight", "leafWeight"):
        value = holder.get(key, 0)
        assert isinstance(value, int)
        if value and not low <= value <= high:
            yield Violation(f"{path}.{key}", f"{value} is not in the range {low} to {high}")


def _huge_pages(limits: Sequence[HugepageLimit]) -> Iterator[Violation]:
    for index, entry in enumerate(limits):
        size = entry["pageSize"]
        number, unit = size[:-2], size[-2:]
        if unit not in ("KB", "MB", "GB") or not (number.isascii() and number.isdecimal() and number[0] != "0"):
            where = f"{_TOP}.hugepageLimits[{index}].pageSize"
            yield Violation(where, f"{jsontext.dumps(size)} is not a size like 64KB, 2MB or 1GB")


def _network(network: Network) -> Iterator[Violation]:
    for index, entry in enumerate(network.get("priorities", ())):
        if not _is_word(entry["name"]):
            where = f"{_TOP}.network.priorities[{index}].name"
            yield Violation(where, f"{jsontext.dumps(entry['name'])} is not a name of a network device")


def _rdma(rdma: Mapping[str, Rdma]) -> Iterator[Violation]:
    for device, limits in rdma.items():
        where = paths.join(f"{_TOP}.rdma", device)
        if not _is_word(device):
            yield Violation(where, f"{jsontext.dumps(device)} is not a name of a device")
        if "hcaHandles" not in limits and "hcaObjects" not in limits:
            yield Violation(where, "needs hcaHandles or hcaObjects")


def _unified(files: Mapping[str, str]) -> Iterator[Violation]:
    for name in files:
        where = paths.join(f"{_TOP}.unified", name)
        controller, dot, rest = name.partition(".")
        if not (controller and dot and rest) or "/" in name or not _is_word(name):
            yield Violation(where, f"{jsontext.dumps(name)} is not a name like memory.max")
        elif name in _NO_RESOURCE:
            yield Violation(where, "is no resource: it is about which processes are there and run")


def _is_word(text: str) -> bool:
    """Whether the kernel would read it as one word on a line."""
    return text.isprintable() and len(text.split()) == 1 and text == text.strip()
