"""linux.resources as properties of a unit, so that systemd, which writes the same files, does not undo them.

systemd.resource-control(5), org.freedesktop.systemd1(5).  What systemd has no property for is in the files alone, and
what it can only round is exact there: pyrunc writes all of them when the unit exists.
"""

from __future__ import annotations

from pyrunc.plan.limits import bitmap
from pyrunc.plan.ops import Op
from pyrunc.plan.resources.cpu import weight
from pyrunc.spec import lists, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.plan.facts import SystemdFacts
    from pyrunc.spec.types import CPU, BlockIO, Memory, Resources

_TOP = "linux.resources."
#: No limit; of a weight, that none is set.
INFINITY = (1 << 64) - 1
#: In a property's place: systemd older than that has it not, and leaves the file alone.
SINCE = {
    "CPUQuotaPeriodUSec": 242, "AllowedCPUs": 244, "AllowedMemoryNodes": 244, "MemoryZSwapMax": 253, "OOMPolicy": 253,
}  # fmt: skip
_IDLE_SINCE = 252
#: The kernel's cpu.cfs_period_us where nobody sets one.
_PERIOD = 100_000
_SECOND = 1_000_000
#: systemd keeps the quota of a transient unit as a whole percentage of a CPU.
_PERCENT = _SECOND // 100

#: Files of ``unified`` with a number or "max" in them.
_NUMBERS = {
    "memory.high": "MemoryHigh", "memory.low": "MemoryLow", "memory.max": "MemoryMax", "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax", "memory.zswap.max": "MemoryZSwapMax", "pids.max": "TasksMax",
    "cpu.weight": "CPUWeight",
}  # fmt: skip
#: Of these, which can be 0; systemd refuses it for the others.
_FROM_ZERO = ("MemoryLow", "MemoryMin", "MemorySwapMax", "MemoryZSwapMax")
_SETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}
#: Before 250 systemd writes IOWeight to io.bfq.weight as it is (249 a tenth of it), before 243 not at all.
_BFQ_SCALE_SINCE = 250
#: A step of io.bfq.weight above its default of 100 is that many of IOWeight: up to 1000 the one, to 10000 the other.
_BFQ_DEFAULT, _BFQ_STEP = 100, 11
_SUFFIXES = {letter: 1 << (number + 1) * 10 for number, letter in enumerate("kmgtpe")}


def properties(resources: Resources, cgroups: Mapping[str, str], systemd: SystemdFacts) -> list[Op]:
    """Ops ``systemd_property``, one a property; ``cgroups`` are the container's, by controller, ``""`` for cgroup2."""
    found = _Properties(systemd["version"], bfq=systemd["bfq"])
    if cgroups.keys() <= {""}:
        _memory(found, resources.get("memory") or {})
        _cpu(found, resources.get("cpu") or {})
        _tasks(found, resources)
        _io(found, resources.get("blockIO") or {})
        _unified(found, resources.get("unified") or {})
    else:
        _v1(found, resources, cgroups)
    return [Op("systemd_property", (name, value), where) for name, (value, where) in found.values.items()]


class _Properties:
    """By name, since the last one counts, with the config's path that each is for."""

    __slots__ = ("bfq", "values", "version")

    def __init__(self, version: int, *, bfq: bool) -> None:
        self.version = version
        self.bfq = bfq
        self.values: dict[str, tuple[str, str]] = {}

    def number(self, field: str, name: str, value: int) -> None:
        self.text(field, name, f"uint64 {value if value >= 0 else INFINITY}")

    def text(self, field: str, name: str, value: str) -> None:
        if SINCE.get(name, 0) <= self.version:
            self.values.pop(name, None)
            self.values[name] = value, _TOP + field

    def set(self, field: str, name: str, text: str) -> None:
        """A list such as 0-3,7; of a malformed one the kernel will say what is wrong."""
        if lists.numbers(text):
            octets = ", ".join(f"0x{octet:02x}" for octet in bitmap(text).rstrip(b"\0"))
            self.text(field, name, f"@ay [{octets}]")


def _memory(found: _Properties, memory: Memory) -> None:
    """The same conversion as in the files: pyrunc.plan.resources.memory."""
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if limit:
        found.number("memory.limit", "MemoryMax", limit)
    if swap == -1:
        found.number("memory.swap", "MemorySwapMax", -1)
    elif swap and limit > 0:
        found.number("memory.swap", "MemorySwapMax", swap - limit)
    elif limit == -1:
        found.number("memory.limit", "MemorySwapMax", -1)
    if memory.get("reservation"):
        found.number("memory.reservation", "MemoryLow", memory["reservation"])


def _cpu(found: _Properties, cpu: CPU) -> None:
    if cpu.get("shares"):
        found.number("cpu.shares", "CPUWeight", weight(cpu["shares"]))
    _idle(found, "cpu.idle", cpu.get("idle"))
    _quota(found, cpu)
    for key, name in (("cpus", "AllowedCPUs"), ("mems", "AllowedMemoryNodes")):
        found.set(f"cpu.{key}", name, cpu.get(key, ""))  # type: ignore[arg-type]


