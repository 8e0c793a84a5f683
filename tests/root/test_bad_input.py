"""What must be refused, with which words, and with nothing changed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


def test_a_bundle_that_does_not_exist(box: Box, tmp_path: Path) -> None:
    said = box.refused("create", "--bundle", tmp_path / "nowhere", "ID")
    assert "nowhere" in said
    assert "no such" in said.lower()


def test_no_config(box: Box) -> None:
    (box.bundle.path / "config.json").unlink()
    said = box.create_refused()
    assert "config.json" in said
    assert "not found" in said or "no such file" in said.lower()


def test_a_config_that_is_a_directory(box: Box) -> None:
    (box.bundle.path / "config.json").unlink()
    (box.bundle.path / "config.json").mkdir()
    assert "config.json" in box.create_refused()


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
        ({"process__apparmorProfile": "some-profile"}, "process.apparmorProfile"),
        ({"process__selinuxLabel": "system_u:system_r:x_t:s0"}, "process.selinuxLabel"),
        ({"linux__mountLabel": "system_u:object_r:x_t:s0"}, "linux.mountLabel"),
        ({"linux__timeOffsets": {"monotonic": {"secs": 1}}}, "linux.timeOffsets"),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_its_path(box: Box, edits: dict[str, Any], path: str) -> None:
    if "apparmor" in path and os.path.exists("/sys/kernel/security/apparmor"):
        pytest.skip("this kernel has AppArmor")
    if ("selinux" in path or "mountLabel" in path) and os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("this kernel has SELinux")
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


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "..", "a b", "ünï", "a\nb", "/abs", "x*", "\t"])
def test_an_id_that_is_no_name(box: Box, name: str) -> None:
    box.id = name
    result = box.leaving("create", "--bundle", box.bundle, name, status=1)
    assert "invalid container ID format" in result.stderr
    assert not box.root.exists() or os.listdir(box.root) == []


def test_an_empty_id(box: Box) -> None:
    said = box.leaving("create", "--bundle", box.bundle, "", status=1).stderr
    assert "container id cannot be empty" in said.lower()


def test_an_id_that_is_too_long(box: Box) -> None:
    result = box.leaving("create", "--bundle", box.bundle, "x" * 1025, status=1)
    assert "invalid container ID format" in result.stderr or "too long" in result.stderr.lower()


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


def test_a_limit_that_may_not_be_raised(box: Box) -> None:
    with open("/proc/self/status") as file:
        if any(line.startswith("CapEff") and int(line.split()[1], 16) >> 24 & 1 for line in file):
            pytest.skip("root has CAP_SYS_RESOURCE here")
    box.bundle.edit(process__rlimits=[{"type": "RLIMIT_MSGQUEUE", "soft": 2**40, "hard": 2**40}])
    said = box.create_refused()
    assert "process.rlimits[0]" in said
    assert "operation not permitted" in said.lower() or "CAP_SYS_RESOURCE" in said


def test_a_capability_that_the_caller_lacks_is_named(box: Box) -> None:
    with open("/proc/self/status") as file:
        if any(line.startswith("CapBnd") and int(line.split()[1], 16) >> 24 & 1 for line in file):
            pytest.skip("root has CAP_SYS_RESOURCE here")
    caps = ["CAP_SYS_RESOURCE", "CAP_KILL"]
    box.bundle.edit(process__capabilities={"bounding": caps, "effective": caps, "permitted": caps})
    result = box.run(status=None)
    assert "CAP_SYS_RESOURCE" in result.stderr
    if result.status == 0:
        assert int(json.loads(result.stdout)["status"]["CapEff"], 16) >> 24 & 1 == 0


@pytest.mark.needs("setpriv", "unshare")
def test_a_full_disk_for_the_state(box: Box, tmp_path: Path) -> None:
    # A tmpfs of one page in a mount namespace of the test's own: the directory fits, the state does not.
    script = (
        'mount -t tmpfs -o size=4k,nr_inodes=100 tmpfs "$1"; head -c 4096 /dev/zero >"$1/filler"; shift;'
        ' "$@"; status=$?; ls -A "$0"; exit $status'
    )
    box.root.mkdir()
    command = [str(box.runtime), "--root", str(box.root), "create", "--bundle", str(box.bundle.path), box.id]
    result = run(
        "unshare", "-m", "--propagation", "private", "sh", "-c", script, box.root, box.root, *command, status=1
    )
    assert "no space left on device" in result.stderr.lower()
    assert result.stdout == "filler\n"
    box.nothing_left()


@pytest.mark.needs("setpriv")
def test_no_permission_for_the_root_directory(box: Box) -> None:
    box.root.mkdir(mode=0o700)
    command = [str(box.runtime), "--root", str(box.root), "create", "--bundle", str(box.bundle.path), box.id]
    result = run("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *command, status=None)
    if result.status in (126, 127) and "setpriv" in result.stderr:
        pytest.skip("the runtime is installed where other users cannot execute it")
    assert result.status == 1
    assert "permission denied" in result.stderr.lower()
    box.nothing_left()


def test_a_root_directory_that_cannot_be_made(box: Box) -> None:
    box.root = box.bundle.path / "config.json" / "state"
    said = box.leaving("create", "--bundle", box.bundle, "ID", status=1).stderr
    assert "not a directory" in said.lower()


def test_a_root_directory_that_is_a_file(box: Box) -> None:
    box.root = box.bundle.path / "config.json"
    said = box.leaving("create", "--bundle", box.bundle, "ID", status=1).stderr
    assert "not a directory" in said.lower()


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["create", "--no-such-option", "ID"],
        ["create"],
        ["create", "ID", "second"],
        ["start"],
        ["kill"],
        ["--no-such-flag", "list"],
        ["create", "--bundle"],
        ["list", "--format"],
        ["run", "--preserve-fds", "many", "ID"],
        ["run", "--preserve-fds", "-1", "ID"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense(box: Box, words: list[str]) -> None:
    named = [box.id if word == "ID" else word for word in words]
    result = run(box.runtime, "--root", box.root, *named, status=None, cwd=box.bundle.path)
    assert result.status not in (0, None)
    assert result.stderr.strip() != ""
    assert "Traceback" not in result.stderr
    box.nothing_left()


def test_the_log_holds_one_json_object_for_an_error(box: Box, tmp_path: Path) -> None:
    box.bundle.args("/no/such/file")
    log = tmp_path / "log.json"
    box.create_refused(flags=("--log", str(log), "--log-format", "json"))
    (line,) = log.read_text().splitlines()
    record = json.loads(line)
    assert record["level"] == "error"
    assert "/no/such/file" in record["msg"]
    assert "T" in record["time"]


def test_a_text_log(box: Box, tmp_path: Path) -> None:
    box.bundle.args("/no/such/file")
    log = tmp_path / "log"
    box.create_refused(flags=("--log", str(log)))
    (line,) = log.read_text().splitlines()
    assert "level=error" in line
    assert "/no/such/file" in line


def test_success_writes_nothing_to_the_log(box: Box, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    run(box.runtime, "--root", box.root, "--log", log, "--log-format", "json", "run", "-b", box.bundle, box.id)
    assert not log.exists() or log.read_text() == ""


def test_a_container_can_be_made_after_each_failure(new_box: Callable[..., Box]) -> None:
    box = new_box("/no/such/file")
    box.create_refused()
    box.bundle.args("/bin/true")
    box.run()
    box.nothing_left()
