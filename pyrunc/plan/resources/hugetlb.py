"""hugepageLimits: reservations of huge pages where the kernel counts these (5.7), and pages in use everywhere.

runtime-spec config-linux.md "Huge page limits"; kernel cgroup-v1/hugetlb.rst, cgroup-v2.rst "HugeTLB".
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.plan.resources import Writes
    from pyrunc.spec.types import HugepageLimit


def both(writes: Writes, limits: Sequence[HugepageLimit]) -> None:
    file = "max" if writes.unified("hugetlb") else "limit_in_bytes"
    for index, entry in enumerate(limits):
        size = entry["pageSize"]
        field = f"hugepageLimits[{index}]"
        writes.write(field, f"hugetlb.{size}.{file}", entry["limit"])
        writes.write_if_there(field, f"hugetlb.{size}.rsvd.{file}", entry["limit"])
