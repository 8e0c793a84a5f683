"""What the verbs hand to the runtime, and the values that are checked on the way."""

from __future__ import annotations

import json
import os
import posix
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cli import lean, output, verbs
from pyrunc.cli.commands import GLOBAL
from pyrunc.errors import HostError, UsageError
from pyrunc.runtime import commit, create, diff, preview, root, run
from pyrunc.runtime import exec as exec_verb
from pyrunc.spec import isolation
from tests.unit.spec.support import config


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments of the last call of a verb that is not to be run."""
    seen: dict[str, Any] = {}

    def record(*positional: object, **named: object) -> int:
        seen.update(named, positional=positional)
        return 7

    monkeypatch.setattr(create, "create", record)
    monkeypatch.setattr(run, "run", record)
    monkeypatch.setattr(commit, "commit", record)
    monkeypatch.setattr(exec_verb, "exec_", record)
    return seen


def test_paths_of_create_are_the_callers(
    called: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    words = "--root r create --bundle a/../b --pid-file p --console-socket s --preserve-fds 2 --no-pivot one"
    assert lean.main(words.split()) == 0
    del called["warn"]
    options = called.pop("options")
    assert called == {
        "positional": (),
        "root": str(tmp_path / "r"),
        "id": "one",
        "bundle": str(tmp_path / "b"),
        "pid_file": "p",
        "pidfd_socket": None,
    }
    assert {name: getattr(options, name) for name in options.__slots__} == {
        "console_socket": "s",
        "no_pivot": True,
        "no_new_keyring": False,
        "preserve_fds": 2,
        "cgroup_manager": "cgroupfs",
        "rootless": "auto",
        "isolation": {},
        "serves_terminal": False,
        "stdio": (0, 1, 2),
    }


def test_exec_hands_on_all_that_was_asked_for(called: dict[str, Any], tmp_path: Path) -> None:
    words = [
        "--root", str(tmp_path), "--rootless=0", "exec", "-d", "-t", "-u", "1:2", "-g", "3", "-e", "A=B",
        "-c", "CAP_KILL",
        "--cwd", "/x", "--cgroup", "a", "--no-new-privs", "one", "ls", "-l",
    ]  # fmt: skip
    assert lean.main(words) == 7
    assert called["positional"] == (str(tmp_path), "one")
    assert called["process"] is None
    assert called["args"] == ["ls", "-l"]
    assert (called["user"], called["additional_gids"], called["env"]) == ((1, 2), [3], ["A=B"])
    assert (called["caps"], called["cwd"], called["cgroups"]) == (["CAP_KILL"], "/x", ["a"])
    assert (called["detach"], called["tty"], called["no_new_privs"]) == (True, True, True)
    assert called["rootless"] == "false"


def test_a_process_may_come_from_a_descriptor(called: dict[str, Any], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b'{"args": ["true"], "cwd": "/"}')
    os.close(writer)
    try:
        assert lean.main(["--root", str(tmp_path), "exec", "-p", f"/dev/fd/{reader}", "one"]) == 7
    finally:
        os.close(reader)
    assert called["process"]["args"] == ["true"]


def test_a_process_file_that_is_not_there_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert lean.main(["--root", "/", "exec", "-p", "/absent/p.json", "one"]) == 255
    assert capfd.readouterr().err == ("pyrunc: exec failed: --process /absent/p.json: no such file or directory\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", (0, None)),
        ("1", (1, None)),
        ("1:2", (1, 2)),
        ("4294967294:4294967294", (4294967294, 4294967294)),
    ],
)
def test_a_user_is_a_number_or_two(text: str, expected: tuple[int, int | None]) -> None:
    assert verbs._user(text) == expected


@given(st.text(st.sampled_from("0123456789:-+_ x٣\n"), max_size=14))
def test_a_user_is_taken_as_written_or_not_at_all(text: str) -> None:
    """CVE-2026-30892, CVE-2024-40635: what is not exactly an id never becomes one."""
    try:
        uid, gid = verbs._user(text) or (-1, None)
    except UsageError:
        return
    assert (
        ":".join(str(part).rjust(len(given), "0") for part, given in zip((uid, gid), text.split(":"), strict=False))
        == text
    )
    assert 0 <= uid <= 0xFFFFFFFE
    assert gid is None or 0 <= gid <= 0xFFFFFFFE


@pytest.mark.parametrize(
    "text", ["", "root", "-1", "1:", ":1", "4294967295", "1:4294967295", "1:2:3", " 1", "1_0", "0x1"]
)
def test_a_user_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--user: [ug]id .* is not a number from 0 to 4294967294"):
        verbs._user(text)


@given(st.lists(st.sampled_from(["", ".", "..", "a", "b c", "é"]), max_size=6).map("/".join))
def test_a_path_is_made_absolute_as_the_library_does_it(path: str) -> None:
    assert verbs._absolute(path) == os.path.abspath(path).replace("//", "/")


def test_an_empty_root_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert lean.main(["--root", "", "list"]) == 1
    assert capfd.readouterr().err == "pyrunc: --root: must not be empty\n"


@pytest.mark.parametrize(
    ("uid", "userns", "environment", "expected"),
    [
        (0, False, {}, "/run/pyrunc"),
        (0, False, {"XDG_RUNTIME_DIR": "/x"}, "/run/pyrunc"),
        (0, True, {"XDG_RUNTIME_DIR": "/x"}, "/x/pyrunc"),
        (0, True, {"XDG_RUNTIME_DIR": "/x", "USER": "root"}, "/run/pyrunc"),
        (0, True, {}, "/run/pyrunc"),
        (1000, False, {"XDG_RUNTIME_DIR": "/x"}, "/x/pyrunc"),
    ],
)
def test_the_default_root_depends_on_who_asks(
    uid: int, userns: bool, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posix, "geteuid", lambda: uid)
    monkeypatch.setattr(root, "_in_user_namespace", lambda: userns)
    variables = {name.encode(): value.encode() for name, value in environment.items()}
    assert root.default(variables) == root.expected(variables) == expected


def test_without_xdg_runtime_dir_an_ordinary_user_has_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match=r"^XDG_RUNTIME_DIR is not set \(set it, or give --root DIR\)$"):
        root.default({})
    assert root.expected({}) == "/run/user/1000/pyrunc"


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
    for name, key, word in verbs.WORDS:
        assert (isolation.KEYS[key][0], isolation.WORDS[key]) == (f"--{name}", word)
    assert {key for _, key, _ in verbs.WORDS} == isolation.WORDS.keys()


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


class Change:
    def __init__(self, kind: str, path: str) -> None:
        self.kind = kind
        self.path = path


CHANGES = [Change("A", "/a b"), Change("C", "/é"), Change("D", "/x\nA \\/etc\x1b[m\udcff\x9b"), Change("A", "/z")]


def test_a_diff_has_a_line_for_each_change_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(diff, "diff", lambda *where: CHANGES if where == (str(tmp_path), "one") else None)
    assert lean.main(["--root", str(tmp_path), "diff", "one"]) == 0
    text = "A /a b\nC /é\nD /x\\012A \\134/etc\\033[m\\377\\302\\233\nA /z\n"
    assert capfd.readouterr() == (text, "")


def test_a_diff_as_json_has_all_three_lists_and_every_byte(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(diff, "diff", lambda *_: CHANGES)
    assert lean.main(["--root", str(tmp_path), "diff", "-f", "json", "one"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found == {"changed": ["/é"], "added": ["/a b", "/z"], "deleted": [CHANGES[2].path]}
    monkeypatch.setattr(diff, "diff", lambda *_: [])
    assert lean.main(["--root", str(tmp_path), "diff", "--format=json", "one"]) == 0
    assert capfd.readouterr().out == '{"changed":[],"added":[],"deleted":[]}\n'


@given(st.text(st.characters(exclude_categories=()).filter(lambda one: not "\ud800" <= one < "\udc80"), max_size=8))
def test_a_shown_path_is_one_printable_line_with_every_byte(text: str) -> None:
    path = "".join(one for one in text if not "\udd00" <= one <= "\udfff" and one != "\0")
    line = output.shown(path)
    assert line.isprintable()
    data = re.sub(rb"\\(\d{3})", lambda found: bytes([int(found[1], 8)]), line.encode())
    assert data == path.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("dest", ["d", "d/", "/abs/d/", "-", "../d.tar"])
def test_the_destination_of_a_commit_is_taken_as_written(dest: str, called: dict[str, Any], tmp_path: Path) -> None:
    assert lean.main(["--root", str(tmp_path), "commit", "one", dest, "--layer", "/work/"]) == 0
    assert called["positional"] == (str(tmp_path), "one", dest)
    assert called["layer"] == "/work/"
    lean.main(["--root", str(tmp_path), "commit", "one", dest])
    assert called["layer"] is None
