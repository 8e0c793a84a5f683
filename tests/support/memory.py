"""What a process costs: its share of memory, and what its cgroup is charged with."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.requirements import cgroup_mounts


def pss(pid: int) -> int:
    """Bytes of memory, pages that are shared divided by those who share them (proc_pid_smaps(5))."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def charged(pid: int) -> int:
    """Bytes that the memory cgroup of a process is charged with, the kernel's among them."""
    mounts = cgroup_mounts()
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in mounts and "memory" in controllers.split(","):
            return int(Path(mounts["memory"] + path, "memory.usage_in_bytes").read_text())
        if "memory" not in mounts and not controllers:
            return int(Path(mounts[""] + path, "memory.current").read_text())
    raise ValueError(f"process {pid} has no memory cgroup")
