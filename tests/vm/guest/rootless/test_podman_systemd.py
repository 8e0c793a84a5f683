"""A container of an ordinary user's podman whose first process is a systemd, which has its cgroup to itself."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.vm.guest import engines

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.needs("guest", "user", "podman"), pytest.mark.timeout(600)]

#: The guest's own systemd.
ROOT = [f"--volume=/usr/{name}:/{name}:ro" for name in ("bin", "sbin", "lib", "lib64")]
OPTIONS = [*ROOT, "--volume=/usr:/usr:ro", "--tmpfs=/etc", "--tmpfs=/var", "--net=none", "--memory=256m"]
SYSTEMD = ["/usr/lib/systemd/systemd", "--unit=basic.target"]


def test_systemd_runs_is_entered_stopped_and_started_again(tmp_path: Path) -> None:
    engines.imported(tmp_path)
    engine = engines.Engine("systemd", "pyrunc")
    name, pidfile = f"guest-{uuid.uuid4().hex[:12]}", tmp_path / "pid"
    options = [f"--pidfile={pidfile}", "--systemd=always", *OPTIONS]
    try:
        engine("run", "--detach", "--name", name, *options, engines.IMAGE, *SYSTEMD)
        folder = unit_of(int(pidfile.read_text()))
        # Its own cgroup takes no process when systemd, from the outset in one below, gives controllers to others.
        engines.until(lambda: bool((folder / "cgroup.subtree_control").read_text().strip()), "cgroups of systemd's")
        assert (folder / "memory.max").read_text() == f"{256 << 20}\n"
        told = engine("exec", name, "cat", "/proc/self/cgroup", "/proc/1/cgroup").stdout
        assert told == "0::/init.scope\n" * 2
        engine("stop", "--time=100", name)  # SIGRTMIN+3, upon which systemd ends itself
        state = json.loads(engine("inspect", "--format={{json .State}}", name).stdout)
        assert (state["Status"], state["ExitCode"]) == ("exited", 0)
        assert not folder.exists()
        engine("start", name)
        assert unit_of(int(pidfile.read_text())) == folder
        assert engine("exec", name, "cat", "/proc/1/comm").stdout == "systemd\n"
    finally:
        engine("rm", "--force", "--time=0", "--ignore", name)


def unit_of(pid: int) -> Path:
    """The cgroup of the container's unit."""
    folder = engines.cgroup(pid)
    return folder.parent if folder.name == "init.scope" else folder
