"""config-linux#rdma, as far as a machine without such a device can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance.marks import decides, needs
from conformance.support import limits

if TYPE_CHECKING:
    from conformance.workshop import Workshop


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param({}, id="nothing", marks=decides("config-linux.rdma.either")),
        pytest.param({"hcaHandles": 3}, id="handles", marks=decides("config-linux.rdma.no-device")),
        pytest.param({"hcaHandles": 3, "hcaObjects": 100}, id="both", marks=decides("config-linux.rdma.no-device")),
    ],
)
@needs("root", "cgroups")
def test_limits_of_no_device_are_refused(workshop: Workshop, limit: dict[str, Any]) -> None:
    assert limits.accepted(workshop, {"rdma": {"nosuch0": limit}}) == []
