"""Refusals of the kernel and of the plan, in the words of who asked for a sandbox."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from pyrunc.errors import OpFailed, SpecError, Violation
from pyrunc.host import probe
from pyrunc.sandbox import refusal

ROOTLESS: Any = {"linux": {"namespaces": [{"type": "pid"}, {"type": "user"}]}}
ROOT: Any = {"linux": {"namespaces": [{"type": "pid"}]}}


def test_the_argument_stands_in_front_of_the_config_path() -> None:
    error = refusal.told(OpFailed("no", op="cgroup_write", where="linux.resources.memory.limit"), ROOT)
    assert str(error) == "memory (linux.resources.memory.limit): no"
    error = refusal.told(OpFailed("no", op="open_tree", where="mounts[3]"), ROOT)
    assert str(error) == "mounts[3]: no"
    found = refusal.told(SpecError([Violation("linux.resources.pids.limit", "a"), Violation("hostname", "b")]), ROOT)
    assert str(found) == "pids (linux.resources.pids.limit): a\nhostname: b"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"user/max_user_namespaces": "0\n"}, "user.max_user_namespaces is 0"),
        ({"kernel/unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone is 0"),
        ({"kernel/apparmor_restrict_unprivileged_userns": "1"}, "apparmor_restrict_unprivileged_userns is 1"),
        ({"user/max_user_namespaces": "1000"}, "hint of the op"),
    ],
)
def test_a_host_without_user_namespaces_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], text: str
) -> None:
    def read(path: str) -> str:
        try:
            return settings[path.removeprefix("/proc/sys/")]
        except KeyError:
            raise FileNotFoundError(path) from None

    monkeypatch.setattr(probe, "read", read)

    def refused() -> OpFailed:
        return OpFailed("clone3", op="clone", errno=errno.EPERM, where="linux.namespaces", hint="hint of the op")

    assert text in str(refusal.told(refused(), ROOTLESS))
    assert "hint of the op" in str(refusal.told(refused(), ROOT))