def _idle(found: _Properties, field: str, idle: int | None) -> None:
    """A weight of 0 stands for it; to be idle no more takes another weight."""
    if found.version < _IDLE_SINCE:
        return
    if idle == 1:
        found.number(field, "CPUWeight", 0)
    elif idle == 0 and "CPUWeight" not in found.values:
        found.number(field, "CPUWeight", INFINITY)


def _quota(found: _Properties, cpu: CPU) -> None:
    quota, period = cpu.get("quota", 0), cpu.get("period", 0)
    if period:
        found.number("cpu.period", "CPUQuotaPeriodUSec", period)
    if quota or period:
        field = "cpu.quota" if quota else "cpu.period"
        found.number(field, "CPUQuotaPerSecUSec", _per_second(quota, period or _PERIOD))


def _per_second(quota: int, period: int) -> int:
    """Rounded up to a percentage, so that what is below the container can have what its config says."""
    return -(-quota * _SECOND // period // _PERCENT) * _PERCENT if quota > 0 else INFINITY


def _tasks(found: _Properties, resources: Resources) -> None:
    limit = (resources.get("pids") or {}).get("limit")
    if limit is not None:
        found.number("pids.limit", "TasksMax", limit if limit < 0 else max(limit, 1))


def _io(found: _Properties, io: BlockIO) -> None:
    if not io.get("weight"):
        return
    if found.bfq:
        _bfq_weight(found, "blockIO.weight", io["weight"])
    else:
        from pyrunc.plan.resources.blockio import weight as io_weight

        found.number("blockIO.weight", "IOWeight", io_weight(io["weight"]))


def _bfq_weight(found: _Properties, field: str, weight: int) -> None:
    """The IOWeight of which systemd makes that io.bfq.weight, when it writes its default or this one."""
    above = weight - _BFQ_DEFAULT
    scaled = found.version >= _BFQ_SCALE_SINCE and above > 0
    found.number(field, "IOWeight", _BFQ_DEFAULT + above * _BFQ_STEP if scaled else weight)


def _unified(found: _Properties, files: Mapping[str, str]) -> None:
    for file, text in files.items():
        field, words = paths.join("unified", file), text.split()
        value = _number(words[0]) if len(words) == 1 else None
        if file in _NUMBERS and value is not None:
            if value or _NUMBERS[file] in _FROM_ZERO:
                found.number(field, _NUMBERS[file], value)
        elif file in ("io.weight", "io.bfq.weight"):
            _weight(found, field, file, text)
        elif file in _SETS:
            found.set(field, _SETS[file], text.strip())
        elif file == "cpu.idle" and value in (0, 1):
            _idle(found, field, value)
        elif file == "cpu.max" and 1 <= len(words) <= 2:
            _max(found, field, words)
        elif file == "memory.oom.group" and value in (0, 1):
            found.text(field, "OOMPolicy", "'kill'" if value else "'continue'")


def _weight(found: _Properties, field: str, file: str, text: str) -> None:
    """``N`` or ``default N``; lines of devices are in the file alone.  io.weight is what IOWeight itself means."""
    for line in text.splitlines():
        words = line.split()
        value = _number(words[-1]) if words[:-1] in ([], ["default"]) and words else None
        if not value:
            continue
        if file == "io.weight":
            found.number(field, "IOWeight", value)
        elif found.bfq:
            _bfq_weight(found, field, value)


def _max(found: _Properties, field: str, words: list[str]) -> None:
    quota, period = _number(words[0]), _number(words[1]) if len(words) == 2 else 0
    if quota is None or period is None or period < 0 or quota == 0:
        return  # the kernel will refuse it
    if period:
        found.number(field, "CPUQuotaPeriodUSec", period)
    found.number(field, "CPUQuotaPerSecUSec", _per_second(quota, period or _PERIOD))


def _number(word: str) -> int | None:
    """A number as the kernel reads it (memparse), -1 for max, None for what is none."""
    if word == "max":
        return -1
    factor = _SUFFIXES.get(word[-1:].lower(), 1)
    digits = word[:-1] if factor > 1 else word
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 20:
        return None
    value = int(digits) * factor
    return value if value < INFINITY else None


def _v1(found: _Properties, resources: Resources, cgroups: Mapping[str, str]) -> None:
    """What systemd manages on v1; the rest of the controllers is none of its business there."""
    limit = (resources.get("memory") or {}).get("limit", 0)
    if limit and "memory" in cgroups:
        found.number("memory.limit", "MemoryLimit", limit)
    cpu = resources.get("cpu") or {}
    if "cpu" in cgroups:
        if cpu.get("shares"):
            found.number("cpu.shares", "CPUShares", cpu["shares"])
        _quota(found, cpu)
    if "pids" in cgroups:
        _tasks(found, resources)
    weight_of_io = (resources.get("blockIO") or {}).get("weight", 0)
    if weight_of_io and "blkio" in cgroups:
        found.number("blockIO.weight", "BlockIOWeight", weight_of_io)
