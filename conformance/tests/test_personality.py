"""config-linux#personality."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import pytest

from conformance.marks import decides, since
from conformance.support import caller
from conformance.support.refusal import accepted

if TYPE_CHECKING:
    from conformance.runtime import Runtime
    from conformance.seen import Seen
    from conformance.workshop import Maker, Workshop

#: PER_LINUX32 of personality(2), where its lower byte is the domain.
LINUX32 = 8


def seen_with(container: Maker, domain: str) -> Seen:
    box = container("report")
    box.config["linux"]["personality"] = {"domain": domain}
    box.run()
    return box.seen()


@since("1.0.2")
@decides("config-linux.personality.linux")
def test_the_domain_linux(container: Maker, runtime: Runtime) -> None:
    """Of a caller with the other one."""
    runtime.prefix = caller.command(personality=f"{LINUX32:x}")
    assert seen_with(container, "LINUX")["personality"] & 0xFF == 0


@since("1.0.2")
@decides("config-linux.personality.linux32")
def test_the_domain_linux32(container: Maker) -> None:
    seen = seen_with(container, "LINUX32")
    assert seen["personality"] & 0xFF == LINUX32
    if platform.machine() == "x86_64":
        assert seen["machine"] == "i686"


@since("1.0.2")
@pytest.mark.parametrize(
    "personality",
    [
        pytest.param({}, marks=decides("config-linux.personality.domain-required"), id="no domain"),
        pytest.param({"domain": "BSD"}, marks=decides("config-linux.personality.domain-unknown"), id="unknown"),
        pytest.param(
            {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]},
            marks=decides("config-linux.personality.flags"),
            id="flags",
        ),
    ],
)
def test_what_no_personality_may_be(workshop: Workshop, personality: dict[str, Any]) -> None:
    assert accepted(workshop, {"linux.personality": personality}) == []
