"""config-linux#seccomp: what each action does to a call."""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING, Any

import pytest

from conformance.marks import decides, needs, optional
from conformance.support.seccomp import call, policy, rule

if TYPE_CHECKING:
    from conformance.workshop import Maker

pytestmark = [needs("seccomp", "known-calls"), optional("linux.seccomp.enabled")]


def about(action: str, *more: str) -> list[pytest.MarkDecorator]:
    claims = [f"config-linux.seccomp.action-{action.lower().replace('_', '-')}", *more]
    return [decides(*claims), optional("linux.seccomp.actions", f"SCMP_ACT_{action}")]


@pytest.mark.parametrize(
    ("action", "way", "expected"),
    [
        pytest.param("KILL", "syscall", {"signal": signal.SIGSYS}, marks=about("KILL")),
        pytest.param("KILL_PROCESS", "syscall-thread", {"signal": signal.SIGSYS}, marks=about("KILL_PROCESS")),
        pytest.param("KILL_THREAD", "syscall-thread", {"returned": 0, "errno": 0}, marks=about("KILL_THREAD")),
        pytest.param("TRAP", "syscall-trap", {"handled": signal.SIGSYS}, marks=about("TRAP")),
        pytest.param("TRACE", "syscall", {"return": -1, "errno": errno.ENOSYS}, marks=about("TRACE")),
        pytest.param("LOG", "syscall", {"errno": 0}, marks=about("LOG")),
        pytest.param("ALLOW", "syscall", {"errno": 0}, marks=about("ALLOW")),
    ],
)
def test_an_action_is_taken(container: Maker, action: str, way: str, expected: dict[str, Any]) -> None:
    """What lets a call through is asked below a default that denies it."""
    box = container()
    default = "SCMP_ACT_ERRNO" if action in ("LOG", "ALLOW") else "SCMP_ACT_ALLOW"
    box.config["linux"]["seccomp"] = policy(default, rule(f"SCMP_ACT_{action}"))
    asked = call(way=way)
    found = box.report("=".join(asked)).answer(*asked)
    assert {key: found.get(key) for key in expected} == expected, found


@decides("config-linux.seccomp.action-errno")
def test_errno_fails_the_call_before_it_has_an_effect(container: Maker) -> None:
    box = container()
    denial = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    box.config["linux"]["seccomp"] = policy("SCMP_ACT_ALLOW", denial)
    seen = box.report("mkdir=/tmp/made", "stat=/tmp/made")
    assert seen.errno("mkdir", "/tmp/made") == errno.EPERM
    assert seen.errno("stat", "/tmp/made") == errno.ENOENT
    assert not (box.rootfs / "tmp" / "made").exists()
