"""The harness itself: what other tests rely on must be right before they are."""

from __future__ import annotations

import ast
import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.support import programs, requirements, residue
from tests.support.command import run
from tests.vm.debian import REPOSITORY
from tests.vm.suite import SUITES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.bundles import Bundle
    from tests.support.canary import Canary


def test_an_unknown_requirement_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown requirement 'flux-capacitor'"):
        requirements.unmet("flux-capacitor")


def test_requiring_all_does_not_ask_for_what_is_a_kind_of_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYRUNC_REQUIRE", "all")
    assert requirements.required("podman")
    assert not requirements.required("selinux")
    monkeypatch.setenv("PYRUNC_REQUIRE", "selinux,runc")
    assert requirements.required("selinux")
    assert not requirements.required("podman")


@pytest.mark.parametrize("here", [True, False])
def test_what_the_guest_has_is_asked_for_there(here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYRUNC_REQUIRE", "all")
    monkeypatch.setattr(requirements, "unmet", lambda name: "" if here and name == "guest" else "it is elsewhere")
    assert requirements.required("cgroup2") == here
    assert not requirements.required("cgroup1")


def test_every_kind_is_a_known_requirement() -> None:
    assert set(requirements.PROBES) >= requirements.KINDS.keys() >= requirements.GUEST


def test_what_only_the_guest_can_run_is_in_one_of_its_suites() -> None:
    """Elsewhere these tests are skipped, even with PYRUNC_REQUIRE=all."""
    there = tuple(path for suite in SUITES.values() for path in suite.paths)
    missing = []
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        name = path.relative_to(REPOSITORY).as_posix()
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        needs = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "needs"]
        words = {argument.value for call in needs for argument in call.args if isinstance(argument, ast.Constant)}
        if words & {"guest", "cgroup2"} and not any(f"{name}/".startswith(f"{listed}/") for listed in there):
            missing.append(name)
    assert missing == []


@pytest.mark.needs("static")
def test_the_probe_is_static_and_sees_this_process() -> None:
    probe = programs.static("probe")
    assert programs.is_static(probe)
    seen = json.loads(run(probe, "read=/proc/sys/kernel/ostype", "stat=/etc/passwd", "list=/nowhere").stdout)
    assert seen["ids"]["uid"] == [os.getuid()] * 3
    assert seen["hostname"] == os.uname().nodename
    assert seen["read"]["/proc/sys/kernel/ostype"] == "Linux\n"
    assert seen["stat"]["/etc/passwd"]["type"] == "file"
    assert seen["list"]["/nowhere"] == "error: No such file or directory"
    assert seen["namespaces"]["pid"] == os.readlink("/proc/self/ns/pid")


@pytest.mark.needs("root", "runc", "static", "busybox")
def test_runc_runs_a_test_bundle_and_the_probe_sees_its_namespaces(
    runc: Path, bundle: Callable[[], Bundle], root: Path, container_id: str
) -> None:
    made = bundle().args("/bin/probe", "stat=/bin/sh").edit(hostname="inside")
    done = run(runc, "--root", root, "run", "--bundle", made, container_id)
    seen = json.loads(done.stdout)
    assert seen["process"]["pid"] == 1
    assert seen["hostname"] == "inside"
    assert seen["stat"]["/bin/sh"]["to"] == "busybox"
    assert seen["namespaces"]["net"] != os.readlink("/proc/self/ns/net")


@pytest.mark.needs("root", "runc", "static", "busybox")
def test_a_container_that_a_test_forgets_is_deleted(
    runc: Path, bundle: Callable[[], Bundle], root: Path, container_id: str
) -> None:
    run(runc, "--root", root, "run", "--detach", "--bundle", bundle().args("/bin/sleep", "300"), container_id)
    assert json.loads(run(runc, "--root", root, "state", container_id).stdout)["status"] == "running"


def test_the_canary_notices_a_chmod_that_was_taken_back(canary: Canary) -> None:
    canary.check()
    (canary.path / "secret").chmod(0o644)
    (canary.path / "secret").chmod(0o600)
    with pytest.raises(AssertionError, match="file secret"):
        canary.check()
    canary.reset()


def test_residue_is_what_is_new_and_marked() -> None:
    before = {"a": "mount: a of run 1f"}
    after = {**before, "b": "mount: b of run 1f", "c": "mount: c", "d": "cgroup: d", "e": "cgroup: libpod-e"}
    assert residue.left_behind(before, after, ("1f",), strict=False) == ["mount: b of run 1f"]
    alone = residue.left_behind(before, after, ("1f",), strict=True)
    assert alone == ["mount: b of run 1f", "mount: c", "cgroup: libpod-e"]


def test_a_process_of_this_run_is_seen_by_its_token() -> None:
    import subprocess

    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        found = [line for line in residue.snapshot().values() if line.startswith(f"process: {child.pid} ")]
        assert found, "the child is missing from the snapshot"
        assert os.environ[residue.TOKEN] in found[0]
