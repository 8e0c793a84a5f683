"""What the guest is: the facts that its other tests rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("guest")


def test_systemd_runs_and_all_controllers_of_cgroup2_are_there() -> None:
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    controllers = set(Path("/sys/fs/cgroup/cgroup.controllers").read_text().split())
    assert controllers >= {"cpu", "cpuset", "hugetlb", "io", "memory", "pids", "rdma"}
