"""The commands that work on a bundle and touch no container: spec, validate, plan."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cli import lean


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    assert lean.main(["spec", "--bundle", str(tmp_path)]) == 0
    return tmp_path


def edit(bundle: Path, **changes: object) -> None:
    path = bundle / "config.json"
    config: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps({**config, **changes}))


def test_spec_writes_a_config_that_is_valid(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = (bundle / "config.json").read_text()
    assert text.startswith('{\n\t"ociVersion": "1.3.0",\n')
    assert text.endswith("}\n")
    assert lean.main(["validate", "-b", str(bundle)]) == 0
    assert capfd.readouterr() == ("", "")


def test_spec_never_replaces_a_config(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (bundle / "config.json").write_text("mine")
    assert lean.main(["spec", "-b", str(bundle)]) == 1
    assert capfd.readouterr().err == f"pyrunc: {bundle}: File config.json exists. Remove it first\n"
    assert (bundle / "config.json").read_text() == "mine"


def test_spec_needs_a_directory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert lean.main(["spec", "-b", str(tmp_path / "absent")]) == 1
    assert capfd.readouterr().err == f"pyrunc: {tmp_path}/absent/config.json: no such file or directory\n"


def test_spec_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to(tmp_path / "elsewhere")
    assert lean.main(["spec", "-b", str(tmp_path)]) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_spec_works_in_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert lean.main(["spec", "--rootless"]) == 0
    config = json.loads((tmp_path / "config.json").read_text())
    (mapping,) = config["linux"]["uidMappings"]
    assert mapping["hostID"] == os.geteuid()


def test_validate_lists_every_violation_one_a_line(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    edit(bundle, ociVersion="2.0.0", hostname=3, root={})
    assert lean.main(["validate", "--bundle", str(bundle)]) == 1
    out, err = capfd.readouterr()
    assert err == ""
    assert [line.partition(":")[0] for line in sorted(out.splitlines())] == [
        "hostname",
        "ociVersion",
        "root.path",
    ]


def test_create_refuses_with_the_same_lines(bundle: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    edit(bundle, ociVersion="2.0.0", hostname=3)
    lean.main(["validate", "--bundle", str(bundle)])
    listed = capfd.readouterr().out.splitlines()
    assert lean.main(["--root", str(tmp_path / "state"), "create", "--bundle", str(bundle), "one"]) == 1
    assert capfd.readouterr().err.splitlines() == [f"pyrunc: {line}" for line in listed]
    assert not (tmp_path / "state").exists()


def test_a_bundle_without_a_config_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["validate", "-b", str(tmp_path)], ["plan", str(tmp_path)], ["plan", "-b", str(tmp_path)]):
        assert lean.main(words) == 1
        assert "JSON specification file config.json not found" in capfd.readouterr().err


def test_plan_is_the_same_from_text_and_json(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert lean.main(["plan", str(bundle)]) == 0
    text = capfd.readouterr().out
    assert lean.main(["plan", "--bundle", str(bundle), "--format=json"]) == 0
    ops = json.loads(capfd.readouterr().out)["ops"]
    assert [line.split()[2] for line in text.splitlines()] == [op["op"] for op in ops]
    assert os.listdir(bundle) == ["config.json"]


def test_plan_diff_shows_what_changes_and_only_that(
    bundle: Path, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path_factory.mktemp("other") / bundle.name
    other.mkdir()
    (other / "config.json").write_bytes((bundle / "config.json").read_bytes())
    config = json.loads((other / "config.json").read_text())
    root = {"path": str(bundle / "rootfs")}  # the same rootfs, wherever the bundle is
    edit(bundle, root=root)
    edit(other, root=root, hostname="elsewhere")
    assert lean.main(["plan", str(bundle), "--diff", str(bundle)]) == 0
    assert capfd.readouterr().out == ""
    assert lean.main(["plan", str(bundle), "--diff", str(other)]) == 0
    lines = capfd.readouterr().out.splitlines()
    changes = [line.split() for line in lines[2:] if line[0] in "+-"]
    assert [(line[0][0], line[1], line[2]) for line in changes] == [
        ("-", "hostname", f'name="{config["hostname"]}"'),
        ("+", "hostname", 'name="elsewhere"'),
    ]
    assert lean.main(["plan", str(bundle), "--diff", str(other), "-f", "json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [(one["change"], one["op"]["arguments"]["name"]) for one in found] == [
        ("remove", config["hostname"]), ("add", "elsewhere"),
    ]  # fmt: skip


def test_a_bundle_is_named_once(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert lean.main(["plan", "--bundle", str(bundle), str(bundle)]) == 1
    assert capfd.readouterr().err == "pyrunc: the bundle is given twice, by --bundle and as an argument\n"
