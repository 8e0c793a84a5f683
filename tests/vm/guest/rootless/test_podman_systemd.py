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

#: The guest's own systemd; a busy machine takes its time to bring it up.
ROOT = [f"--volume=/usr/{name}:/{name}:ro" for name in ("bin", "sbin", "lib", "lib64")]
OPTIONS = [*ROOT, "--volume=/usr:/usr:ro", "--tmpfs=/etc", "--tmpfs=/var", "--net=none", "--memory=256m"]
SYSTEMD = ["/usr/lib/systemd/systemd", "--unit=basic.target"]
UP = 'until state=$(systemctl is-system-running --wait 2>&1); do [ "$state" = degraded ] && break; sleep 0.2; done'


def test_systemd_runs_is_entered_stopped_and_started_again(tmp_path: Path) -> None:
    engines.imported(tmp_path)
    engine = engines.Engine("systemd", "pyrunc")
    name = f"guest-{uuid.uuid4().hex[:12]}"
    try:
        engine("run", "--detach", "--name", name, "--systemd=always", *OPTIONS, engines.IMAGE, *SYSTEMD)
        first = entered(engine, name)
        engine("stop", "--time=100", name)  # SIGRTMIN+3, upon which systemd ends itself
        state = json.loads(engine("inspect", "--format={{json .State}}", name).stdout)
        assert (state["Status"], state["ExitCode"]) == ("exited", 0)
        assert not first.exists()
        engine("start", name)
        assert entered(engine, name).name == first.name
    finally:
        engine("rm", "--force", "--time=0", "--ignore", name)


def entered(engine: engines.Engine, name: str) -> Path:
    """Run programs in the container once its systemd is up; the cgroup of its unit."""
    engine("exec", name, "sh", "-c", UP)
    # The container's own cgroup gives controllers to others by now, and takes no process: systemd's own does.
    assert engine("exec", name, "cat", "/proc/self/cgroup", "/proc/1/cgroup").stdout == "0::/init.scope\n" * 2
    pid = int(engine("inspect", "--format={{.State.Pid}}", name).stdout)
    folder = engines.cgroup(pid)
    assert folder.name == "init.scope"
    assert (folder.parent / "cgroup.subtree_control").read_text().split()
    assert (folder.parent / "memory.max").read_text() == f"{256 << 20}\n"
    return folder.parent
