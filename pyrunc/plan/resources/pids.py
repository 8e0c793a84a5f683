"""pids: how many tasks may be in the cgroup.

runtime-spec config-linux.md "PIDs": -1 is no limit, 0 is a limit; kernel cgroup-v1/pids.rst, cgroup-v2.rst "PID".
"""

from __future__ import annotations

from pyrunc.plan.resources import MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.resources import Writes
    from pyrunc.spec.types import Pids


def both(writes: Writes, pids: Pids) -> None:
    limit = pids.get("limit")
    if limit is None:
        return
    if limit < 0:
        writes.write("pids.limit", "pids.max", MAX)
        return
    # To a cgroup with one process in it 0 and 1 are the same: no fork.  But 0 lets none be born in it either.
    value = max(limit, 1)
    if value == 1 and not writes.unified("pids"):
        # On v1 the process that clones the container's first one is in the cgroup, too.
        writes.write_late("pids.limit", "pids.max", value)
    else:
        writes.write("pids.limit", "pids.max", value)
