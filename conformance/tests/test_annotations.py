"""config#annotations, config#extensibility: what a runtime need not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import config
from conformance.marks import decides
from conformance.support.hooking import Marks
from conformance.support.refusal import accepted

if TYPE_CHECKING:
    from conformance.workshop import Maker, Workshop


@decides("config.annotations.map")
def test_annotations_are_a_map(workshop: Workshop) -> None:
    assert accepted(workshop, {"annotations": ["a=b"]}, {"annotations": "a=b"}, {"annotations": 1}, at="create") == []


@decides("config.annotations.key-empty")
def test_no_key_is_empty(workshop: Workshop) -> None:
    assert accepted(workshop, {"annotations": {"": "x"}}, at="create") == []


@decides("config.annotations.values-strings")
def test_values_are_strings(workshop: Workshop) -> None:
    values: list[Any] = [1, True, ["x"], {"x": "y"}]
    assert accepted(workshop, *({"annotations": {"org.example.key": each}} for each in values), at="create") == []


@decides("config.annotations.absent")
@pytest.mark.parametrize("change", [{"annotations": {}}, {}], ids=["empty", "absent"])
def test_annotations_may_be_left_out(container: Maker, change: dict[str, Any]) -> None:
    box = container("echo", "it runs")
    config.change(box.config, change)
    box.run()
    assert box.output() == "it runs\n"
    assert box.state().get("annotations", {}) == {}


@decides("config.annotations.unknown-keys", "config.annotations.values-empty")
def test_unknown_keys_are_kept_and_no_error(container: Maker) -> None:
    box = container("echo", "it runs")
    annotations = {
        "unknown": "1",
        "org.example.unknown": "a b",
        "org.opencontainers.image.unknown": "x",
        "org.example.empty": "",
        "long/☂": "x" * 5000,
    }
    box.config["annotations"] = annotations
    box.create()
    assert box.state()["annotations"] == annotations
    box.start()
    box.wait()
    assert box.output() == "it runs\n"


@decides("config.annotations.unknown-keys")
def test_a_key_may_have_an_equals_sign_in_it(container: Maker) -> None:
    box = container()
    box.config["annotations"] = {"org.example.a=b": "c=d"}
    box.create()
    assert box.state()["annotations"] == {"org.example.a=b": "c=d"}


NEW = {"example": ["of", {"a": "future"}], "exampleNumber": 1.5}


@pytest.mark.parametrize(
    "places",
    [
        pytest.param([""], marks=decides("config.extensibility.top"), id="top"),
        pytest.param(["process", "process.user"], marks=decides("config.extensibility.process"), id="process"),
        pytest.param(
            ["linux", "linux.resources", "linux.seccomp"], marks=decides("config.extensibility.linux"), id="linux"
        ),
        pytest.param(
            ["mounts", "linux.namespaces", "linux.devices", "process.rlimits"],
            marks=decides("config.extensibility.entries"),
            id="entries",
        ),
    ],
)
def test_unknown_properties_are_ignored(container: Maker, places: list[str]) -> None:
    """Beside known ones, which still are what they are."""
    box = container("report")
    made = box.config
    made["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 500, "hard": 600}]
    device = {"path": "/dev/conformance", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
    made["linux"] |= {"resources": {}, "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}
    if not config.rootless():
        made["linux"]["devices"] = [device]
    for place in places:
        value: Any = made
        for name in filter(None, place.split(".")):
            value = value.get(name, {})
        for each in value if isinstance(value, list) else [value]:
            each.update(NEW)
    box.run()
    seen = box.seen()
    assert seen["rlimits"]["RLIMIT_NOFILE"] == {"soft": 500, "hard": 600}
    assert seen.mount("/proc").type == "proc"
    if not config.rootless():
        assert [seen["dev"]["conformance"][name] for name in ("type", "major", "minor")] == ["char", 1, 3]


@decides("config.extensibility.hooks")
def test_unknown_hooks_and_their_properties_are_ignored(workshop: Workshop, container: Maker) -> None:
    box = container("exit", "0")
    marks = Marks(workshop, box)
    marks.mark("createRuntime", "known")
    box.config["hooks"]["createRuntime"][0].update(NEW)
    box.config["hooks"]["someDay"] = [{"path": "/no/such/program", "args": ["x"]}]
    box.run()
    assert marks.labels() == ["known"]
