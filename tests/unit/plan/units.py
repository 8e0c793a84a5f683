"""Plans with systemd as the cgroup manager, and what they tell it."""

from __future__ import annotations

from typing import Any

from pyrunc.plan.create import create
from tests.unit.plan import hosts
from tests.unit.plan.test_create import refusals

V2 = {"": "/two"}
V1 = {"memory": "/memory", "cpu": "/cpu", "pids": "/pids", "blkio": "/blkio", "": "/unified"}


def host(facts: Any = None, *, user: bool = False) -> Any:
    return hosts.with_systemd(facts or (hosts.user() if user else hosts.root_v2()), user=user)


def planned(config: Any, facts: Any = None, **request: Any) -> Any:
    return create(config, facts or host(), hosts.request(cgroup_manager="systemd", **request))


def given_to(plan: Any) -> dict[str, str]:
    return {op.args[0]: op.args[1] for op in plan.ops if op.name == "systemd_property"}


def wrong(config: Any, facts: Any = None, **request: Any) -> list[str]:
    return refusals(config, facts or host(), cgroup_manager="systemd", **request)
