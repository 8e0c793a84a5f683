"""runtime#state, runtime#query-state: what the runtime says of a container."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from conformance import config, processes
from conformance.marks import decides, needs
from conformance.state import STATUSES
from conformance.support.hooking import KINDS, Marks

if TYPE_CHECKING:
    from typing import Any

    from conformance.container import Container
    from conformance.runtime import Runtime
    from conformance.workshop import Maker, Workshop

#: semver.org, item 2, 9 and 10.
SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)


@decides("runtime.state.id")
@pytest.mark.parametrize("suffix", ["", "-A", ".b_c", "-0123456789" * 4])
def test_the_id_is_that_of_create(workshop: Workshop, suffix: str) -> None:
    box = workshop.container(id=workshop.new_id() + suffix)
    box.create()
    assert box.state()["id"] == box.id


@decides("runtime.state.oci-version", "runtime.state.oci-version-semver")
def test_oci_version_is_a_version(container: Maker) -> None:
    box = container()
    box.create()
    version = box.state()["ociVersion"]
    assert isinstance(version, str)
    assert SEMVER.fullmatch(version)


@decides("runtime.state.status", "runtime.state.status-created", "runtime.state.pid-created")
@decides("runtime.operations.state", "runtime.operations.create")
def test_a_created_container(container: Maker) -> None:
    box = container()
    box.create()
    state = box.state()
    assert state["status"] == "created"
    assert type(state["pid"]) is int
    assert processes.alive(state["pid"])


@decides("runtime.state.status", "runtime.state.status-running", "runtime.state.pid-running")
@decides("runtime.operations.start")
def test_a_running_container(container: Maker) -> None:
    state = container().running().state()
    assert state["status"] == "running"
    assert type(state["pid"]) is int
    assert processes.alive(state["pid"])


@decides("runtime.state.status", "runtime.state.status-stopped")
def test_a_container_whose_process_has_exited_is_stopped(container: Maker) -> None:
    box = container()
    box.run("exit", "0")
    box.until_stopped()


@decides("runtime.state.status-stopped-before-start")
def test_a_created_container_whose_process_has_died_is_stopped(container: Maker) -> None:
    box = container()
    box.create()
    os.kill(box.pid, 9)
    box.until_stopped()


@decides("runtime.state.status-others", "runtime.state.status-creating")
def test_the_status_that_hooks_read(workshop: Workshop, container: Maker) -> None:
    """While create has not finished it is "creating"; none beside the four describes the states of a plain life."""
    box = container("exit", "0")
    marks = Marks(workshop, box)
    for kind in KINDS:
        marks.keep_state(kind)
    box.run()
    box.until_stopped()
    box.delete()
    told = {kind: marks.state(kind)["status"] for kind in KINDS}
    workshop.evidence.note("the status that each hook read", told)
    assert told["createRuntime"] == "creating"
    assert set(told.values()) <= STATUSES


@needs("root")
@decides("runtime.state.pid-container-process")
def test_the_pid_is_that_of_the_program(container: Maker) -> None:
    box = container()
    config.drop_namespace(box.config, "pid")
    box.config["process"]["args"] = [config.PROBE, "report", "+", "wait"]
    box.create()
    before = box.state()["pid"]
    box.start()
    box.until_output("waiting")
    after = box.state()["pid"]
    box.kill("KILL")
    box.until_stopped()
    assert box.seen()["pid"] == before == after == box.pid_from_file()


@decides("runtime.state.pid-in-runtime-hooks")
@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "poststart"])
def test_the_pid_that_hooks_in_the_runtime_namespace_read_is_of_the_host(
    workshop: Workshop, container: Maker, kind: str
) -> None:
    box = container()
    marks = Marks(workshop, box)
    marks.keep_state(kind)
    box.running()
    assert marks.state(kind)["pid"] == box.pid


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("createContainer", marks=decides("runtime.state.pid-in-createcontainer-hooks")),
        pytest.param("startContainer", marks=decides("runtime.state.pid-in-startcontainer-hooks")),
    ],
)
def test_the_pid_that_hooks_in_the_container_read_is_the_containers(
    workshop: Workshop, container: Maker, kind: str
) -> None:
    box = container()
    marks = Marks(workshop, box)
    marks.keep_state(kind)
    box.running()
    assert marks.state(kind)["pid"] == 1


def names_the_bundle(box: Container) -> None:
    """Fail unless the state has the absolute path of the bundle."""
    bundle = box.state()["bundle"]
    assert isinstance(bundle, str)
    assert os.path.isabs(bundle)
    assert os.path.realpath(bundle) == os.path.realpath(box.bundle.path)


@decides("runtime.state.bundle", "runtime.state.bundle-absolute")
def test_the_bundle_is_an_absolute_path(container: Maker) -> None:
    box = container()
    box.create()
    names_the_bundle(box)


@decides("runtime.state.bundle-absolute")
@pytest.mark.parametrize("arguments", [["--bundle", "."], ["--bundle", "../bundle"]], ids=" ".join)
def test_the_bundle_is_absolute_when_create_was_given_a_relative_one(
    workshop: Workshop, runtime: Runtime, arguments: list[str]
) -> None:
    box = workshop.container()
    box.bundle.write()
    arguments = [word.replace("bundle", box.bundle.path.name) if ".." in word else word for word in arguments]
    runtime.call("create", *arguments, box.id, cwd=box.bundle.path).succeeded()
    box.exists = True
    names_the_bundle(box)


@decides("runtime.state.annotations")
def test_annotations_are_those_of_the_config(container: Maker) -> None:
    box = container()
    wanted = {"org.example.a": "1", "org.example.empty": "", "org.example.text": 'ä "quoted"\n\\ line'}
    box.config["annotations"] = wanted
    box.create()
    found = box.state()["annotations"]
    assert {key: found.get(key) for key in wanted} == wanted


@decides("runtime.state.annotations-none")
def test_without_annotations_there_are_none_or_an_empty_map(container: Maker) -> None:
    box = container()
    box.create()
    assert isinstance(box.state().get("annotations", {}), dict)


def check_schema(state: dict[str, Any]) -> None:
    texts = {"ociVersion", "id", "status", "bundle"}
    assert {key for key in texts if isinstance(state.get(key), str)} == texts, state
    assert type(state.get("pid", 0)) is int, state
    assert state.get("pid", 0) >= 0, state
    annotations = state.get("annotations", {})
    assert isinstance(annotations, dict), state
    assert all(isinstance(value, str) for value in annotations.values()), state


@decides("runtime.state.schema")
def test_the_state_fits_its_schema_in_each_status(container: Maker) -> None:
    box = container()
    box.config["annotations"] = {"org.example.a": "1"}
    box.create()
    check_schema(box.state())
    box.start()
    box.until_output("waiting")
    check_schema(box.state())
    box.kill("KILL")
    box.until_stopped()
    check_schema(box.state())


@decides("runtime.query-state.no-id")
def test_state_without_an_id_fails(runtime: Runtime) -> None:
    runtime.call("state").refused()


@decides("runtime.query-state.unknown-id")
def test_state_of_what_does_not_exist_fails(workshop: Workshop, runtime: Runtime) -> None:
    runtime.state(workshop.new_id()).refused()


@decides("runtime.query-state.unknown-id")
def test_state_of_what_was_deleted_fails(container: Maker) -> None:
    box = container()
    box.run("exit", "0")
    box.until_stopped()
    box.delete()
    box.gone()


@decides("runtime.query-state.result")
def test_state_is_that_of_the_container_that_was_asked_for(container: Maker, runtime: Runtime) -> None:
    boxes: list[Container] = [container(), container()]
    for box in boxes:
        box.create()
    boxes[1].start()
    told = [json.loads(runtime.state(box.id).succeeded().stdout) for box in boxes]
    assert [state["id"] for state in told] == [box.id for box in boxes]
    assert [state["status"] for state in told] == ["created", "running"]


@decides("runtime.errors.state-changes-nothing")
def test_state_of_what_does_not_exist_changes_nothing(container: Maker, runtime: Runtime) -> None:
    box = container()
    runtime.state(box.id).refused()
    before = sorted(str(path) for path in runtime.root.rglob("*"))
    runtime.state(box.id).refused()
    assert sorted(str(path) for path in runtime.root.rglob("*")) == before
    box.create()
