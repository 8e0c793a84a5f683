"""``pyrunc setup`` through the command line: what it writes, and that it can be undone."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.unit.setup.configurations import OTHERS, toml
from tests.unit.setup.conftest import FILES, System

if TYPE_CHECKING:
    pass

ENGINES = tuple(FILES)

CASES = [(engine, text) for engine, texts in OTHERS.items() for text in texts]


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
