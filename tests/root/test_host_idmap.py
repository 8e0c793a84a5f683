"""Id maps of a new user namespace, written as the plan says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import OpFailed
from pyrunc.host import execute
from pyrunc.plan.ops import Op

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root", "userns")


@pytest.fixture
def context() -> Iterator[execute.Context]:
    """Its pid is a process in a user namespace without maps."""
    child = subprocess.Popen(["unshare", "--user", "sh", "-c", "echo ready; exec sleep 100000"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
    made = execute.Context(lambda: "{}", "/", print)
    made.pid = child.pid
    yield made
    child.kill()
    child.wait()


def read(context: execute.Context, name: str) -> list[str]:
    return Path(f"/proc/{context.pid}/{name}").read_text().split()


def test_both_maps_are_written(context: execute.Context) -> None:
    op = Op("write_id_maps", ("0 1000 10\n10 5000 5\n", "0 2000 10\n", ""), "linux.uidMappings")
    execute.execute(op, context)
    assert read(context, "uid_map") == ["0", "1000", "10", "10", "5000", "5"]
    assert read(context, "gid_map") == ["0", "2000", "10"]
    assert read(context, "setgroups") == ["allow"]


def test_setgroups_is_denied_before_the_maps_where_asked(context: execute.Context) -> None:
    execute.execute(Op("write_id_maps", ("0 0 1\n", "0 0 1\n", "deny"), "linux.uidMappings"), context)
    assert read(context, "setgroups") == ["deny"]
    assert read(context, "gid_map") == ["0", "0", "1"]


def test_overlapping_ranges_are_refused_with_the_map_and_a_hint(context: execute.Context) -> None:
    op = Op("write_id_maps", ("0 1000 10\n5 5000 5\n", "0 0 1\n", ""), "linux.uidMappings")
    with pytest.raises(OpFailed) as caught:
        execute.execute(op, context)
    assert str(caught.value) == (
        f'linux.uidMappings: write "0 1000 10, 5 5000 5" to /proc/{context.pid}/uid_map: invalid argument '
        "(ranges must not overlap; every host id must be mapped in the caller's own user namespace)"
    )
