"""A config.json that is wrong: the error names each value by its path, and nothing is made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


def test_no_config(box: Box) -> None:
    (box.bundle.path / "config.json").unlink()
    said = box.create_refused()
    assert "config.json" in said
    assert "not found" in said or "no such file" in said.lower()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_a_config_that_is_no_file(box: Box, make: Callable[[Path], None]) -> None:
    """And nobody waits for one who would write to a FIFO."""
    config = box.bundle.path / "config.json"
    config.unlink()
    make(config)
    assert "config.json is not a regular file" in box.create_refused()


def test_text_that_is_not_json_is_located(box: Box) -> None:
    (box.bundle.path / "config.json").write_text('{"ociVersion": "1.0.2",\n  "root": oops }\n')
    assert "line 2 column 11" in box.create_refused()


def test_a_config_that_ends_too_early(box: Box) -> None:
    text = (box.bundle.path / "config.json").read_text()
    (box.bundle.path / "config.json").write_text(text[: len(text) // 2])
    said = box.create_refused()
    assert "line " in said
    assert "column " in said


def test_bytes_that_are_not_utf_8(box: Box) -> None:
    (box.bundle.path / "config.json").write_bytes(b'{"ociVersion": "1.0.2", "hostname": "\xff\xfe"}')
    assert "utf-8" in box.create_refused().lower()


def test_an_empty_config(box: Box) -> None:
    (box.bundle.path / "config.json").write_bytes(b"")
    assert "config.json" in box.create_refused()


@pytest.mark.parametrize("text", ["[]", "null", '"x"', "3"])
def test_json_that_is_no_object(box: Box, text: str) -> None:
    (box.bundle.path / "config.json").write_text(text)
    assert "object" in box.create_refused()


@pytest.mark.parametrize(
    ("edits", "text"),
    [
        ({"process__args": "x"}, 'process.args: expected array, got "x"'),
        ({"process__args": [1]}, "process.args[0]: expected string, got 1"),
        ({"process__user__uid": "0"}, 'process.user.uid: expected integer, got "0"'),
        ({"process__rlimits": [{"type": "RLIMIT_NOFILE", "soft": "10", "hard": 10}]},
         'process.rlimits[0].soft: expected integer, got "10"'),
        ({"linux": []}, "linux: expected object"),
        ({"mounts": {}}, "mounts: expected array"),
        ({"root__readonly": "yes"}, 'root.readonly: expected boolean, got "yes"'),
        ({"hostname": 7}, "hostname: expected string, got 7"),
        ({"annotations": {"a": 1}}, "annotations.a: expected string, got 1"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_named_with_its_path(box: Box, edits: dict[str, Any], text: str) -> None:
    box.bundle.edit(**edits)
    assert text in box.create_refused()


@pytest.mark.parametrize(
    ("edits", "texts"),
    [
        ({"linux__namespaces": [{"type": "mount"}, {"type": "foo"}]}, ["linux.namespaces[1].type", "foo"]),
        ({"process__rlimits": [{"type": "RLIMIT_FOO", "soft": 1, "hard": 1}]}, ["process.rlimits[0].type", "FOO"]),
        ({"linux__rootfsPropagation": "sideways"}, ["linux.rootfsPropagation", "sideways"]),
        ({"linux__seccomp": {"defaultAction": "SCMP_ACT_FOO"}}, ["linux.seccomp.defaultAction", "SCMP_ACT_FOO"]),
        ({"linux__seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_FOO"]}},
         ["linux.seccomp.architectures[0]", "SCMP_ARCH_FOO"]),
        ({"linux__devices": [{"path": "/dev/x", "type": "q"}]}, ["linux.devices[0].type", "q"]),
        ({"linux__personality": {"domain": "FOO"}}, ["linux.personality.domain", "FOO"]),
        ({"process__scheduler": {"policy": "SCHED_FOO"}}, ["process.scheduler.policy", "SCHED_FOO"]),
        ({"process__ioPriority": {"class": "IOPRIO_CLASS_FOO", "priority": 0}}, ["process.ioPriority.class"]),
    ],
)  # fmt: skip
def test_an_unknown_value_is_named_with_its_path(box: Box, edits: dict[str, Any], texts: list[str]) -> None:
    box.bundle.edit(**edits)
    said = box.create_refused()
    assert all(text in said for text in texts), said


@pytest.mark.parametrize(
    ("edits", "path"),
    [
        ({"ociVersion": None}, "ociVersion"),
        ({"root": None}, "root"),
        ({"root__path": None}, "root.path"),
        ({"process": None}, "process"),
        ({"process__cwd": None}, "process.cwd"),
        ({"process__args": None}, "process.args"),
        ({"mounts": [{"type": "proc"}]}, "mounts[0].destination"),
        ({"process__rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1}]}, "process.rlimits[0].hard"),
        ({"hooks": {"prestart": [{"args": ["x"]}]}}, "hooks.prestart[0].path"),
        ({"linux__uidMappings": [{"containerID": 0, "size": 1}]}, "linux.uidMappings[0].hostID"),
    ],
)
def test_a_missing_mandatory_field_is_named(box: Box, edits: dict[str, Any], path: str) -> None:
    box.bundle.edit(**edits)
    said = box.create_refused()
    assert path in said
    assert "required" in said or "missing" in said


@pytest.mark.parametrize("version", ["2.0.0", "0.9.0", "x", "", "1"])
def test_a_version_that_is_not_supported(box: Box, version: str) -> None:
    box.bundle.edit(ociVersion=version)
    assert "ociVersion" in box.create_refused()


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.3.0", "1.99.0", "1.2.0+meta"])
def test_every_version_1_is_accepted(box: Box, version: str) -> None:
    box.bundle.edit(ociVersion=version)
    box.run()


@pytest.mark.parametrize(
    ("edits", "path"),
    [
        ({"process__cwd": "relative"}, "process.cwd"),
        ({"process__args": []}, "process.args"),
        ({"process__env": ["A=\0"]}, "process.env[0]"),
        ({"process__user": {"uid": -1, "gid": 0}}, "process.user.uid"),
        ({"process__user": {"uid": 4294967296, "gid": 0}}, "process.user.uid"),
        ({"process__user": {"uid": 4294967295, "gid": 0}}, "process.user.uid"),
        ({"process__user": {"uid": 0, "gid": 0, "additionalGids": [-1]}}, "process.user.additionalGids[0]"),
        ({"process__rlimits": [{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 3}]}, "process.rlimits[0]"),
        ({"process__rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}] * 2}, "process.rlimits[1]"),
        ({"process__oomScoreAdj": 1001}, "process.oomScoreAdj"),
        ({"linux__cgroupsPath": "/a/../../b"}, "linux.cgroupsPath"),
        ({"linux__namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "pid"}]}, "linux.namespaces[2]"),
        ({"linux__namespaces": [{"type": "mount"}, {"type": "pid", "path": "relative"}]}, "linux.namespaces[1].path"),
        ({"linux__uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}, "linux.uidMappings"),
        ({"linux__sysctl": {"kernel.panic": "1"}}, "linux.sysctl"),
        ({"linux__sysctl": {"kernel.core_pattern": "|/bin/x"}}, "linux.sysctl"),
        ({"linux__sysctl": {"net.ipv4/../../kernel/panic": "1"}}, "linux.sysctl"),
        ({"linux__maskedPaths": ["relative"]}, "linux.maskedPaths[0]"),
        ({"linux__devices": [{"path": "relative", "type": "c", "major": 1, "minor": 3}]}, "linux.devices[0].path"),
        ({"hooks": {"poststart": [{"path": "relative"}]}}, "hooks.poststart[0].path"),
        ({"hooks": {"poststart": [{"path": "/x", "timeout": 0}]}}, "hooks.poststart[0].timeout"),
        ({"process__scheduler": {"policy": "SCHED_OTHER", "nice": 99}}, "process.scheduler"),
        ({"linux__seccomp": {"defaultAction": "SCMP_ACT_NOTIFY"}}, "linux.seccomp"),
        pytest.param(
            {"process__apparmorProfile": "some-profile"},
            "process.apparmorProfile",
            marks=pytest.mark.needs("no-apparmor"),
        ),
        pytest.param(
            {"process__selinuxLabel": "system_u:system_r:x_t:s0"},
            "process.selinuxLabel",
            marks=pytest.mark.needs("no-selinux"),
        ),
        pytest.param(
            {"linux__mountLabel": "system_u:object_r:x_t:s0"},
            "linux.mountLabel",
            marks=pytest.mark.needs("no-selinux"),
        ),
        ({"linux__timeOffsets": {"monotonic": {"secs": 1}}}, "linux.timeOffsets"),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_its_path(box: Box, edits: dict[str, Any], path: str) -> None:
    box.bundle.edit(**edits)
    assert path in box.create_refused()


@pytest.mark.parametrize(
    ("edits", "path"),
    [
        ({"linux__intelRdt": {"closID": "x"}}, "linux.intelRdt"),
        ({"linux__resources": {"network": {"classID": 1}}}, "linux.resources.network"),
        ({"linux__resources": {"unified": {"memory.high": "1"}}}, "linux.resources.unified"),
        ({"windows": {"layerFolders": ["x"]}}, "windows"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(box: Box, edits: dict[str, Any], path: str) -> None:
    box.bundle.edit(**edits)
    assert path in box.create_refused()


def test_every_violation_is_named_at_once(box: Box) -> None:
    box.bundle.edit(process__cwd="relative", hostname=3, ociVersion="9.0.0")
    result = box.leaving("create", "--bundle", box.bundle, "ID", status=1)
    for path in ("process.cwd", "hostname", "ociVersion"):
        assert any(path in line for line in result.stderr.splitlines()), result
    box.nothing_left()


def test_validate_says_what_create_says(box: Box) -> None:
    box.bundle.edit(process__cwd="relative", process__user__uid="0")
    said = run(box.runtime, "validate", "--bundle", box.bundle, status=1)
    lines = (said.stdout + said.stderr).splitlines()
    refused = box.leaving("create", "--bundle", box.bundle, "ID", status=1).stderr
    for line in lines:
        assert line.partition(": ")[2] in refused or line in refused
    assert any("process.user.uid" in line for line in lines)
