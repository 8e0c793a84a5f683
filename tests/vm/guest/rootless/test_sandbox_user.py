"""Sandboxes of an ordinary user whose limits are applied: by the user's systemd, and in a delegated cgroup."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc import OpFailed
from tests.root.conftest import sandboxes  # noqa: F401  # a fixture
from tests.support.command import run
from tests.vm.guest.engines import cgroup, settings
from tests.vm.guest.units import until_forgotten

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("guest", "user", "seccomp", "libseccomp", "systemd-run")

MIB = 1 << 20
LIMITS = {"memory.max": str(64 * MIB), "memory.swap.max": "0", "pids.max": "20", "cpu.max": "50000 100000"}
#: What a box has that is asked for no limits.
DEFAULTS = {"memory.max": str(1 << 30), "memory.swap.max": "0", "pids.max": "512", "cpu.max": "max 100000"}
GREEDY = ["python3", "-c", "x = b'x' * (200 << 20)"]


def test_limits_are_properties_of_a_unit_of_the_users_systemd(sandboxes: Sandboxes) -> None:  # noqa: F811
    box = sandboxes(cgroup_manager="systemd", memory="64m", pids=20, cpus=0.5)
    folder = cgroup(box.pid)
    assert folder.name == f"pyrunc-{box.id}.scope"
    assert LIMITS.items() <= settings(folder).items()
    result = box.run(GREEDY)
    assert (result.returncode, result.oom_killed) == (-9, True)
    assert box.run(["echo", "alive"]).stdout == b"alive\n"
    box.close()
    assert not folder.exists()
    until_forgotten(folder.name)


def test_a_box_that_systemd_makes_has_the_default_limits(sandboxes: Sandboxes) -> None:  # noqa: F811
    box = sandboxes(cgroup_manager="systemd")
    assert DEFAULTS.items() <= settings(cgroup(box.pid)).items()
    assert box.run(["sh", "-c", "ulimit -u"], text=True).stdout.strip() != "512"


def test_in_a_session_a_limit_is_refused_and_the_way_out_named(sandboxes: Sandboxes) -> None:  # noqa: F811
    with pytest.raises(OpFailed) as refused:
        sandboxes(memory="64m")
    assert refused.value.where == "memory (linux.resources.memory)"
    assert 'use cgroup_manager="systemd"' in refused.value.hint
    assert cgroup(sandboxes().pid) == cgroup(os.getpid())


LOOK = """
import json, os, sys
sys.path.insert(0, {checkout!r})
import pyrunc
from tests.vm.guest.engines import cgroup, settings
seen = []
for wanted in ({{"memory": "64m", "pids": 20, "cpus": 0.5}}, {{}}):
    with pyrunc.Sandbox(root={root!r}, **wanted) as box:
        folder = cgroup(box.pid)
        seen.append([str(folder), str(cgroup(os.getpid())), settings(folder), box.id])
    assert not folder.exists()
print(json.dumps(seen))
"""


def test_in_a_delegated_cgroup_limits_and_defaults_are_applied(
    delegated: Callable[[str | Path], Path], root: Path
) -> None:
    script = LOOK.format(checkout=str(Path(__file__).parents[4]), root=str(root))
    seen = json.loads(run(delegated(sys.executable), "-c", script).stdout)
    for (folder, own, files, id_), expected in zip(seen, (LIMITS, DEFAULTS), strict=True):
        assert folder == f"{os.path.dirname(own)}/{id_}"
        assert expected.items() <= files.items()


def test_the_command_has_limits_by_systemd(pyrunc: Path, root: Path) -> None:
    words = ("--systemd-cgroup", "sandbox", "--memory", "64m", "--", *GREEDY)
    assert run(pyrunc, "--root", root, *words, status=None).status == 137
