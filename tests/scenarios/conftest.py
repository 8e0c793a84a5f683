"""Fixtures of the scenarios: each runs under every caller of a runtime that people have."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.callers.containerd import IMAGE, Containerd
from tests.callers.enclosure import Enclosure
from tests.callers.engine import remove_cgroups
from tests.callers.podman import Podman
from tests.scenarios import by_containerd, by_hand, by_podman, from_python
from tests.scenarios.task import MARK, USER
from tests.support.bundles import make_rootfs
from tests.support.requirements import demand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.scenarios.task import Caller

CALLERS = ("by hand", "podman", "podman's flags", "containerd", "python")

#: What a caller needs beyond what all scenarios do.
_NEEDS = {
    "podman": ("podman", "conmon", "nsenter", "unshare", "cgroup1"),
    "podman's flags": ("podman", "conmon", "nsenter", "unshare", "cgroup1"),
    "containerd": ("containerd", "ctr", "nsenter", "unshare", "cgroup1"),
    "python": ("libseccomp",),
}


@pytest.fixture(scope="session")
def runtime(pyrunc: Path) -> str:
    return os.environ.get("PYRUNC_TEST_RUNTIME") or str(pyrunc)


@pytest.fixture(scope="session")
def image_rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the engines import."""
    return furnished(tmp_path_factory.mktemp("image") / "rootfs")


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory, runtime: str, image_rootfs: Path) -> Iterator[Podman]:
    directory = tmp_path_factory.mktemp("podman")
    with Enclosure(directory) as enclosure:
        engine = Podman(enclosure, directory, runtime)
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            tar.add(image_rootfs, arcname=".")
        (directory / "box.tar").write_bytes(out.getvalue())
        done = engine.do(runtime, "import", f"{directory}/box.tar", IMAGE)
        assert done.returncode == 0, done.stderr.decode()
        yield engine
    remove_cgroups(engine.cgroup)


@pytest.fixture(scope="session")
def containerd(tmp_path_factory: pytest.TempPathFactory, runtime: str, image_rootfs: Path) -> Iterator[Containerd]:
    directory = tmp_path_factory.mktemp("containerd")
    with Enclosure(directory) as enclosure, Containerd(enclosure, directory, runtime) as engine:
        engine.load(image_rootfs, user=f"{USER}:{USER}")
        yield engine
    engine.remove_cgroups()


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """The directory that all containers of a test share."""
    return furnished(tmp_path / "shared-rootfs")


@pytest.fixture(params=CALLERS)
def caller(
    request: pytest.FixtureRequest, runtime: str, rootfs: Path, root: Path, tmp_path: Path, ids: Callable[[], str]
) -> Iterator[Caller]:
    demand(*_NEEDS.get(request.param, ()))
    if request.param == "by hand":
        yield by_hand.Caller(Path(runtime), root, rootfs, tmp_path, ids)  # ids cleans up
        return
    made: by_podman.Caller | by_containerd.Caller | from_python.Caller
    if request.param == "containerd":
        engine = request.getfixturevalue("containerd")
        made = by_containerd.Caller(engine, IMAGE, rootfs, tmp_path)
    elif request.param == "python":
        made = from_python.Caller(root, rootfs)
    else:
        flags = request.param == "podman's flags"
        made = by_podman.Caller(request.getfixturevalue("podman"), IMAGE, rootfs, flags=flags)
    yield made
    made.close()


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host with a file that a scenario names, ``named``, and neighbours that it does not.

    Names and texts of those contain MARK, so that a search inside finds whatever comes through.
    """
    path = tmp_path / "host"
    (path / f"directory-{MARK}").mkdir(parents=True)
    (path / f"directory-{MARK}/below").write_text(f"{MARK}\n")
    (path / f"neighbour-{MARK}").write_text(f"{MARK}\n")
    (path / "named").write_text("named on purpose\n")
    (path / "named").chmod(0o600)
    return path


def furnished(rootfs: Path) -> Path:
    """The tests' rootfs with what a container of an engine needs, so that nobody makes a mount point in it."""
    make_rootfs(rootfs)
    for name in ("data", "input", "run", "shared", "work"):
        (rootfs / name).mkdir()
    (rootfs / "tmp/of-the-rootfs").touch()
    (rootfs / "etc/hostname").write_text("rootfs\n")
    (rootfs / "etc/hosts").touch()
    (rootfs / "etc/resolv.conf").touch()
    return rootfs
