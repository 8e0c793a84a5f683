"""config-linux#namespaces: those that are joined by path, and what is refused."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest

from conformance import config
from conformance.marks import decides, needs
from conformance.support.namespaces import KINDS, Holder
from conformance.tests.test_namespaces import each_type

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.workshop import Maker, Workshop


def refused(box: Container) -> None:
    box.create(expect="error")
    box.gone()


@each_type("path-KIND")
@needs("root")
def test_the_namespace_at_path_is_joined(container: Maker, kind: str) -> None:
    """That of users has the host's ids, and that of mounts is a private copy of the host's."""
    with Holder(kind) as holder:
        box = container()
        config.add_namespace(box.config, kind, holder.path(kind))
        assert box.report()["namespaces"][KINDS[kind][0]] == holder.link(kind)


@decides("config-linux.namespaces.path-absolute")
@needs("root")
def test_a_relative_path_is_refused(workshop: Workshop, container: Maker) -> None:
    box = container()
    config.add_namespace(box.config, "network", "ns/net")
    box.bundle.write()
    with Holder("network") as holder:
        place = workshop.directory("here")
        for folder in (place, box.bundle.path, box.rootfs):
            (folder / "ns").symlink_to(f"/proc/{holder.pid}/ns")
        box.bundle.written = box.bundle.snapshot()
        workshop.runtime.call("create", "--bundle", box.bundle.path, box.id, cwd=place).refused()
    box.gone()


PAIRS = [
    (wanted, other)
    for wanted, other in itertools.permutations(("network", "ipc", "uts", "pid", "cgroup", "user", "mount"), 2)
    if "user" not in (wanted, other) or "ipc" in (wanted, other)
]


@decides("config-linux.namespaces.path-of-another-type")
@needs("root")
@pytest.mark.parametrize("wanted", sorted({wanted for wanted, _ in PAIRS}))
def test_a_namespace_of_another_type_is_refused(container: Maker, wanted: str) -> None:
    for other in [other for kind, other in PAIRS if kind == wanted]:
        box = container()
        config.add_namespace(box.config, wanted, f"/proc/self/ns/{KINDS[other][0]}")
        with Holder(other) as holder:
            config.add_namespace(box.config, wanted, holder.path(other))
            refused(box)


@decides("config-linux.namespaces.path-no-namespace", "config-linux.namespaces.path-missing")
@pytest.mark.parametrize("what", ["file", "directory", "missing"])
@pytest.mark.parametrize("kind", ["network", "ipc"])
def test_a_path_without_a_namespace_is_refused(workshop: Workshop, container: Maker, what: str, kind: str) -> None:
    place = workshop.directory("places")
    (place / "file").write_text("")
    (place / "directory").mkdir()
    box = container()
    config.add_namespace(box.config, kind, str(place / what))
    refused(box)


@decides("config-linux.namespaces.duplicate")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "time"])
def test_a_type_that_stands_twice_is_refused(container: Maker, kind: str) -> None:
    for path in ({}, {"path": f"/proc/{os.getpid()}/ns/{KINDS[kind][0]}"}):
        box = container()
        config.drop_namespace(box.config, kind)
        if kind == "user":
            config.user_namespace(box.config)
            config.drop_namespace(box.config, "user")
        box.config["linux"]["namespaces"] += [{"type": kind}, {"type": kind, **path}]
        refused(box)


@pytest.mark.parametrize(
    "namespace",
    [
        pytest.param({}, marks=decides("config-linux.namespaces.type-required"), id="no-type"),
        pytest.param({"type": "nosuch"}, marks=decides("config-linux.namespaces.type-unknown"), id="unknown"),
        pytest.param({"type": ""}, marks=decides("config-linux.namespaces.type-unknown"), id="empty"),
    ],
)
def test_a_namespace_needs_a_type_that_exists(container: Maker, namespace: dict[str, Any]) -> None:
    box = container()
    box.config["linux"]["namespaces"].append(namespace)
    refused(box)
