"""config-linux#memory-policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import needs as machine
from conformance.marks import decides, needs, optional

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.workshop import Maker

#: linux/mempolicy.h: modes, and the flags that get_mempolicy(2) gives back with them.
MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
FLAGS = {"MPOL_F_NUMA_BALANCING": 1 << 13, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_STATIC_NODES": 1 << 15}
WITHOUT_NODES = ("MPOL_DEFAULT", "MPOL_LOCAL")

has_it = optional("linux.memoryPolicy")


def about(mode: str, **more: Any) -> dict[str, Any]:
    return {"mode": mode, **({} if mode in WITHOUT_NODES else {"nodes": "0"}), **more}


def refused(box: Container) -> None:
    """By create, or by start because it concerns the process."""
    if box.create(expect="any").status == 0:
        box.start(expect="error")


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(
            mode,
            marks=[
                decides(f"config-linux.memory-policy.{mode.removeprefix('MPOL_').lower().replace('_', '-')}"),
                optional("linux.memoryPolicy.modes", mode),
            ],
        )
        for mode in MODES
    ],
)
@has_it
@needs("numa")
def test_the_mode_is_that_of_the_process(container: Maker, mode: str) -> None:
    box = container()
    box.config["linux"]["memoryPolicy"] = about(mode)
    if mode in ("MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE") and machine.unmet(mode.lower()):
        refused(box)
        return
    found = box.report()["memoryPolicy"]
    assert found == {"mode": MODES[mode], "nodes": [] if mode in WITHOUT_NODES else [0]}


@decides("config-linux.memory-policy.nodes")
@has_it
@needs("numa")
@pytest.mark.parametrize("nodes", ["0", "0-0", "0,0"])
def test_nodes_are_those_of_the_policy(container: Maker, nodes: str) -> None:
    box = container()
    box.config["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": nodes}
    assert box.report()["memoryPolicy"] == {"mode": MODES["MPOL_BIND"], "nodes": [0]}


@pytest.mark.parametrize(
    "flag",
    [
        pytest.param(
            flag,
            marks=[
                decides(f"config-linux.memory-policy.flag-{flag.removeprefix('MPOL_F_').lower().replace('_', '-')}"),
                optional("linux.memoryPolicy.flags", flag),
            ],
        )
        for flag in FLAGS
    ],
)
@has_it
@needs("numa")
def test_a_flag_is_set_with_the_mode(container: Maker, flag: str) -> None:
    box = container()
    box.config["linux"]["memoryPolicy"] = about("MPOL_BIND", flags=[flag])
    assert box.report()["memoryPolicy"] == {"mode": MODES["MPOL_BIND"] | FLAGS[flag], "nodes": [0]}


BAD: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "mode-required": ("no-mode", [{"nodes": "0"}, {}]),
    "mode-unknown": ("unknown-mode", [{"mode": "MPOL_NOTHING"}, {"mode": ""}]),
    "nodes-invalid": ("nodes", [about("MPOL_BIND", nodes=nodes) for nodes in ("a", "1-0", "0,", "-1", "99999999")]),
    "nodes-missing": ("nodes-missing", [{"mode": mode} for mode in ("MPOL_BIND", "MPOL_INTERLEAVE")]),
    "nodes-excess": ("nodes-excess", [{"mode": mode, "nodes": "0"} for mode in WITHOUT_NODES]),
    "flags-unknown": ("flags", [about("MPOL_BIND", flags=[flag]) for flag in ("MPOL_F_NOTHING", "")]),
}


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(policy, id=f"{name}-{number}", marks=decides(f"config-linux.memory-policy.{claim}"))
        for claim, (name, policies) in BAD.items()
        for number, policy in enumerate(policies)
    ],
)
@has_it
@needs("numa")
def test_a_policy_that_cannot_be_is_refused(container: Maker, policy: dict[str, Any]) -> None:
    box = container()
    box.config["linux"]["memoryPolicy"] = policy
    refused(box)
