"""What to write to a file of a cgroup, so that it says again what it said before a write.

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


def before(name: str, value: str, content: str) -> str:
    """``content`` is what file ``name`` held before ``value`` was written to it."""
    lines = content.splitlines()
    if name in _LINES and " " in value and not value.startswith("default "):
        key = value.split(maxsplit=1)[0]
        return next((line for line in lines if line.split()[:1] == [key]), f"{key} {_LINES[name]}")
    if name == "memory.oom_control":
        return next((line.split()[1] for line in lines if line.startswith("oom_kill_disable ")), "0")
    if lines and lines[0].startswith("default "):
        return lines[0]
    # An empty cpuset is made with a line that is empty: a write of nothing does not reach the kernel.
    return content.strip() or "\n"
