"""The global options that stand for annotations: what they become, and what is said of malformed ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cli import lean
from pyrunc.cli.commands import GLOBAL
from pyrunc.runtime import preview
from pyrunc.spec import isolation
from tests.unit.spec.support import config

FLAGS = {
    "": {},
    "--private-tmp": {"io.pyrunc.tmp": "private"},
    "--private-tmp=true --ephemeral-rootfs=1": {"io.pyrunc.tmp": "private", "io.pyrunc.rootfs": "ephemeral"},
    "--private-tmp=false --ephemeral-rootfs=f": {},
    "--private-tmp=size=64m": {"io.pyrunc.tmp": "private,size=64m"},
    "--ephemeral-rootfs=size=10%": {"io.pyrunc.rootfs": "ephemeral,size=10%"},
    "--workspace cwd": {"io.pyrunc.workspace": "cwd"},
    "--workspace=/work,size=1g": {"io.pyrunc.workspace": "/work,size=1g"},
    "--cow /a:/b --cow=/c": {"io.pyrunc.cow": "/a:/b:/c"},
}


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("verb", ["create", "run"])
def test_flags_become_the_annotations_that_they_stand_for(
    verb: str, flags: str, called: dict[str, Any], tmp_path: Path
) -> None:
    lean.main(["--root", str(tmp_path), *flags.split(), verb, "one"])
    assert called["options"].isolation == FLAGS[flags]


@pytest.mark.parametrize("flags", FLAGS)
def test_plan_is_told_of_the_flags(flags: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(preview, "plan", lambda *_, isolation, **__: seen.append(isolation))
    monkeypatch.setattr(preview, "difference", lambda *_: "")
    assert lean.main(["--root", str(tmp_path), *flags.split(), "plan", "A", "--diff", "B"]) == 0
    assert seen == [FLAGS[flags]] * 2


def test_the_flags_are_those_that_the_spec_layer_names() -> None:
    names = {f"--{option.name}" for option in GLOBAL}
    assert {flag for flag, _ in isolation.KEYS.values()} <= names


def test_without_a_flag_nothing_is_read() -> None:
    program = (
        f"import sys; sys.path.insert(0, {sys.path[0]!r})\n"
        "from pyrunc.cli import lean; status = lean.main(['--root=/nowhere', '--private-tmp=0', 'kill', 'x'])\n"
        "print(status, *(name for name in sys.modules if name.endswith('.isolation')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "1\n"


SIZE = "expected digits, the first from 1 to 9, with an optional k, m, g or %"
MALFORMED = {
    "--private-tmp=": '--private-tmp: expected size=SIZE, got ""',
    "--private-tmp=64m": '--private-tmp: expected size=SIZE, got "64m"',
    "--private-tmp=private": '--private-tmp: expected size=SIZE, got "private"',
    "--ephemeral-rootfs=size=0": f'--ephemeral-rootfs: "0" is no size; {SIZE}',
    "--workspace work": '--workspace: "work" is neither cwd nor an absolute path',
    "--workspace=": '--workspace: "" is neither cwd nor an absolute path',
    "--cow /a:b": '--cow: "b" is not an absolute path',
    "--cow=": '--cow: expected DEST[:DEST...], got ""',
    "--cow /a --cow=": '--cow: "" is not an absolute path',
    "--workspace=/ --private-tmp=no": (
        '--private-tmp: expected size=SIZE, got "no"; --workspace: "/" is the container\'s root directory'
    ),
}


@pytest.mark.parametrize("flags", MALFORMED)
@pytest.mark.parametrize("verb", ["create", "run", "plan", "list"])
def test_a_malformed_flag_is_a_usage_error_that_names_it(
    verb: str, flags: str, called: dict[str, Any], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["--root", str(tmp_path), *flags.split(), verb, *(["one"] if verb in ("create", "run") else [])]
    assert lean.main(words) == 1
    assert capfd.readouterr() == ("", f"pyrunc: {MALFORMED[flags]}\n")
    assert not called


@pytest.mark.parametrize("flags", ["", "--workspace=cwd --cow /nowhere"])
def test_validate_and_create_refuse_the_same_with_the_same_text(
    flags: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    document = config({"annotations": {"io.pyrunc.tmp": "no", "io.pyrunc.tpm": "x", "io.pyrunc.cow": "/x"}})
    (tmp_path / "config.json").write_text(json.dumps(document))
    assert lean.main(["validate", "-b", str(tmp_path)]) == 1
    said = capfd.readouterr().out
    assert said.count("\n") == 3
    for verb in ("create", "plan"):
        arguments = ["one"] if verb == "create" else []
        words = ["--root", str(tmp_path / "state"), *flags.split(), verb, "-b", str(tmp_path), *arguments]
        assert lean.main(words) == 1
        assert capfd.readouterr() == ("", "".join(f"pyrunc: {line}\n" for line in said.splitlines()))
    assert not (tmp_path / "state").exists()


def test_a_flag_that_the_config_does_not_allow_is_refused_before_anything_is_made(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    document = config({"root.path": str(tmp_path), "process.terminal": False})
    (tmp_path / "config.json").write_text(json.dumps(document))
    said = """\
pyrunc: --workspace: cwd means process.cwd, but "/" is the container's root directory
pyrunc: --cow: "/data" is not the destination of a bind mount; there is none
"""
    flags = ["--workspace=cwd", "--cow=/data"]
    for verb in (["create", "one"], ["plan"]):
        assert lean.main(["--root", str(tmp_path / "state"), *flags, verb[0], "-b", str(tmp_path), *verb[1:]]) == 1
        assert capfd.readouterr() == ("", said)
    assert not (tmp_path / "state").exists()
