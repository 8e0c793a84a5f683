"""What to write to files of a cgroup, so that they say again what they said before a write.

Pure, and by the syntax of the kernel's files: cgroup-v1/, cgroup-v2.rst.
"""

from __future__ import annotations

#: Files with a line for each device or name -> what stands behind the name where there is no limit.
_LINES = {
    "blkio.throttle.read_bps_device": "0",
    "blkio.throttle.write_bps_device": "0",
    "blkio.throttle.read_iops_device": "0",
    "blkio.throttle.write_iops_device": "0",
    "blkio.bfq.weight_device": "0",
    "blkio.weight_device": "0",
    "blkio.leaf_weight_device": "0",
    "io.max": "rbps=max wbps=max riops=max wiops=max",
    "io.weight": "default",
    "io.bfq.weight": "default",
    "io.latency": "target=max",
    "rdma.max": "hca_handle=max hca_object=max",
    "net_prio.ifpriomap": "0",
}

#: Files that say something else after a write to another one: the kernel gives a group that is not idle any more the
#: usual weight.
ALSO = {"cpu.idle": ("cpu.weight", "cpu.shares")}


def before(name: str, value: str, content: str) -> str:
    """``content`` is what file ``name`` held before ``value`` was written to it."""
    lines = content.splitlines()
    if name in _LINES and " " in value and not value.startswith("default "):
        key = value.split(maxsplit=1)[0]
        return next((line for line in lines if line.split()[:1] == [key]), f"{key} {_LINES[name]}")
    if name == "memory.oom_control":
        return next((line.split()[1] for line in lines if line.startswith("oom_kill_disable ")), "0")
    if name == "cgroup.subtree_control":
        enabled = content.split()
        return " ".join(("+" if word[1:] in enabled else "-") + word[1:] for word in value.split())
    if lines and lines[0].startswith("default "):
        return lines[0]
    # An empty cpuset is made with a line that is empty: a write of nothing does not reach the kernel.
    return content.strip() or "\n"


def is_kept(name: str) -> bool:
    """Whether what is written to a file stays: a trigger of pressure ends with the descriptor that it is written to."""
    return not name.endswith(".pressure") or name == "cgroup.pressure"


def devices(content: str) -> list[tuple[str, str]]:
    """(file, value) for each write that lets ``devices.list`` of v1 say ``content`` again.

    Where everything is allowed, the kernel does not say what is denied nevertheless: that becomes what it is in the
    cgroup above.
    """
    lines = content.splitlines()
    if any(line.startswith("a ") for line in lines):
        return [("devices.allow", "a")]
    return [("devices.deny", "a"), *(("devices.allow", line) for line in lines)]
