"""How one more process gets into a container's cgroups: when it joins, who moves it, where it is born."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.plan.exec import execute
from pyrunc.plan.kernel import CLONE_NEWCGROUP, CLONE_NEWNS, CLONE_NEWUSER
from tests.unit.plan import hosts
from tests.unit.plan.test_create import spec


def planned(namespaces: int, cgroups: dict[str, str] | None = None, **more: Any) -> list[tuple[Any, ...]]:
    config = spec()
    found = execute(
        config,
        config["process"],
        hosts.root_v2(),
        hosts.request(),
        namespaces=namespaces,
        cgroups={"": "/sys/fs/cgroup/box"} if cgroups is None else cgroups,
        setgroups_denied=False,
        chrooted=False,
        **more,
    )
    return [(op.name, *op.args) for op in found.ops]


def test_who_is_born_in_a_cgroup2_enters_its_cgroup_namespace_afterwards() -> None:
    """With nsdelegate the kernel lets nobody into a cgroup who comes from outside of his cgroup namespace."""
    ops = planned(CLONE_NEWNS | CLONE_NEWCGROUP)
    joins = [index for index, op in enumerate(ops) if op[0] == "join_pidfd"]
    (clone,) = [index for index, op in enumerate(ops) if op[0] == "clone"]
    assert [ops[index][2] for index in joins] == [CLONE_NEWNS, CLONE_NEWCGROUP]
    assert joins[0] < clone < joins[1] < [op[0] for op in ops].index("close_slots")


@pytest.mark.parametrize(
    ("namespaces", "cgroups"),
    [(CLONE_NEWCGROUP | CLONE_NEWUSER, None), (CLONE_NEWCGROUP, {"memory": "/memory"}), (CLONE_NEWCGROUP, {})],
)
def test_who_has_joined_before_or_joins_nothing_enters_all_namespaces_at_once(
    namespaces: int, cgroups: dict[str, str] | None
) -> None:
    names = [op[0] for op in planned(namespaces, cgroups)]
    assert names.count("join_pidfd") == 1
    assert names.index("join_pidfd") < names.index("clone")


def test_whom_systemd_moves_waits_for_that_before_anything_else() -> None:
    unit = {"name": "a.scope", "socket": "/bus", "description": "''"}
    ops = planned(CLONE_NEWNS, attach=(unit, "/below"))
    assert ops[:2] == [("sync",), ("systemd_attach", "a.scope", "/bus", "/below")]
    assert ops[2][0] != "sync"
