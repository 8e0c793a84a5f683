"""A config that the host cannot serve: what is missing or refused is named, and nothing is left behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


def test_a_bundle_that_does_not_exist(box: Box, tmp_path: Path) -> None:
    said = box.refused("create", "--bundle", tmp_path / "nowhere", "ID")
    assert "nowhere" in said
    assert "no such" in said.lower()


def test_a_rootfs_that_is_missing(box: Box) -> None:
    box.bundle.edit(root__path="no-such-rootfs")
    said = box.create_refused()
    assert "root.path" in said
    assert "no-such-rootfs" in said


def test_a_rootfs_that_is_a_file(box: Box) -> None:
    (box.bundle.path / "file").touch()
    box.bundle.edit(root__path="file")
    said = box.create_refused()
    assert "root.path" in said
    assert "not a directory" in said.lower()


def test_a_rootfs_that_is_a_symlink(box: Box) -> None:
    (box.bundle.path / "link").symlink_to("rootfs")
    box.bundle.edit(root__path="link")
    said = box.create_refused()
    assert "root.path" in said
    assert "symlink" in said.lower() or "symbolic link" in said.lower()


def test_a_mount_source_that_does_not_exist(box: Box) -> None:
    box.bundle.mount("/data", "bind", "/no/such/source", "bind")
    said = box.create_refused()
    number = len(box.bundle.config["mounts"]) - 1
    assert f"mounts[{number}]" in said
    assert "/no/such/source" in said
    assert "no such file or directory" in said.lower() or "does not exist" in said


def test_a_mount_of_an_unknown_file_system(box: Box) -> None:
    box.bundle.mount("/tmp", "no-such-fs", "none")
    assert f"mounts[{len(box.bundle.config['mounts']) - 1}]" in box.create_refused()


def test_a_mount_option_that_the_file_system_refuses(box: Box) -> None:
    box.bundle.mount("/tmp", "tmpfs", "tmpfs", "size=many")
    said = box.create_refused()
    assert f"mounts[{len(box.bundle.config['mounts']) - 1}]" in said
    assert "size" in said


def test_a_directory_over_a_file(box: Box, tmp_path: Path) -> None:
    box.bundle.mount("/etc/passwd", "bind", tmp_path, "bind")
    said = box.create_refused()
    assert "not a directory" in said.lower()
    assert "/etc/passwd" in said


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("/no/such/file", 'exec: "/no/such/file": stat /no/such/file: no such file or directory'),
        ("no-such-name", 'exec: "no-such-name": executable file not found in $PATH'),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied'),
        ("/etc", "permission denied"),
        ("../etc/nothing", "no such file or directory"),
    ],
)
def test_an_executable_that_cannot_be_run(box: Box, command: str, text: str) -> None:
    box.bundle.args(command)
    said = box.create_refused()
    assert text in said
    assert "process.args" in said


@pytest.mark.parametrize(
    "data", [b"neither ELF nor a script\n", b"", b"\x7fELF\x02garbage", b"#!/no/such/interpreter\n"]
)
def test_an_executable_of_a_wrong_format(box: Box, data: bytes) -> None:
    (box.bundle.rootfs / "bad").write_bytes(data)
    (box.bundle.rootfs / "bad").chmod(0o755)
    box.bundle.args("/bad")
    result = box.run(status=1)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    wanted = "no such file or directory" if data.startswith(b"#!") else "exec format error"
    assert line.lower().endswith(f"exec /bad: {wanted}"), line
    box.nothing_left()


def test_the_arguments_are_not_searched_in_the_hosts_path(box: Box) -> None:
    box.bundle.args("python3")
    assert "executable file not found in $PATH" in box.create_refused(env={"PATH": "/usr/bin:/bin"})


def test_a_namespace_path_that_does_not_exist(box: Box) -> None:
    box.bundle.namespace("network", "/no/such/namespace")
    said = box.create_refused()
    assert "linux.namespaces" in said
    assert "/no/such/namespace" in said


def test_a_namespace_path_of_another_type(box: Box) -> None:
    box.bundle.namespace("network", "/proc/self/ns/uts")
    assert "linux.namespaces" in box.create_refused()


def test_a_missing_hook_program(box: Box) -> None:
    box.bundle.edit(hooks={"createRuntime": [{"path": "/no/such/hook"}]})
    said = box.create_refused()
    assert "hooks.createRuntime[0]" in said
    assert "/no/such/hook" in said


def test_a_sysctl_that_does_not_exist(box: Box) -> None:
    box.bundle.edit(linux__sysctl={"net.no.such.sysctl": "1"})
    said = box.create_refused()
    assert "net.no.such.sysctl" in said


def test_a_value_that_a_sysctl_refuses(box: Box) -> None:
    box.bundle.edit(linux__sysctl={"kernel.msgmax": "many"})
    assert "kernel.msgmax" in box.create_refused()


@pytest.fixture
def limited(new_box: Callable[..., Box], runtime: Path, tmp_path: Path) -> Box:
    """A box whose runtime is without CAP_SYS_RESOURCE, whatever this process has."""
    script = tmp_path / "limited"
    drop = "setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource"
    script.write_text(f'#!/bin/sh\nexec {drop} {runtime} "$@"\n')
    script.chmod(0o755)
    return new_box(runtime=script)


@pytest.mark.needs("setpriv")
def test_a_limit_that_may_not_be_raised(limited: Box) -> None:
    box = limited
    box.bundle.edit(process__rlimits=[{"type": "RLIMIT_MSGQUEUE", "soft": 2**40, "hard": 2**40}])
    said = box.create_refused()
    assert "process.rlimits[0]" in said
    assert "operation not permitted" in said.lower() or "CAP_SYS_RESOURCE" in said


@pytest.mark.needs("setpriv")
def test_a_capability_that_the_caller_lacks_is_named(limited: Box) -> None:
    box = limited
    caps = ["CAP_SYS_RESOURCE", "CAP_KILL"]
    box.bundle.edit(process__capabilities={"bounding": caps, "effective": caps, "permitted": caps})
    result = box.run(status=None)
    assert "CAP_SYS_RESOURCE" in result.stderr
    if result.status == 0:
        assert int(json.loads(result.stdout)["status"]["CapEff"], 16) >> 24 & 1 == 0


def test_a_container_can_be_made_after_each_failure(new_box: Callable[..., Box]) -> None:
    box = new_box("/no/such/file")
    box.create_refused()
    box.bundle.args("/bin/true")
    box.run()
    box.nothing_left()
