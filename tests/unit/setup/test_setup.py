"""``pyrunc setup`` through the command line: what it writes, that it can be undone, and what it refuses."""

from __future__ import annotations

import json
import os
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.setup import crio
from tests.unit.setup.conftest import FILES, System

if TYPE_CHECKING:
    from pathlib import Path

ENGINES = tuple(FILES)
PLUGIN = "io.containerd.grpc.v1.cri"

#: Configurations that people have, with comments, odd layouts and without a last newline.
DEBIAN = """\
version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"  # Debian's
"""
KUBEADM = """\
# by kubeadm
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc" # the usual one
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true

[metrics]
  address = ""
"""
TWO = """\
version = 3
[plugins.'io.containerd.cri.v1.runtime'.containerd]
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'"""
OTHERS: dict[str, list[str]] = {
    "podman": ["", "# mine\n[containers]\nlog_size_max = 1\n"],
    "containerd": ["", "\n", DEBIAN, KUBEADM, TWO, KUBEADM.replace("\n", "\r\n"), 'disabled_plugins = ["cri"]\n'],
    "docker": [
        "",
        "{}",
        "{ }\n",
        '{"debug": true}',
        '{\n    "debug" : true,\n\t"log-opts":{"max-size":"10m"}   \n}\n\n',
        '{\n\t"runtimes": {\n\t\t"kata": {"path": "/k"}\n\t}\n}',
        '{"runtimes": {}, "default-runtime": "crun", "x": 1.50e2, "y": "\\u00e4"}',
        '{\r\n  "runtimes": { "pyrunc": { "path": "/old", "runtimeArgs": ["--debug"] } }\r\n}\r\n',
    ],
    "crio": ["", '[crio.image]\npause_image = "p"'],
}
CASES = [(engine, text) for engine, texts in OTHERS.items() for text in texts]


def toml(path: Path) -> Any:
    return tomllib.loads(path.read_text())


@pytest.mark.parametrize("default", ["", "--default"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_system_without_a_configuration_gets_one_and_loses_it_again(
    system: System, engine: str, default: str
) -> None:
    before = system.files()
    assert "+++" in system.done(engine, default)
    assert system.files().keys() - before.keys() >= {FILES[engine]}
    assert system.file(engine).stat().st_mode & 0o777 == 0o644
    out = system.done(engine, "--remove")
    assert f"removed: {system.file(engine)}" in out
    assert system.files() == before


@pytest.mark.parametrize("default", ["", "--default"])
@pytest.mark.parametrize(("engine", "text"), CASES)
def test_a_removal_leaves_every_byte_as_it_was(system: System, engine: str, text: str, default: str) -> None:
    system.write(engine, text)
    before = system.files()
    system.done(engine, default)
    assert system.file(engine).read_bytes() != text.encode()
    system.done(engine, "--remove")
    assert system.files() == before


@pytest.mark.parametrize(("engine", "text"), CASES)
def test_other_options_lead_to_what_they_would_have_led_to_at_first(system: System, engine: str, text: str) -> None:
    system.write(engine, text)
    system.done(engine)
    plain = system.file(engine).read_bytes()
    system.done(engine, "--default")
    system.done(engine)
    assert system.file(engine).read_bytes() == plain


@pytest.mark.parametrize(("engine", "text"), CASES)
def test_a_second_run_touches_nothing(system: System, engine: str, text: str) -> None:
    system.write(engine, text)
    system.done(engine)
    inodes = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in system.path.rglob("*")}
    assert system.done(engine) == f"nothing to do: {system.file(engine)}\n"
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in system.path.rglob("*")} == inodes


@pytest.mark.parametrize("engine", ENGINES)
def test_a_dry_run_shows_what_a_run_shows_and_changes_nothing(system: System, engine: str) -> None:
    before = sorted(system.path.rglob("*"))
    dry = system.done(engine, "--dry-run")
    assert sorted(system.path.rglob("*")) == before
    wet = system.done(engine)
    assert wet.startswith(dry)
    assert dry.startswith(f"--- /dev/null\n+++ {system.file(engine)}\n")
    kept = system.files()
    assert "+++ /dev/null" in system.done(engine, "--dry-run", "--remove")
    assert system.files() == kept


@pytest.mark.parametrize("engine", ENGINES)
def test_there_may_be_nothing_to_remove(system: System, engine: str) -> None:
    before = sorted(system.path.rglob("*"))
    assert system.done(engine, "--remove") == f"nothing to remove: {system.file(engine)}\n"
    assert sorted(system.path.rglob("*")) == before


