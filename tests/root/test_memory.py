"""What a container pays for pyrunc: nothing of Python in its cgroup, and an init that fits where it can run at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyrunc
from tests.support import programs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.bundles import Bundle

pytestmark = pytest.mark.needs("root", "cgroup1")

MIB = 1 << 20
BENCH = Path(__file__).parents[1] / "bench"


def memory_cgroup(pid: int) -> Path:
    """The v1 memory cgroup of a process."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory" + path)
    raise AssertionError("no memory cgroup")


@pytest.fixture
def created(bundle: Callable[..., Bundle], container_id: str, root: Path) -> pyrunc.Container:
    made = bundle().edit(linux__resources={"memory": {"limit": 16 * MIB}}).args("true")
    return pyrunc.Container.create(container_id, made, root=str(root))


def test_before_start_only_the_init_is_in_the_cgroup_and_it_is_small(created: pyrunc.Container) -> None:
    pid = created.state()["pid"]
    cgroup = memory_cgroup(pid)
    assert cgroup.joinpath("cgroup.procs").read_text().split() == [str(pid)]
    resident = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert resident
    assert int(resident[1]) < 300
    # Its peak: whatever ran there before, an interpreter would have left megabytes.
    assert int(cgroup.joinpath("memory.max_usage_in_bytes").read_text()) < MIB
    assert Path(f"/proc/{pid}/exe").readlink().as_posix().startswith("/memfd:pyrunc-init")
    created.delete(force=True)


def test_a_static_program_runs_in_one_mebibyte(bundle: Callable[..., Bundle], container_id: str, root: Path) -> None:
    made = bundle().edit(linux__resources={"memory": {"limit": MIB, "swap": MIB}})
    made.rootfs.joinpath("bin/static").write_bytes(programs.static("true", BENCH).read_bytes())
    made.rootfs.joinpath("bin/static").chmod(0o755)
    container = pyrunc.Container.create(container_id, made.args("/bin/static"), root=str(root))
    cgroup = memory_cgroup(container.state()["pid"])
    assert cgroup.joinpath("memory.limit_in_bytes").read_text().strip() == str(MIB)
    container.start()
    assert container.wait(timeout=60) == 0
    container.delete()
