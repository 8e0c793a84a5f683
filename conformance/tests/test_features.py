"""features, features-linux: what the optional verb says of the runtime itself, and whether it is so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from conformance import features, semver
from conformance.marks import decides, needs
from conformance.support import caller
from conformance.support.hooking import KINDS, Marks

if TYPE_CHECKING:
    from conformance.installed import Installed
    from conformance.runtime import Runtime
    from conformance.workshop import Maker, Workshop


@pytest.fixture
def told(installed: Installed, workshop: Workshop) -> dict[str, Any]:
    """The document; unsupported where the runtime has none."""
    found = features.told(installed)
    workshop.evidence.note("features", json.dumps(found))
    return found


@decides("features.features-structure.json")
def test_features_are_one_object(told: dict[str, Any], runtime: Runtime) -> None:
    again = json.loads(runtime.features().succeeded().stdout)
    assert isinstance(again, dict)
    assert again.keys() == told.keys()


@needs("root")
@decides("features.features-structure.host")
def test_features_are_the_same_for_another_user(told: dict[str, Any], runtime: Runtime) -> None:
    own = runtime.features().succeeded()
    runtime.prefix = ["env", "-i", *caller.command(user=65534)]
    assert json.loads(runtime.features().succeeded().stdout) == json.loads(own.stdout)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ociVersionMin", marks=decides("features.specification-version.oci-version-min")),
        pytest.param("ociVersionMax", marks=decides("features.specification-version.oci-version-max")),
    ],
)
def test_a_version_is_there_and_semantic(told: dict[str, Any], name: str) -> None:
    assert semver.parse(told.get(name)) is not None


@decides("features.specification-version.oci-version-order")
def test_the_highest_version_is_not_below_the_lowest(told: dict[str, Any]) -> None:
    low, high = semver.parse(told["ociVersionMin"]), semver.parse(told["ociVersionMax"])
    assert low is not None
    assert high is not None
    assert low <= high


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ociVersionMin", marks=decides("features.specification-version.oci-version-min-accepted")),
        pytest.param("ociVersionMax", marks=decides("features.specification-version.oci-version-max-accepted")),
    ],
)
def test_a_config_of_a_version_that_is_named_runs(told: dict[str, Any], container: Maker, name: str) -> None:
    box = container("echo", "it runs")
    box.config["ociVersion"] = told[name]
    box.run()
    assert box.output() == "it runs\n"


STRINGS, BOOL, OBJECT = "a list of strings", "true or false", "an object"

#: Each property of specification 1.3 -> what it is.
PROPERTIES = {
    "ociVersionMin": "a string",
    "ociVersionMax": "a string",
    "hooks": STRINGS,
    "mountOptions": STRINGS,
    "linux": OBJECT,
    "linux.namespaces": STRINGS,
    "linux.capabilities": STRINGS,
    "linux.cgroup": OBJECT,
    **{f"linux.cgroup.{name}": BOOL for name in ("v1", "v2", "systemd", "systemdUser", "rdma")},
    "linux.seccomp": OBJECT,
    "linux.seccomp.enabled": BOOL,
    **{f"linux.seccomp.{name}": STRINGS for name in ("actions", "operators", "archs", "knownFlags", "supportedFlags")},
    **{f"linux.{name}": OBJECT for name in ("apparmor", "selinux", "memoryPolicy", "intelRdt", "netDevices")},
    **{f"linux.{name}.enabled": BOOL for name in ("apparmor", "selinux", "intelRdt", "netDevices")},
    "linux.memoryPolicy.modes": STRINGS,
    "linux.memoryPolicy.flags": STRINGS,
    "linux.intelRdt.schemata": BOOL,
    "linux.intelRdt.monitoring": BOOL,
    "linux.mountExtensions": OBJECT,
    "linux.mountExtensions.idmap": OBJECT,
    "linux.mountExtensions.idmap.enabled": BOOL,
    "annotations": "a map of strings",
    "potentiallyUnsafeConfigAnnotations": STRINGS,
}

#: What a statement of its own says.
TYPED = {
    "hooks": "features.hooks.type",
    "mountOptions": "features.mount-options.type",
    "linux": "features.platform-specific-features.linux",
    "annotations": "features.annotations.map",
    "potentiallyUnsafeConfigAnnotations": "features.unsafe-annotations-in-configjson.type",
    "linux.namespaces": "features-linux.namespaces.type",
    "linux.capabilities": "features-linux.capabilities.type",
    "linux.cgroup.systemd": "features-linux.cgroup.systemd",
    "linux.cgroup.systemdUser": "features-linux.cgroup.systemd-user",
    "linux.cgroup.rdma": "features-linux.cgroup.rdma",
    "linux.selinux.enabled": "features-linux.selinux.enabled",
    "linux.intelRdt.enabled": "features-linux.intel-rdt.enabled",
    "linux.intelRdt.schemata": "features-linux.intel-rdt.schemata",
    "linux.intelRdt.monitoring": "features-linux.intel-rdt.monitoring",
}


def fits(value: Any, kind: str) -> bool:
    """Is it of this kind, null or absent?"""
    if value is None:
        return True
    if kind == STRINGS:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if kind == "a map of strings":
        return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    return isinstance(value, {BOOL: bool, OBJECT: dict, "a string": str}[kind])


@pytest.mark.parametrize("path", [pytest.param(path, marks=decides(claim)) for path, claim in TYPED.items()])
def test_a_property_has_its_type(told: dict[str, Any], path: str) -> None:
    assert fits(features.lookup(told, path), PROPERTIES[path])


@decides("features.features-structure.null")
def test_every_property_has_its_type_or_is_null(told: dict[str, Any]) -> None:
    assert [path for path, kind in PROPERTIES.items() if not fits(features.lookup(told, path), kind)] == []


def paths(value: dict[str, Any], before: str = "") -> list[str]:
    """Every property, without the keys of annotations."""
    found = []
    for name, inner in value.items():
        found.append(before + name)
        if isinstance(inner, dict) and before + name != "annotations":
            found += paths(inner, f"{before}{name}.")
    return found


@decides("features.specification-version.unknown-properties")
def test_there_is_no_property_that_the_specification_has_not(told: dict[str, Any]) -> None:
    version = semver.parse(told["ociVersionMax"])
    assert version is not None
    if version.numbers[:2] > (1, 3):
        pytest.skip("it is of a newer specification")
    assert [path for path in paths(told) if path not in PROPERTIES] == []


@decides("features.annotations.key-empty")
def test_no_annotation_has_an_empty_key(told: dict[str, Any]) -> None:
    assert "" not in (told.get("annotations") or {})


@decides("features.mount-options.file-system-options")
def test_options_of_file_systems_are_not_among_the_mount_options(told: dict[str, Any]) -> None:
    theirs = {"size", "mode", "uid", "gid", "nr_inodes", "ptmxmode", "newinstance"}
    assert theirs & {option.partition("=")[0] for option in told.get("mountOptions") or []} == set()


@decides("features.hooks.supported")
def test_every_kind_of_hook_is_run(told: dict[str, Any], workshop: Workshop, container: Maker) -> None:
    kinds = told.get("hooks") or []
    assert set(kinds) <= set(KINDS)
    box = container("exit", "0")
    marks = Marks(workshop, box)
    for kind in kinds:
        marks.mark(kind)
    box.run()
    box.until_stopped()
    box.delete()
    assert sorted(marks.labels()) == sorted(kinds)
