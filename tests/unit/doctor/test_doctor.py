"""``pyrunc doctor``: its document, and what each check says of machines that are not this one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

import pyrunc
from pyrunc.cli import lean
from pyrunc.doctor import cgroups, engines, examine, finding, itself, kernel, user
from pyrunc.doctor.finding import Finding
from pyrunc.doctor.machine import Machine, read
from pyrunc.errors import HostError
from pyrunc.host.systemd import reach
from pyrunc.plan.capabilities import CAPS
from pyrunc.runtime import version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA = Path(pyrunc.__path__[0]).parent / "schemas/doctor.json"


def machine(environment: dict[str, str] | None = None, **facts: Any) -> Machine:
    """This machine, with other facts: root without anything missing, unless told otherwise."""
    made = Machine(environment or {"PATH": "/nowhere"})
    usual: dict[str, Any] = {"uid": 0, "gid": 0, "initial_userns": True, "caps": (1 << 41) - 1}
    made.facts.update({**usual, **facts})  # type: ignore[typeddict-item]
    return made


def only(found: Iterator[Finding]) -> Finding:
    (one,) = found
    return one


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """What files of the kernel say, where it is not what they say here."""
    said: dict[str, str | None] = {}
    for module in ("kernel", "cgroups"):
        monkeypatch.setattr(f"pyrunc.doctor.{module}.read", lambda path: said.get(path, read(path)))
    return said


def test_the_document_is_valid_and_the_text_says_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    status = lean.main(["doctor", "--format", "json"])
    out, err = capfd.readouterr()
    assert err == ""
    said = json.loads(out)
    jsonschema.validate(said, json.loads(SCHEMA.read_text()))
    assert said["version"] == version.VERSION
    assert status == (1 if said["status"] == "problem" else 0)
    assert lean.main(["doctor"]) == status
    text, err = capfd.readouterr()
    assert err == ""
    for check in said["checks"]:
        assert f" {check['title']}: " in text
        if check["do"]:
            assert f"-> {check['do']}\n" in text


def test_names_of_checks_are_unique_and_of_one_form() -> None:
    ids = [one.id for one in examine.findings(os.environ)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(\.[a-z-]+)*", id) for id in ids)


@pytest.mark.parametrize(
    ("statuses", "worst", "status"),
    [
        ([], "ok", 0),
        (["ok", "unknown"], "unknown", 0),
        (["warning", "unknown", "ok"], "warning", 0),
        (["problem", "warning"], "problem", 1),
    ],
)
def test_only_a_problem_makes_it_fail(
    statuses: list[Any], worst: str, status: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found = [Finding(f"a{number}", "t", one, "f", "d") for number, one in enumerate(statuses)]
    monkeypatch.setattr(examine, "findings", lambda _: found)
    assert lean.main(["doctor", "--format", "json"]) == status
    assert json.loads(capfd.readouterr().out)["status"] == worst == finding.worst(found)


def test_the_findings_are_counted_in_the_last_line() -> None:
    found = [Finding("a", "t", status, "f") for status in ("warning", "ok", "ok", "warning", "problem")]
    assert finding.text(found).splitlines()[-1] == "1 problem, 2 warnings, 2 ok"


def test_names_in_configurations_do_not_talk_to_the_terminal() -> None:
    assert "\x1b" not in finding.text([Finding("a", "t", "ok", "/x\x1b[2J\n\udcff", "d")])
    assert "t: /x\\x1b[2J\\n\\udcff\n" in finding.text([Finding("a", "t", "ok", "/x\x1b[2J\n\udcff", "d")])


def test_a_check_that_cannot_look_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Machine) -> Iterator[Finding]:
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(examine, "CHECKS", (broken, kernel.version))
    first, second = examine.findings(os.environ)
    assert (first.status, second.id) == ("unknown", "kernel.version")
    assert first.found == "cannot be looked at: /secret: permission denied"


@pytest.mark.parametrize(("number", "status"), [((5, 11), "problem"), ((5, 12), "ok"), ((6, 0), "ok")])
def test_the_kernels_version(number: tuple[int, int], status: str) -> None:
    assert only(kernel.version(machine(kernel=number))).status == status


@pytest.mark.parametrize(
    ("missing", "status"), [((), "ok"), (("time",), "warning"), (("pid",), "problem"), (("user", "mnt"), "problem")]
)
def test_namespaces(missing: tuple[str, ...], status: str) -> None:
    known = tuple(name for name in ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts") if name not in missing)
    found = only(kernel.namespaces(machine(namespaces=known)))
    assert found.status == status
    assert all(name in found.found for name in missing)


@pytest.mark.parametrize(
    ("path", "value", "uid", "status"),
    [
        ("/proc/sys/user/max_user_namespaces", "0", 1000, "problem"),
        ("/proc/sys/user/max_user_namespaces", "0", 0, "warning"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", 1000, "problem"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", 0, "ok"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", 1000, "problem"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0", 1000, "ok"),
    ],
)
def test_user_namespaces(files: dict[str, str | None], path: str, value: str, uid: int, status: str) -> None:
    files.update({"/proc/sys/user/max_user_namespaces": "9", path: value})
    found = only(kernel.user_namespaces(machine(uid=uid)))
    assert found.status == status
    if status == "problem":
        assert path.rpartition("/")[2] in found.found
        assert "sysctl -w" in found.do


@pytest.mark.parametrize(("name", "status"), [("CAP_SYS_ADMIN", "problem"), ("CAP_SYS_RESOURCE", "warning")])
def test_capabilities_that_root_lacks(name: str, status: str) -> None:
    found = only(kernel.capabilities(machine(caps=((1 << 41) - 1) & ~(1 << CAPS[name]))))
    assert (found.status, name in found.found) == (status, True)
    assert only(kernel.capabilities(machine())).status == "ok"
    assert list(kernel.capabilities(machine(uid=1000, caps=0))) == []


def test_overlayfs_that_is_not_loaded(files: dict[str, str | None]) -> None:
    files["/proc/filesystems"] = "nodev\tproc\n\text4"
    found = only(kernel.overlay(machine()))
    assert (found.status, found.do) == ("warning", "as root: modprobe overlay")


def test_seccomp(files: dict[str, str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    files["/proc/sys/kernel/seccomp/actions_avail"] = None
    monkeypatch.setattr("pyrunc.host.seccomp.library", lambda _: "/nowhere/libseccomp.so.2")
    found = {one.id: one for one in kernel.filters(machine())}
    assert found["seccomp.kernel"].status == found["seccomp.library"].status == "problem"


@pytest.mark.parametrize(
    ("apparmor", "selinux", "words"),
    [(False, False, "neither"), (True, False, "AppArmor"), (True, True, "AppArmor and SELinux, permissive")],
)
def test_security_modules(files: dict[str, str | None], apparmor: bool, selinux: bool, words: str) -> None:
    files["/sys/fs/selinux/enforce"] = "0"
    found = only(kernel.modules(machine(apparmor=apparmor, selinux=selinux)))
    assert found.found.startswith(words)


def layout(mode: str, *names: str, point: str = "/nowhere") -> dict[str, Any]:
    return {"mode": mode, "mounts": dict.fromkeys(names, point), "own": dict.fromkeys(names, "/user")}


def test_without_cgroups_there_is_a_problem() -> None:
    found = only(cgroups.layout(machine(cgroup=layout("none"))))
    assert found.status == "problem"
    assert "mount -t cgroup2" in found.do


def test_controllers_of_v1(files: dict[str, str | None]) -> None:
    found = list(cgroups.layout(machine(cgroup=layout("v1", "cpu", "cpuset", "blkio", "pids"))))[1]
    assert (found.status, found.do) == ("warning", "boot with cgroup_enable=memory")
    assert found.found.endswith("; not: memory")
    every = layout("hybrid", "cpu", "cpuset", "blkio", "memory", "pids", "")
    assert [one.status for one in cgroups.layout(machine(cgroup=every))] == ["ok", "ok"]
    limits = list(cgroups.layout(machine(cgroup=every, uid=1000)))[1]
    assert limits.status == "warning"
    assert "systemd.unified_cgroup_hierarchy=1" in limits.do


@pytest.mark.parametrize(("booted", "words"), [(True, "Delegate=cpu cpuset io memory pids"), (False, "give a cgroup")])
def test_controllers_that_are_not_delegated(
    booted: bool, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str | None]
) -> None:
    monkeypatch.setattr(Machine, "systemd", booted)
    (tmp_path / "user").mkdir()
    for place in (tmp_path, tmp_path / "user"):
        (place / "cgroup.controllers").write_text("memory pids\n")
        (place / "cgroup.subtree_control").write_text("memory pids\n")
        (place / "cgroup.procs").write_text("")
    v2 = layout("v2", "", point=str(tmp_path))
    found = list(cgroups.layout(machine(cgroup=v2, uid=1000)))[1]
    assert found.status == "warning"
    assert "can be limited: memory, pids; not: cpu, cpuset, io" in found.found
    assert words in found.do
    files[f"{tmp_path}/cgroup.controllers"] = "cpu cpuset io memory pids"
    assert list(cgroups.layout(machine(cgroup=v2)))[1].status == "ok"


def test_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "systemd", False)
    assert only(cgroups.systemd(machine())).status == "ok"
    monkeypatch.setattr(Machine, "systemd", True)

    def silent(*, rootless: bool) -> Any:
        raise HostError("there is no D-Bus", where="systemd", hint="start it")

    monkeypatch.setattr(reach, "facts", silent)
    found = only(cgroups.systemd(machine()))
    assert (found.status, found.do) == ("warning", "start it")


@pytest.mark.parametrize(("count", "status"), [(0, "warning"), (65535, "warning"), (65536, "ok")])
def test_subordinate_ids(count: int, status: str) -> None:
    ranges = ((100000, count),) if count else ()
    found = only(user.subordinate_ids(machine(uid=1000, subuids=ranges, subgids=((100000, 65536),))))
    assert found.status == status
    assert ("usermod --add-subuids" in found.do) == (status != "ok")
    assert list(user.subordinate_ids(machine())) == []


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        (0o755, "problem"),
        pytest.param(0o4755, "ok", marks=pytest.mark.needs("root")),  # the owner counts
        (None, "warning"),
    ],
)
def test_programs_that_write_id_maps(
    mode: int | None, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user, "DIRECTORIES", (str(tmp_path),))
    if mode is not None:
        for name in ("newuidmap", "newgidmap"):
            (tmp_path / name).touch()
            (tmp_path / name).chmod(mode)
    assert [one.status for one in user.map_programs(machine(uid=1000))] == [status, status]


def test_the_runtime_directory(tmp_path: Path) -> None:
    def found(directory: str | None, uid: int) -> Finding:
        return only(
            user.runtime_directory(machine({"XDG_RUNTIME_DIR": directory} if directory else {"A": ""}, uid=uid))
        )

    owner = tmp_path.stat().st_uid or 12345
    if os.geteuid() == 0:
        os.chown(tmp_path, owner, -1)
    assert found(str(tmp_path), owner).status == "ok"
    assert found(str(tmp_path), owner + 1).status == "problem"
    assert found(str(tmp_path / "absent"), owner).status == "problem"
    assert "is not set" in found(None, owner).found


@pytest.mark.parametrize(
    ("name", "path", "text", "status", "words"),
    [
        ("docker", "docker/daemon.json", "{", "problem", "line 1 column 2"),
        ("docker", "docker/daemon.json", "{}", "ok", "does not name pyrunc"),
        ("docker", "docker/daemon.json", '{"default-runtime": "pyrunc"}', "problem", "no runtime of that name"),
        ("docker", "docker/daemon.json", '{"runtimes": {"pyrunc": {"path": "/absent"}}}', "problem", "does not exist"),
        ("docker", "docker/daemon.json", '{"runtimes": {"pyrunc": {"path": "/usr"}}}', "problem", "cannot be started"),
        ("docker", "docker/daemon.json", '{"runtimes": {"pyrunc": {"path": "/bin/true"}}}', "warning", "version"),
        ("containerd", "containerd/config.toml", "version = 7", "problem", "version 7 is unknown"),
        ("podman", "containers/containers.conf.d/x.conf", "[engine", "problem", "x.conf:1"),
        ("podman", "containers/containers.conf.d/x.conf", '[engine]\nruntime = "pyrunc"', "problem", "is the default"),
    ],
)
def test_the_configuration_of_an_engine(
    name: str, path: str, text: str, status: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    here = machine({"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path), "PATH": "/bin"}, uid=1000)
    found = {one.id: one for one in engines._configuration(here, name, engines.ENGINES[name][1])}
    one = found[f"engine.{name}.configuration"]
    assert (one.status, words in one.found) == (status, True), one.found


@pytest.mark.parametrize(
    ("name", "uid", "own", "do"),
    [
        ("docker", 0, False, "pyrunc setup docker"),
        ("podman", 1000, False, "pyrunc setup podman --user"),
        ("docker", 1000, True, "pyrunc setup docker --user"),
        ("docker", 1000, False, "as root: pyrunc setup docker; for an engine of your own: pyrunc setup docker --user"),
        ("crio", 1000, False, "as root: pyrunc setup crio"),
    ],
)
def test_the_command_that_is_advised_is_that_of_the_user(
    name: str, uid: int, own: bool, do: str, tmp_path: Path
) -> None:
    if own:
        (tmp_path / "docker").mkdir()
        (tmp_path / "docker/daemon.json").write_text("{}")
    here = machine({"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path), "PATH": "/bin"}, uid=uid)
    assert engines._setup(here, name) == do


def test_systemd_that_does_not_run_cannot_make_cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "systemd", False)
    (tmp_path / "docker").mkdir()
    text = '{"exec-opts": ["native.cgroupdriver=systemd"], "runtimes": {"pyrunc": {"path": "/bin/true"}}}'
    (tmp_path / "docker/daemon.json").write_text(text)
    here = machine({"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path), "PATH": "/bin"}, uid=1000)
    found = {one.id: one.status for one in engines._configuration(here, "docker", engines.ENGINES["docker"][1])}
    assert found["engine.docker.cgroups"] == "problem"


def test_an_engine_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrunc.doctor.machine.PATIENCE", 0.2)
    (tmp_path / "podman").write_text("#!/bin/sh\nexec sleep 1000\n")
    (tmp_path / "podman").chmod(0o755)
    here = machine({"PATH": str(tmp_path)})
    found = {one.id: one for one in engines.engines(here)}
    assert found["engine.podman"].status == "warning"
    assert f"{tmp_path}/podman does not tell its version" in found["engine.podman"].found


def test_a_container_that_cannot_be_made_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyrunc.sandbox.box import Sandbox

    def refuse(self: Sandbox, **_: object) -> None:
        raise HostError("no room", where="here", hint="make some")

    monkeypatch.setattr(Sandbox, "__init__", refuse)
    found = only(itself.container(machine()))
    assert (found.status, found.do) == ("problem", "make some")


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    home = tmp_path / "home"
    home.mkdir()
    names: Callable[[], list[Path]] = lambda: sorted(tmp_path.rglob("*"))  # noqa: E731
    before = names()
    examine.findings({**os.environ, "HOME": str(home)})
    assert names() == before
