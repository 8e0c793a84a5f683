"""Takes the wait out of joining a v1 cgroup, by starting it early.

The first migration after a quiet time waits for an RCU grace period (percpu_down_write of
cgroup_threadgroup_rwsem: 5 to 10 ms here), those that follow for nothing.  So a child that joins the cgroup in
which it is already, which changes nothing, is started before the rest of the runtime is even loaded.  cgroup2
needs none of this: there the container is cloned into its cgroup.
"""

from __future__ import annotations

import posix

from pyrunc.host import files, helper
from pyrunc.plan.ops import Op
from pyrunc.plan.wire import encode

_pending: list[helper.Init] = []


def begin() -> None:
    """Start the child, if this host has v1 hierarchies in their usual place and none is on its way."""
    path = "" if _pending else _own_procs()
    if path:
        _pending.append(helper.Init(encode([Op("join_cgroup", (path,), "")])))


def end() -> None:
    """Reap what ``begin`` has started.  Any thread may: whoever takes the child out of the list waits for it."""
    while True:
        try:
            child = _pending.pop()
        except IndexError:
            return
        child.close()
        child.reap()


def _own_procs() -> str:
    """The cgroup.procs of this process in the v1 hierarchy of pids; "" where there is none (cgroups(7))."""
    if posix.geteuid() != 0:
        return ""
    fd = posix.open("/proc/self/cgroup", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        lines = posix.read(fd, 65536).decode("utf-8", "surrogateescape").split("\n")
    finally:
        posix.close(fd)
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "pids" and ".." not in path:
            procs = f"/sys/fs/cgroup/pids{path.rstrip('/')}/cgroup.procs"
            return procs if files.exists(procs) else ""
    return ""
