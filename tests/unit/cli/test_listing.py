"""``list`` and ``ps`` without containers: files of the state, made by hand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cli import lean
from pyrunc.errors import HostError
from pyrunc.host import cgroups
from pyrunc.runtime import listing, ps
from pyrunc.runtime import state as states
from pyrunc.state.store import Record

HEADER = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container ``one`` that is running, as far as its files and the patched status tell."""
    directory = tmp_path / "state" / "one"
    directory.mkdir(parents=True)
    state: dict[str, Any] = {
        "ociVersion": "1.3.0", "id": "one", "status": "created", "pid": 4321, "start_time": 1,
        "created": "2026-01-02T03:04:05.000000006Z", "owner": "",
        "bundle": "/bundles/é", "rootfs": "/bundles/é/rootfs",
        "annotations": {"a": "b"}, "cgroups": {"": "/sys/fs/cgroup/x"}, "cgroup_manager": "cgroupfs",
        "hooks": {}, "start_ops": [],
    }  # fmt: skip
    (directory / "state.json").write_text(json.dumps(state))
    monkeypatch.setattr(states, "status", lambda _record, _state: "running")
    return directory


def output(capfd: pytest.CaptureFixture[str], *words: str, root: Path) -> str:
    assert lean.main(["--root", str(root), *words]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return out


def test_an_empty_root_is_a_header(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert output(capfd, "list", root=tmp_path) == HEADER
    assert output(capfd, "list", "-q", root=tmp_path) == ""
    assert json.loads(output(capfd, "list", "-f", "json", root=tmp_path)) is None


def test_columns_are_as_wide_as_their_longest_cell(container: Path, capfd: pytest.CaptureFixture[str]) -> None:
    owner = listing._owner(Record(str(container.parent), container.name))
    assert output(capfd, "list", root=container.parent) == (
        "ID          PID         STATUS      BUNDLE       CREATED                          OWNER\n"
        f"one         4321        running     /bundles/é   2026-01-02T03:04:05.000000006Z   {owner}\n"
    )
    assert output(capfd, "list", "-q", root=container.parent) == "one\n"


def test_json_has_runcs_keys_in_runcs_order(container: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (document,) = json.loads(output(capfd, "list", "--format=json", root=container.parent))
    assert list(document) == [
        "ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner",
    ]  # fmt: skip
    assert document["pid"] == 4321


def test_a_stopped_container_has_no_pid(
    container: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "status", lambda _record, _state: "stopped")
    (document,) = json.loads(output(capfd, "list", "-f", "json", root=container.parent))
    assert (document["pid"], document["status"]) == (0, "stopped")


def test_one_broken_container_hides_no_other(container: Path, capfd: pytest.CaptureFixture[str]) -> None:
    broken = container.parent / "broken"
    broken.mkdir()
    (broken / "state.json").write_text("{")
    (container.parent / "file").touch()
    (container.parent / ".hidden").mkdir()
    assert lean.main(["--root", str(container.parent), "list", "-q"]) == 0
    out, err = capfd.readouterr()
    assert out == "one\n"
    assert err.startswith("pyrunc: warning: load container broken: ")
    assert err.count("\n") == 1


def test_a_root_that_was_asked_for_must_exist(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert lean.main(["--root", str(tmp_path / "absent"), "list"]) == 1
    assert capfd.readouterr().err == f"pyrunc: open {tmp_path}/absent: no such file or directory\n"
    assert listing.containers(str(tmp_path / "absent"), explicit=False, warn=print) == []
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="not a directory"):
        listing.containers(str(tmp_path / "file"), explicit=False, warn=print)


def test_ps_prints_the_containers_processes_and_no_others(
    container: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.getpid()
    monkeypatch.setattr(cgroups, "procs", lambda _cgroups: [me])
    root = container.parent
    header, line = output(capfd, "ps", "one", root=root).splitlines()
    assert header.split()[:3] == ["UID", "PID", "PPID"]
    assert line.split()[1] == str(me)
    assert output(capfd, "ps", "one", "-o", "pid", root=root).split() == ["PID", str(me)]
    assert json.loads(output(capfd, "ps", "-f", "json", "one", root=root)) == [me]


def test_ps_of_a_stopped_container_is_a_header(
    container: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "status", lambda _record, _state: "stopped")
    assert output(capfd, "ps", "one", root=container.parent).count("\n") == 1
    assert output(capfd, "ps", "--format", "json", "one", root=container.parent) == "null\n"


def test_ps_needs_a_column_of_pids(container: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "procs", lambda _cgroups: [])
    with pytest.raises(HostError, match=r"^couldn't find PID field in ps output$"):
        ps.table(str(container.parent), "one", ["-o", "args"])
    with pytest.raises(HostError, match=r"^ps --bogus: exit status 1: error: "):
        ps.table(str(container.parent), "one", ["--bogus"])


def test_ps_is_found_without_a_path(container: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "procs", lambda _cgroups: [])
    monkeypatch.delenv("PATH")
    assert ps.table(str(container.parent), "one", []).startswith("UID")


@pytest.mark.needs("runc")
def test_the_table_is_runcs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runc = subprocess.run(["runc", "--root", tmp_path, "list"], capture_output=True, check=True, text=True)
    assert output(capfd, "list", root=tmp_path) == runc.stdout
