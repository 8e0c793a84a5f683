"""rdma: handles and objects of RDMA devices, by the name of the device; the same file on v1 and v2.

runtime-spec config-linux.md "RDMA"; kernel cgroup-v1/rdma.rst, cgroup-v2.rst "RDMA".
"""

from __future__ import annotations

from pyrunc.spec.paths import join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.plan.resources import Writes
    from pyrunc.spec.types import Rdma


def both(writes: Writes, rdma: Mapping[str, Rdma]) -> None:
    for device, limits in rdma.items():
        words = [device]
        if "hcaHandles" in limits:
            words.append(f"hca_handle={limits['hcaHandles']}")
        if "hcaObjects" in limits:
            words.append(f"hca_object={limits['hcaObjects']}")
        writes.write(join("rdma", device), "rdma.max", " ".join(words))
