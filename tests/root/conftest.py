"""Fixtures of the tests that need root: a container under test, and proof that nothing changed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.box import Box
from tests.root.sandboxes import Sandboxes
from tests.support.requirements import cgroup_mounts, demand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.bundles import Bundle
    from tests.support.command import Result

    NewBox = Callable[..., Box]

FOREVER = ("/bin/sleep", "100000")

#: A private mount namespace in which /sys/fs/cgroup is cgroup2 alone; the machine's own mounts stay untouched.
VIEW = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && "


@pytest.fixture
def runtime(request: pytest.FixtureRequest) -> Path:
    """The runtime under test; PYRUNC_TEST_RUNTIME names another one (with runc the tests prove themselves)."""
    other = os.environ.get("PYRUNC_TEST_RUNTIME")
    return Path(other) if other else Path(request.getfixturevalue("pyrunc"))


@pytest.fixture
def new_box(runtime: Path, root: Path, tmp_path: Path, ids: Callable[[], str], bundle: Callable[..., Bundle]) -> NewBox:
    """A factory of containers with a fresh bundle and id: ``new_box("/bin/sleep", "9")``."""

    def make(*args: str, runtime: Path = runtime) -> Box:
        return Box(runtime, root, ids(), bundle().args(*(args or ("/bin/probe",))), tmp_path)

    return make


@pytest.fixture
def box(new_box: NewBox) -> Box:
    """One container, not created yet, whose program is the probe."""
    return new_box()


@pytest.fixture
def sleeper(new_box: NewBox) -> Box:
    """A running container that sleeps."""
    return new_box(*FOREVER).started()


@pytest.fixture
def sandboxes(root: Path) -> Iterator[Sandboxes]:
    """A factory of sandboxes that are closed in the end."""
    made = Sandboxes(root)
    yield made
    made.close()


@pytest.fixture
def with_hugetlb() -> Iterator[Path]:
    """The top of a cgroup2 that has the controller hugetlb, which may be enabled there: that is taken back."""
    demand("hugetlb")
    top = Path(cgroup_mounts()[""])
    lock = os.open(top, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers enable it, too, and would lose it
        before = (top / "cgroup.subtree_control").read_text().split()
        yield top
        if "hugetlb" not in before:
            (top / "cgroup.subtree_control").write_text("-hugetlb")
    finally:
        os.close(lock)


@pytest.fixture
def on_cgroup2(run_command: Callable[..., Result], pyrunc: Path, root: Path) -> Callable[..., Result]:
    """Run a shell script, in which $P is the runtime with its root, where only cgroup2 is mounted."""

    def run(script: str, status: int = 0) -> Result:
        text = f"P='{pyrunc} --root {root}'; {VIEW}{script}"
        return run_command("unshare", "--mount", "--propagation", "private", "sh", "-c", text, status=status)

    return run
