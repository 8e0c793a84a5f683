"""config-linux#network: classes and priorities of packets, which cgroup v1 alone has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import cgroup
from conformance.marks import decides, needs
from conformance.support import limits

if TYPE_CHECKING:
    from conformance.workshop import Workshop

pytestmark = [needs("root", "cgroups")]


@pytest.mark.parametrize(
    ("wish", "controller", "file", "line"),
    [
        pytest.param({"network.classID": 0x100001}, "net_cls", "net_cls.classid", str(0x100001), id="class",
                     marks=decides("config-linux.network.class-id")),
        pytest.param({"network.priorities": [{"name": "lo", "priority": 5}]}, "net_prio", "net_prio.ifpriomap", "lo 5",
                     id="priorities", marks=decides("config-linux.network.priorities")),
    ],
)  # fmt: skip
def test_it_is_applied_or_refused(workshop: Workshop, wish: limits.Wish, controller: str, file: str, line: str) -> None:
    if controller in cgroup.controllers():
        assert line in limits.limited(workshop, wish).read(controller, file).splitlines()
    else:
        assert limits.accepted(workshop, wish) == []


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"priority": 5}, id="no-name", marks=decides("config-linux.network.priorities-name-required")),
        pytest.param({"name": "no-such", "priority": 5}, id="unknown",
                     marks=decides("config-linux.network.priorities-name-unknown")),
        pytest.param({"name": "lo"}, id="no-priority",
                     marks=decides("config-linux.network.priorities-priority-required")),
    ],
)  # fmt: skip
def test_a_priority_that_cannot_be_is_refused(workshop: Workshop, entry: dict[str, Any]) -> None:
    assert limits.accepted(workshop, {"network.priorities": [entry]}) == []