def test_what_others_have_edited_since_stays(system: System) -> None:
    for engine in ("podman", "containerd", "crio"):
        system.done(engine)
        text = system.file(engine).read_text()
        system.write(engine, "# above\n" + text + "\n[below]\nx = 1\n")
        system.done(engine, "--remove")
        assert toml(system.file(engine)) == {"below": {"x": 1}}
        assert system.file(engine).read_text().startswith("# above\n")


@pytest.mark.parametrize("text", ["", '{"default-runtime": "crun"}\n', '{\n "debug": true\n}'])
def test_what_others_have_edited_in_daemon_json_stays(system: System, text: str) -> None:
    before = json.loads(text or "{}")
    if text:
        system.write("docker", text)
    system.done("docker", "--default")
    data = json.loads(system.file("docker").read_text())
    system.write("docker", json.dumps({**data, "live-restore": True}))
    system.done("docker", "--remove")
    assert json.loads(system.file("docker").read_text()) == {**before, "live-restore": True}
    assert not system.file("docker").with_name("daemon.json.before-pyrunc").exists()


def test_a_default_that_somebody_has_chosen_since_is_not_touched(system: System) -> None:
    system.write("docker", '{"default-runtime": "runc"}')
    system.done("docker", "--default")
    system.write(
        "docker", system.file("docker").read_text().replace('"default-runtime": "pyrunc"', '"default-runtime": "kata"')
    )
    system.done("docker", "--remove")
    assert json.loads(system.file("docker").read_text()) == {"default-runtime": "kata"}


def test_an_edited_daemon_json_is_set_up_again_without_losing_the_edit(system: System) -> None:
    system.write("docker", '{"a": 1}')
    system.done("docker")
    system.write("docker", system.file("docker").read_text().replace('"a": 1', '"a": 2'))
    system.done("docker", "--default")
    system.done("docker", "--remove")
    assert json.loads(system.file("docker").read_text()) == {"a": 2}


