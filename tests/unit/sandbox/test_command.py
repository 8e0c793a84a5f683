"""From the options of ``pyrunc sandbox`` to the arguments of a sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.cli import lean
from pyrunc.errors import UsageError
from pyrunc.sandbox import arguments, command


def read(*words: str) -> dict[str, Any]:
    return command.arguments(lean.parse(["sandbox", *words]).options)


def test_without_options_everything_has_its_default() -> None:
    assert read() == {"files": {}, "mounts": {}, "env": {}, "rlimits": {}}
    made, default = arguments.read(**read()), arguments.read()
    assert all(getattr(made, name) == getattr(default, name) for name in arguments.Arguments.__slots__)


def test_each_option_is_an_argument() -> None:
    found = read(
        "--rootfs", "/r", "--writable=5m", "--tmp", "none", "--workspace", "/w,size=1m", "--file", "/a:/b",
        "--file", "/c:/d:cow", "--mount", "relative:/e:rw", "--memory", "1g", "--pids", "5", "--cpus", "1.5",
        "--network", "--user", "1:2", "--env", "A=b=c", "--env", "B=", "--cwd", "/x", "--hostname", "h",
        "--rlimit", "nofile=5:10", "--rlimit", "core=unlimited", "--userns", "--allow-ptrace",
    )  # fmt: skip
    (source,) = found.pop("mounts").items()
    assert source[0].endswith("/relative")
    assert source[1] == ("/e", "rw")
    assert found == {
        "rootfs": "/r",
        "writable": "5m",
        "tmp": None,
        "workspace": "/w,size=1m",
        "files": {"/a": ("/b", "ro"), "/c": ("/d", "cow")},
        "memory": "1g",
        "pids": 5,
        "cpus": 1.5,
        "network": True,
        "user": "1:2",
        "env": {"A": "b=c", "B": ""},
        "cwd": "/x",
        "hostname": "h",
        "rlimits": {"nofile": (5, 10), "core": ("unlimited", "unlimited")},
        "userns": True,
        "debug": True,
    }


def test_a_flag_may_have_a_value_or_none() -> None:
    assert read("--writable")["writable"] is True
    assert "writable" not in read("--writable=false")


def test_what_follows_the_command_is_its_own() -> None:
    assert lean.parse(["sandbox", "--pids", "5", "ls", "--pids"]).arguments == ["ls", "--pids"]
    assert lean.parse(["sandbox", "--", "-x"]).arguments == ["-x"]


@pytest.mark.parametrize(
    "words",
    [
        ("--file", "/a"), ("--file", ":/b"), ("--file", "/a:/b:x"), ("--mount", "/a:"), ("--env", "A"),
        ("--env", "=b"), ("--pids", "1.5"), ("--pids", "-1"), ("--pids", "1_0"), ("--cpus", "nan"), ("--cpus", "1.2.3"),
        ("--rlimit", "nofile"), ("--rlimit", "nofile=a"), ("--rlimit", "nofile=1:2:3"), ("--cpus", "."),
    ],
)  # fmt: skip
def test_a_malformed_value_is_a_usage_error_that_names_the_option(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=words[0]):
        read(*words)
