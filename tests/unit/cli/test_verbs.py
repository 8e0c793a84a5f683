"""What the verbs hand to the runtime, and the values that are checked on the way."""

from __future__ import annotations

import os
import posix
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.cli import arguments, lean
from pyrunc.errors import HostError, UsageError
from pyrunc.runtime import root


def test_paths_of_create_are_the_callers(
    called: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(posix.environ, b"NOTIFY_SOCKET", b"@manager")
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
        "hold": False,
        "notify_socket": "@manager",
        "pass_layers": False,
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
    assert arguments.user(text) == expected


@given(st.text(st.sampled_from("0123456789:-+_ x٣\n"), max_size=14))
def test_a_user_is_taken_as_written_or_not_at_all(text: str) -> None:
    """CVE-2026-30892, CVE-2024-40635: what is not exactly an id never becomes one."""
    try:
        uid, gid = arguments.user(text) or (-1, None)
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
        arguments.user(text)


@given(st.lists(st.sampled_from(["", ".", "..", "a", "b c", "é"]), max_size=6).map("/".join))
def test_a_path_is_made_absolute_as_the_library_does_it(path: str) -> None:
    assert arguments.absolute(path) == os.path.abspath(path).replace("//", "/")


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