def test_a_directory_of_drop_ins_never_holds_a_file_that_is_not_complete(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    replace = os.replace

    def look(source: str, target: str) -> None:
        seen.append(os.listdir(os.path.dirname(target)))
        replace(source, target)

    monkeypatch.setattr("os.replace", look)
    system.done("crio")
    assert seen == [[]]
    assert os.listdir(system.path / "etc/crio") == ["crio.conf.d"]


def test_a_umask_keeps_nobody_from_reading_a_configuration(system: System) -> None:
    before = os.umask(0o077)
    try:
        system.done("podman")
    finally:
        os.umask(before)
    path = system.file("podman")
    assert [one.stat().st_mode & 0o777 for one in (path, path.parent, path.parent.parent)] == [0o644, 0o755, 0o755]


@pytest.mark.parametrize("before", [None, "{}"])
def test_a_file_that_cannot_be_replaced_leaves_all_as_it_was(
    system: System, before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before is not None:
        system.write("docker", before)
        system.done("docker")
        system.write("docker", '{"runtimes": {"pyrunc": {"path": "/other"}}}')
    replace = os.replace

    def busy(source: str, target: str) -> None:
        if target.endswith("daemon.json"):
            raise OSError(16, "Device or resource busy", source)
        replace(source, target)

    monkeypatch.setattr("os.replace", busy)
    assert "daemon.json: cannot write it: device or resource busy" in (
        system.refused("docker", "--default") if before is not None else system.setup("docker")[2]
    )
    assert [path for path in system.files() if "docker" in path] == sorted(
        ["etc/docker/daemon.json", "etc/docker/daemon.json.before-pyrunc"] if before is not None else []
    )


def test_a_file_that_somebody_writes_at_the_same_time_is_not_overwritten(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = system.write("docker", "{}")
    sync = os.fsync

    def meanwhile(fd: int) -> None:
        sync(fd)
        path.write_text('{"theirs": 1}')

    monkeypatch.setattr("os.fsync", meanwhile)
    status, _, err = system.setup("docker")
    assert (status, "has changed in the meantime" in err) == (1, True)
    assert system.files().keys() == {"usr/bin/pyrunc", "etc/docker/daemon.json"}
    assert path.read_text() == '{"theirs": 1}'


def test_crio_reads_every_file_below_its_drop_ins(system: System) -> None:
    main = system.path / "etc/crio/crio.conf"
    for name in ("b", "a/2.conf", "a-1", "c.toml"):
        path = system.path / "etc/crio/crio.conf.d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    names = [os.path.relpath(path, main.parent / "crio.conf.d") for path in crio.files(str(system.path))[1:]]
    assert names == ["a/2.conf", "a-1", "b", "c.toml"]


def test_podman_gets_the_lists_that_are_in_force_with_our_name(system: System) -> None:
    for name, value in (("containers.conf", '["first"]'), ("containers.conf.d/10-a.conf", '["crun", "mine"]')):
        path = system.path / "etc/containers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[engine]\nruntime_supports_json = {value}\n")
    (system.path / "etc/containers/containers.conf.d/90-z.conf").write_text("[engine]\nruntime_supports_json = []\n")
    system.done("podman")
    engine = toml(system.file("podman"))["engine"]
    assert engine["runtime_supports_json"] == ["crun", "mine", "pyrunc"]
    assert {"crun", "krun", "pyrunc"} <= {*engine["runtime_supports_nocgroups"]}
    assert engine["runtimes"] == {"pyrunc": ["/usr/bin/pyrunc"]}
    assert "runtime" not in engine


def test_files_that_podman_reads_later_are_told(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    later = system.path / "etc/containers/containers.conf.d/60-later.conf"
    later.parent.mkdir(parents=True)
    later.write_text("[engine]\nruntime = 'crun'\n")
    assert "is read later" not in system.done("podman")
    assert f"{later} is read later and has another runtime: that counts" in system.done("podman", "--default")
    monkeypatch.setenv("CONTAINERS_CONF", "/x")
    assert "CONTAINERS_CONF is set here" in system.done("podman")


def section(system: System, plugin: str = PLUGIN) -> Any:
    return toml(system.file("containerd"))["plugins"][plugin]["containerd"]


def test_containerd_keeps_runc_which_it_has_only_without_other_runtimes(system: System) -> None:
    system.write("containerd", DEBIAN)
    system.done("containerd")
    assert section(system)["runtimes"] == {
        "runc": {"runtime_type": "io.containerd.runc.v2"},
        "pyrunc": {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": "/usr/bin/pyrunc"}},
    }
    assert 'bin_dir = "/usr/lib/cni"  # Debian\'s\n' in system.file("containerd").read_text()


def test_containerd_uses_the_cgroup_driver_that_runc_has(system: System) -> None:
    system.write("containerd", KUBEADM)
    system.done("containerd", "--default")
    assert section(system)["runtimes"]["pyrunc"]["options"]["SystemdCgroup"] is True
    assert section(system)["default_runtime_name"] == "pyrunc"
    assert section(system)["snapshotter"] == "overlayfs"


@pytest.mark.parametrize(
    ("text", "plugin"), [(TWO, "io.containerd.cri.v1.runtime"), ("root = '/r'\n", "cri"), ("version = 2\n", PLUGIN)]
)
def test_containerds_section_has_the_name_of_the_files_version(system: System, text: str, plugin: str) -> None:
    system.write("containerd", text)
    system.done("containerd", "--default")
    assert "pyrunc" in section(system, plugin)["runtimes"]
    assert section(system, plugin)["default_runtime_name"] == "pyrunc"


def test_a_switched_off_cri_plugin_is_told(system: System) -> None:
    system.write("containerd", 'disabled_plugins = ["cri"]\n')
    assert "the CRI plugin is switched off by disabled_plugins" in system.done("containerd")


@pytest.mark.parametrize(
    ("engine", "text", "message"),
    [
        ("docker", '{"debug": tru}', "line 1 column 11"),
        ("docker", "[]", "daemon.json: is no JSON object"),
        ("docker", '{"runtimes": []}', "daemon.json: runtimes is no object"),
        ("docker", '{"runtimes": {},\n"runtimes": {}}', "daemon.json:2: has 'runtimes' twice"),
        ("docker", '{"runtimes": {"pyrunc": 1}}', "runtimes.pyrunc is no object"),
        ("docker", '{"runtimes": {"pyrunc": {"runtimeType": "x"}}}', "is a shim, x"),
        ("containerd", "version = 2\nx = \n", "config.toml:2: is no valid TOML: Invalid value"),
        ("containerd", "version = 9\n", "version 9 is unknown"),
        ("containerd", "version = 2\nplugins = {}\n", "cannot be extended by"),
        ("containerd", f'version = 2\n[plugins."{PLUGIN}".containerd.runtimes.pyrunc]\n', "setup did not write"),
        ("podman", "[engine]\nruntime = 'x'\n", "cannot be extended by [engine]"),
        ("crio", "[crio", "50-pyrunc.conf:1: is no valid TOML"),
    ],
)
def test_a_configuration_that_cannot_be_extended_is_refused(
    system: System, engine: str, text: str, message: str
) -> None:
    system.write(engine, text)
    assert message in system.refused(engine)


def test_bytes_that_are_no_text_are_refused_with_their_line(system: System) -> None:
    system.write("docker", "").write_bytes(b"{\n\xff}")
    assert "daemon.json:2: is not UTF-8: byte 0xff" in system.refused("docker")


def test_an_imported_file_that_would_replace_the_section_is_named(system: System) -> None:
    system.write("containerd", 'version = 2\nimports = ["conf.d/*.toml"]\n')
    more = system.path / "etc/containerd/conf.d/a.toml"
    more.parent.mkdir()
    more.write_text(f'version = 2\n[plugins."{PLUGIN}".registry]\n')
    assert "change that file: --config /etc/containerd/conf.d/a.toml" in system.refused("containerd")
    before = system.files()
    system.done("containerd", "--config", "/etc/containerd/conf.d/a.toml")
    assert "BinaryName" in more.read_text()
    system.done("containerd", "--config", "/etc/containerd/conf.d/a.toml", "--remove")
    assert system.files() == before


@pytest.mark.parametrize("gone", [0, -2])
def test_a_mark_without_its_other_half_is_refused(system: System, gone: int) -> None:
    system.write("containerd", "version = 2\n")
    system.done("containerd")
    lines = system.file("containerd").read_text().split("\n")
    marks = [number for number, line in enumerate(lines) if line.startswith(("# >>>", "# <<<"))]
    del lines[marks[0 if gone == 0 else -1]]
    system.write("containerd", "\n".join(lines))
    assert "has lost its other half" in system.refused("containerd")
    assert "has lost its other half" in system.refused("containerd", "--remove")


def test_a_line_that_belongs_to_our_table_is_not_given_to_another(system: System) -> None:
    system.write("containerd", "version = 2\n[grpc]\n")
    system.done("containerd")
    system.write("containerd", system.file("containerd").read_text() + 'address = "/x"\n')
    assert "belongs to pyrunc's table" in system.refused("containerd", "--remove")


def test_a_record_that_somebody_else_wrote_is_refused(system: System) -> None:
    system.write("docker", "{}")
    record = system.file("docker").with_name("daemon.json.before-pyrunc")
    record.write_text('{"written": 1}')
    assert "was not written by pyrunc setup" in system.refused("docker", "--remove")


def test_owner_mode_attributes_and_the_link_stay(system: System) -> None:
    path = system.write("docker", '{"a": 1}')
    target = path.with_name("real.json")
    path.rename(target)
    path.symlink_to("real.json")
    target.chmod(0o640)
    attributes = hasattr(os, "setxattr") and os.geteuid() == 0
    if attributes:
        os.setxattr(target, "trusted.note", b"kept")
        os.chown(target, 12345, 54321)
    system.done("docker")
    assert path.is_symlink()
    record = target.with_name("real.json.before-pyrunc")
    for one in (target, record):
        assert one.stat().st_mode & 0o777 == 0o640
        if attributes:
            assert (one.stat().st_uid, one.stat().st_gid) == (12345, 54321)
    if attributes:
        assert os.getxattr(target, "trusted.note") == b"kept"
    system.done("docker", "--remove")
    assert target.read_text() == '{"a": 1}'
    assert path.is_symlink()
    assert not record.exists()


def test_links_that_lead_nowhere_or_out_of_the_sysroot_are_refused(system: System, tmp_path: Path) -> None:
    path = system.write("docker", "{}")
    path.unlink()
    path.symlink_to("absent.json")
    assert "is a symbolic link to" in system.refused("docker")
    path.unlink()
    (tmp_path / "outside.json").write_text("{}")
    path.symlink_to(tmp_path / "outside.json")
    assert "leads out of --sysroot" in system.refused("docker")
    assert (tmp_path / "outside.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("options", "runtime", "message"),
    [
        (["--user"], "/usr/bin/pyrunc", "--user and --sysroot contradict"),
        (["--remove", "--default"], "/usr/bin/pyrunc", "--remove takes everything out"),
        (["--config", "relative"], "/usr/bin/pyrunc", "is not absolute"),
        (["--config="], "/usr/bin/pyrunc", "--config: must not be empty"),
        ([], "bin/pyrunc", "--runtime: 'bin/pyrunc' is not an absolute path"),
        ([], "/usr/bin/absent", "No such file"),
        ([], "/usr/bin", "is no program"),
        ([], "/usr/bin/pyr\nunc", "characters that cannot be written"),
    ],
)
def test_options_that_make_no_sense_are_refused(system: System, options: list[str], runtime: str, message: str) -> None:
    status, out, err = system.setup("containerd", *options, runtime=runtime)
    assert (status, out) == (1, "")
    assert message in err


def test_an_unknown_engine_is_refused_with_those_that_are_known(system: System) -> None:
    assert "'nerdctl' is no engine that pyrunc knows (choose podman, containerd, docker, crio)" in system.refused(
        "nerdctl"
    )
