"""Mutants that say something else than is so."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from conformance.mutants.mutant import acts, answers

if TYPE_CHECKING:
    from conformance.mutants.command import Command

    Answer = dict[str, Any]

CREATED = "test_state.py::test_a_created_container"


@answers("state", "runtime.state.pid-created", CREATED)
def has_no_pid(state: Answer) -> None:
    del state["pid"]


@answers("state", "runtime.state.pid-running", "test_state.py::test_a_running_container")
def writes_the_pid_as_a_text(state: Answer) -> None:
    state["pid"] = str(state["pid"])


@answers("state", "runtime.operations.create", "test_create.py::test_the_pid_file_has_the_pid_of_the_state")
def tells_the_pid_of_another_process(state: Answer) -> None:
    state["pid"] = os.getppid()


@answers("state", "runtime.state.status-created", CREATED)
def calls_what_was_created_running(state: Answer) -> None:
    if state["status"] == "created":
        state["status"] = "running"


@answers("state", "runtime.state.bundle-absolute", "test_state.py::test_the_bundle_is_an_absolute_path")
def tells_a_relative_bundle(state: Answer) -> None:
    state["bundle"] = os.path.relpath(state["bundle"])


@answers("state", "runtime.state.bundle", "test_state.py::test_the_bundle_is_an_absolute_path")
def has_no_bundle(state: Answer) -> None:
    del state["bundle"]


@answers("state", "runtime.state.bundle-absolute", "test_state.py::test_the_bundle_is_an_absolute_path")
def tells_a_number_for_the_bundle(state: Answer) -> None:
    state["bundle"] = 7


@answers("state", "runtime.state.bundle", "test_state.py::test_the_bundle_is_an_absolute_path")
def tells_a_bundle_that_there_is_not(state: Answer) -> None:
    state["bundle"] += "-elsewhere"


@answers("state", "runtime.state.id", "test_state.py::test_the_id_is_that_of_create[-A]")
def writes_ids_in_lower_case(state: Answer) -> None:
    state["id"] = state["id"].lower()


@answers("state", "runtime.state.oci-version-semver", "test_state.py::test_oci_version_is_a_version")
def has_a_version_of_two_numbers(state: Answer) -> None:
    state["ociVersion"] = "1.2"


@answers("state", "runtime.state.oci-version", "test_state.py::test_oci_version_is_a_version")
def has_no_version(state: Answer) -> None:
    del state["ociVersion"]


@answers("state", "runtime.state.oci-version-semver", "test_state.py::test_oci_version_is_a_version")
def has_a_version_that_is_a_number(state: Answer) -> None:
    state["ociVersion"] = 1.2


@answers("state", "runtime.state.annotations", "test_state.py::test_annotations_are_those_of_the_config")
def does_not_tell_annotations(state: Answer) -> None:
    state.pop("annotations", None)


@answers("state", "runtime.state.schema", "test_state.py::test_the_state_fits_its_schema_in_each_status")
def has_annotations_that_are_numbers(state: Answer) -> None:
    state["annotations"] = {"org.example.number": 1}


@answers("state", "runtime.operations.state", CREATED, broken=True)
def has_no_status(state: Answer) -> None:
    del state["status"]


@acts("state", "runtime.operations.state", CREATED, broken=True)
def prints_a_greeting_before_the_state(command: Command) -> int:
    sys.stdout.write("here it is:\n")
    sys.stdout.flush()
    return command.run()


@acts("state", "runtime.operations.state", CREATED, broken=True)
def crashes_when_it_is_asked(command: Command) -> int:
    os.kill(os.getpid(), signal.SIGSEGV)
    return command.run()


@acts("create", "runtime.operations.create", CREATED, broken=True)
def prints_the_id(command: Command) -> int:
    status = command.run()
    print(command.id)
    return status


@answers(
    "features",
    "features.specification-version.oci-version-min",
    "test_features.py::test_a_version_is_there_and_semantic[ociVersionMin]",
)
def does_not_tell_the_lowest_version(features: Answer) -> None:
    del features["ociVersionMin"]


@answers(
    "features",
    "features.specification-version.oci-version-order",
    "test_features.py::test_the_highest_version_is_not_below_the_lowest",
)
def tells_versions_in_the_wrong_order(features: Answer) -> None:
    features["ociVersionMin"], features["ociVersionMax"] = "1.10.0", "1.9.0"


@answers(
    "features",
    "features.mount-options.file-system-options",
    "test_features.py::test_options_of_file_systems_are_not_among_the_mount_options",
)
def tells_options_of_file_systems(features: Answer) -> None:
    features["mountOptions"].append("size")


@answers("features", "features.annotations.key-empty", "test_features.py::test_no_annotation_has_an_empty_key")
def tells_an_annotation_without_a_name(features: Answer) -> None:
    features.setdefault("annotations", {})[""] = "something"
