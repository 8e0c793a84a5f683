"""bundle: where config.json is, and where the bundle may be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from conformance.bundle import Bundle
from conformance.container import Container
from conformance.marks import decides

if TYPE_CHECKING:
    from conformance.runtime import Runtime
    from conformance.workshop import Maker, Workshop


@decides("bundle.container-format.config-required")
def test_a_directory_without_config_json_is_no_bundle(workshop: Workshop, runtime: Runtime) -> None:
    bundle = workshop.bundle()
    id = workshop.new_id()
    runtime.create(id, bundle.path).refused()
    runtime.state(id).refused()
    workshop.nothing_left()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("Config.json", marks=decides("bundle.container-format.config-name")),
        pytest.param("configuration.json", marks=decides("bundle.container-format.config-name")),
        pytest.param("rootfs/config.json", marks=decides("bundle.container-format.config-in-the-root")),
        pytest.param("config/config.json", marks=decides("bundle.container-format.config-in-the-root")),
        pytest.param("../config.json", marks=decides("bundle.container-format.config-in-the-root")),
    ],
)
def test_a_config_elsewhere_is_not_read(workshop: Workshop, container: Maker, name: str) -> None:
    box = container()
    box.bundle.write()
    place = box.bundle.path / name
    place.parent.mkdir(exist_ok=True)
    (box.bundle.path / "config.json").rename(place)
    box.bundle.written = box.bundle.snapshot()
    box.create_again(expect="error")
    box.gone()
    workshop.nothing_left()
    place.rename(box.bundle.path / "config.json")
    box.bundle.written = box.bundle.snapshot()
    box.create_again()


@decides("bundle.container-format.directory-is-no-part")
@pytest.mark.parametrize("name", ["two  words", "żółw-容器", "-a:b,c=d%s'\"\t"])
def test_the_name_of_the_directory_does_not_matter(workshop: Workshop, runtime: Runtime, name: str) -> None:
    above = workshop.directory(name)
    bundle = Bundle(above / name, workshop.config("report"), workshop.evidence)
    box = Container(runtime, bundle, workshop.new_id())
    box.pid_file = workshop.folder / "pid"
    workshop.containers.append(box)
    box.create()
    assert json.loads(runtime.state(box.id).stdout)["bundle"] == str(bundle.path)
    box.start()
    assert box.seen(box.wait()).mount("/proc").type == "proc"
