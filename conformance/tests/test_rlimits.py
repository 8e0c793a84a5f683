"""config#posix-process: resource limits."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

import pytest

from conformance import needs
from conformance.marks import decides
from conformance.support.refusal import accepted

if TYPE_CHECKING:
    from conformance.workshop import Maker, Workshop

INFINITY = 2**64 - 1

#: Type -> its number (of most architectures), and soft and hard limits with which a small program runs.
LIMITS = {
    "RLIMIT_AS": (9, 2**33, 2**34),
    "RLIMIT_CORE": (4, 4096, 8192),
    "RLIMIT_CPU": (0, 1000, 2000),
    "RLIMIT_DATA": (2, 2**32, 2**33),
    "RLIMIT_FSIZE": (1, 2**30, 2**31),
    "RLIMIT_LOCKS": (10, 100, 200),
    "RLIMIT_MEMLOCK": (8, 65536, 131072),
    "RLIMIT_MSGQUEUE": (12, 65536, 131072),
    "RLIMIT_NICE": (13, 5, 10),
    "RLIMIT_NOFILE": (7, 500, 600),
    "RLIMIT_NPROC": (6, 10_000, 20_000),
    "RLIMIT_RSS": (5, 2**30, 2**31),
    "RLIMIT_RTPRIO": (14, 5, 10),
    "RLIMIT_RTTIME": (15, 10**9, 2 * 10**9),
    "RLIMIT_SIGPENDING": (11, 1000, 2000),
    "RLIMIT_STACK": (3, 2**21, 2**22),
}


def limit(type: str, soft: int, hard: int) -> dict[str, Any]:
    return {"type": type, "soft": soft, "hard": hard}


def may_have(type: str, hard: int) -> None:
    """Skip where nobody but a process with CAP_SYS_RESOURCE can have this hard limit."""
    own = resource.getrlimit(LIMITS[type][0])[1]
    if own != resource.RLIM_INFINITY and own < hard and (reason := needs.unmet("cap_sys_resource")):
        pytest.skip(f"needs cap_sys_resource: the own hard limit of {type} is {own}, and {reason}")


def named(type: str) -> str:
    return f"config.posix-process.rlimits-{type.removeprefix('RLIMIT_').lower()}"


@decides("config.posix-process.rlimits-soft", "config.posix-process.rlimits-hard")
@pytest.mark.parametrize("type", [pytest.param(type, marks=decides(named(type))) for type in LIMITS])
def test_a_limit_is_set(container: Maker, type: str) -> None:
    _, soft, hard = LIMITS[type]
    may_have(type, hard)
    box = container("report")
    box.config["process"]["rlimits"] = [limit(type, soft, hard)]
    box.run()
    assert box.seen()["rlimits"][type] == {"soft": soft, "hard": hard}


@decides("config.posix-process.rlimits-64-bit")
def test_a_limit_has_64_bits(container: Maker) -> None:
    may_have("RLIMIT_RSS", INFINITY)
    box = container("report")
    box.config["process"]["rlimits"] = [limit("RLIMIT_RSS", 2**63, INFINITY)]
    box.run()
    assert box.seen()["rlimits"]["RLIMIT_RSS"] == {"soft": 2**63, "hard": INFINITY}


GOOD = limit("RLIMIT_NOFILE", 500, 600)


def without(key: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in GOOD.items() if name != key}]


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(without("type"), marks=decides("config.posix-process.rlimits-type-required"), id="no type"),
        pytest.param(
            [limit("RLIMIT_NOTHING", 500, 600)],
            marks=decides("config.posix-process.rlimits-type-unknown"),
            id="unknown type",
        ),
        pytest.param(
            [limit("NOFILE", 500, 600)], marks=decides("config.posix-process.rlimits-type-unknown"), id="short type"
        ),
        pytest.param(without("soft"), marks=decides("config.posix-process.rlimits-soft-required"), id="no soft"),
        pytest.param(without("hard"), marks=decides("config.posix-process.rlimits-hard-required"), id="no hard"),
        pytest.param(
            [limit("RLIMIT_NOFILE", 600, 500)],
            marks=decides("config.posix-process.rlimits-soft-above-hard"),
            id="soft above hard",
        ),
        pytest.param(
            [GOOD, limit("RLIMIT_NOFILE", 400, 450)],
            marks=decides("config.posix-process.rlimits-duplicate"),
            id="twice",
        ),
    ],
)
def test_what_no_limit_may_be(workshop: Workshop, limits: list[dict[str, Any]]) -> None:
    assert accepted(workshop, {"process.rlimits": limits}) == []
