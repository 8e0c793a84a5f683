"""Fixtures of the tests that drive real container engines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.callers import cri as cri_plugin
from tests.callers import docker as docker_daemon
from tests.callers.containerd import Containerd
from tests.callers.cri import Cri
from tests.callers.ctr import Ctr
from tests.callers.docker import Docker
from tests.callers.enclosure import Enclosure
from tests.callers.engine import pairs, remove_cgroups
from tests.callers.podman import Podman

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.callers.engine import Both

# podman takes the ranges of --userns=auto from the user "containers".
_SUBORDINATE_IDS = """\
echo containers:200000:200000 >/run/subid
touch /etc/subuid /etc/subgid
mount --bind /run/subid /etc/subuid
mount --bind /run/subid /etc/subgid
"""


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Podman]:
    """podman in an enclosure of this worker, shared by its tests.

    PYRUNC_TEST_RUNTIME names another runtime to test: with runc the harness proves itself.
    """
    directory = tmp_path_factory.mktemp("podman")
    runtime = os.environ.get("PYRUNC_TEST_RUNTIME") or str(request.getfixturevalue("pyrunc"))
    with Enclosure(directory, setup=_SUBORDINATE_IDS) as enclosure:
        engine = Podman(enclosure, directory, runtime)
        yield engine
    remove_cgroups(engine.cgroup)


@pytest.fixture
def both(podman: Podman) -> Iterator[Both]:
    """Start the same detached container with runc and with the runtime under test, under podman."""
    with pairs(podman) as start:
        yield lambda *arguments: start("--net=none", "--hostname=box", *arguments)


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Docker]:
    """dockerd in an enclosure of this worker, shared by its tests."""
    directory = tmp_path_factory.mktemp("docker")
    path = os.environ.get("PYRUNC_TEST_RUNTIME") or str(request.getfixturevalue("pyrunc"))
    with Enclosure(directory, setup=docker_daemon.SETUP) as enclosure, Docker(enclosure, directory, path) as engine:
        yield engine
    remove_cgroups(engine.cgroup)


@pytest.fixture
def dockers(docker: Docker) -> Iterator[Both]:
    """Start the same detached container with runc and with the runtime under test, under docker."""
    with pairs(docker) as start:
        yield lambda *arguments: start("--hostname=box", *arguments)


@pytest.fixture(scope="session")
def ctr(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Ctr]:
    """containerd in an enclosure of this worker, without a CRI plugin; PYRUNC_TEST_RUNTIME as above."""
    directory = tmp_path_factory.mktemp("containerd")
    runtime = os.environ.get("PYRUNC_TEST_RUNTIME") or str(request.getfixturevalue("pyrunc"))
    with Enclosure(directory) as enclosure, Containerd(enclosure, directory, runtime) as containerd:
        yield Ctr(containerd)
    containerd.remove_cgroups()


@pytest.fixture(scope="session")
def cri(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Cri]:
    """containerd with its CRI plugin in an enclosure of this worker; PYRUNC_TEST_RUNTIME as above."""
    directory = tmp_path_factory.mktemp("cri")
    pyrunc = request.getfixturevalue("pyrunc")
    runtime = os.environ.get("PYRUNC_TEST_RUNTIME") or str(pyrunc)
    with (
        Enclosure(directory, setup=cri_plugin.SETUP) as enclosure,
        cri_plugin.daemon(enclosure, directory, pyrunc, runtime) as containerd,
        Cri(containerd) as client,
    ):
        yield client
    containerd.remove_cgroups()
