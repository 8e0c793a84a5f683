"""What the arguments of a box are read as, and what is said of those that make no sense."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import UsageError
from pyrunc.sandbox import arguments

BYTES = "expected bytes or a number with k, m or g"


def said(**given: Any) -> list[str]:
    """The lines of the error, [] without one."""
    try:
        arguments.read(**given)
    except UsageError as error:
        return str(error).split("\n")
    return []


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"memory": "lots"}, f'memory="lots": {BYTES}'),
        ({"memory": "1.5g"}, f'memory="1.5g": {BYTES}'),
        ({"memory": 256}, f"memory=256: less than a megabyte: {BYTES}"),
        ({"memory": True}, f"memory=True: {BYTES}"),
        ({"memory": -1}, f"memory=-1: out of range: {BYTES}"),
        ({"memory": "9" * 18 + "g"}, f'memory="{"9" * 18}g": out of range: {BYTES}'),
        ({"tmp": "big"}, f'tmp="big": {BYTES}, or a percentage'),
        ({"tmp": "0"}, f'tmp="0": out of range: {BYTES}, or a percentage'),
        ({"tmp": "0%"}, 'tmp="0%": expected 1% to 100%'),
        ({"writable": "101%"}, 'writable="101%": expected 1% to 100%'),
        ({"workspace": "work"}, 'workspace="work": expected an absolute path inside the box'),
        ({"workspace": "/a/../b"}, 'workspace="/a/../b": must not contain ..'),
        ({"workspace": "/"}, 'workspace="/": is the root directory of the box: that is what rootfs is for'),
        ({"workspace": "/proc/x"}, 'workspace="/proc/x": is in /proc, which the box has of its own'),
        ({"workspace": "/a,b"}, 'workspace="/a,b": its path cannot contain a comma; its size is given as ,size=SIZE'),
        ({"workspace": "/a,size=x"}, f'workspace="x": {BYTES}, or a percentage'),
        ({"workspace": ("/a",)}, "workspace=('/a',): expected a path inside the box, or (path, size)"),
        ({"workspace": "/tmp"}, 'workspace="/tmp": is the place of the private /tmp (without it: tmp=None) already'),
        ({"workspace": 5}, "workspace=5: expected a path"),
        ({"rootfs": 5}, "rootfs=5: expected a path"),
        ({"rootfs": ""}, 'rootfs="": expected a path'),
        ({"rootfs": "/"}, 'rootfs="/": would show the box the whole host; name another directory, or "host"'),
        ({"files": "data"}, 'files="data": expected a dict from paths of the host to paths inside the box'),
        ({"files": {"data": "in"}}, 'files["data"]="in": expected an absolute path inside the box'),
        ({"files": {"data": ("/in", "w")}},
         "files[\"data\"]=('/in', 'w'): there is no mode 'w'; there are ro, rw, cow"),
        ({"files": {Path("data"): 3}}, 'files["data"]=3: expected a path'),
        ({"files": {"data": ("/a:b", "cow")}},
         "files[\"data\"]=('/a:b', 'cow'): a path that is copied on write cannot contain a colon"),
        ({"mounts": {"/src": ("/a", "ro", "x")}},
         'mounts["/src"]=(\'/a\', \'ro\', \'x\'): expected a path inside the box, or (path, mode)'),
        ({"mounts": {"/src": "/dev/dri"}}, 'mounts["/src"]="/dev/dri": is in /dev, which the box has of its own'),
        ({"mounts": {"/src": "/tmp"}},
         'mounts["/src"]="/tmp": is the place of the private /tmp (without it: tmp=None) already'),
        ({"mounts": {"/src": "/work"}, "workspace": "/work"},
         'mounts["/src"]="/work": is the place of workspace already'),
        ({"files": {"a": "/x"}, "mounts": {"b": "//x/."}}, 'mounts["b"]="/x": is the place of files["a"] already'),
        ({"pids": 0}, "pids=0: expected a whole number, at least 1"),
        ({"pids": 1.5}, "pids=1.5: expected a whole number, at least 1"),
        (
            {"pids": 1},
            "pids=1: expected at least 2: the first process of the box takes one, and each program another",
        ),
        ({"cpus": "1"}, 'cpus="1": expected a number of CPUs like 1.5'),
        ({"cpus": 0.001}, "cpus=0.001: too little: at least 0.01"),
        ({"network": "host"}, 'network="host": expected True or False'),
        ({"userns": 1}, "userns=1: expected True or False"),
        ({"user": "me"}, 'user="me": expected a uid, "uid:gid" or (uid, gid)'),
        ({"user": (1, 2, 3)}, 'user=(1, 2, 3): expected a uid, "uid:gid" or (uid, gid)'),
        ({"user": -1}, "user=-1: out of range: ids go from 0 to 4294967294"),
        ({"env": ["A=b"]}, "env=['A=b']: expected a dict of variables"),
        ({"env": {"A=": "b"}}, 'env["A="]="A=": expected a name without ='),
        ({"env": {"A": 1}}, 'env["A"]=1: expected a str'),
        ({"env": {"A": "b\0"}}, 'env["A"]="b\\u0000": contains a NUL character'),
        ({"cwd": "."}, 'cwd=".": expected an absolute path inside the box'),
        ({"hostname": ""}, 'hostname="": expected 1 to 64 bytes'),
        ({"hostname": "é" * 33}, 'hostname="' + "é" * 33 + '": expected 1 to 64 bytes'),
        ({"rlimits": 5}, 'rlimits=5: expected a dict like {"nofile": 1024}'),
        ({"rlimits": {"nofile": (2, 1)}}, 'rlimits["nofile"]=(2, 1): the soft limit is more than the hard one'),
        ({"rlimits": {"nofile": "many"}}, 'rlimits["nofile"]="many": expected a number, (soft, hard) or "unlimited"'),
        ({"rlimits": {"core": 0, "RLIMIT_CORE": 1}}, 'rlimits["RLIMIT_CORE"]=1: RLIMIT_CORE is there twice'),
        ({"timeout": 0}, "timeout=0: expected seconds, more than 0"),
        ({"timeout": float("nan")}, "timeout=nan: expected seconds, more than 0"),
        ({"max_output": "x"}, f'max_output="x": {BYTES}'),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(given: dict[str, Any], line: str) -> None:
    assert said(**given) == [line]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    lines = said(memory="lots", pids=0, files={"a": "b", "c": ("/d", "e")}, user=None, tmp=object)
    assert [line.partition("=")[0] for line in lines] == ["tmp", 'files["a"]', 'files["c"]', "memory", "pids", "user"]


def test_an_unknown_limit_is_answered_with_those_there_are() -> None:
    (line,) = said(rlimits={"files": 1})
    assert line.startswith('rlimits["files"]=1: there is no such limit; there are cpu, fsize, ')


def test_a_long_value_is_cut() -> None:
    (line,) = said(memory="x" * 1000)
    assert line == f'memory="{"x" * 399}…: {BYTES}'


def test_a_name_that_is_no_utf8_cannot_be_shared() -> None:
    (line,) = said(files={os.fsdecode(b"\xff"): "/in"})
    assert line.endswith("cannot be written in UTF-8, as config.json is")


def test_an_unknown_argument_is_pythons_matter() -> None:
    with pytest.raises(TypeError, match="'memroy'"):
        arguments.read(memroy="256m")  # type: ignore[call-arg]


def test_a_box_without_arguments_is_safe() -> None:
    made = arguments.read()
    assert (made.rootfs, made.writable, made.workspace, made.shares, made.network) == ("host", None, None, (), False)
    assert (made.tmp, made.uid, made.gid, made.debug, made.userns) == ("256m", 1000, 1000, False, False)
    assert (made.timeout, made.max_output) == (None, 10 << 20)


@pytest.mark.parametrize(
    ("value", "size"),
    [("64m", "64m"), ("64M", "64m"), (65536, "64k"), (1000, "1000"), ("1024k", "1m"), ("50%", "50%"), (True, "256m")],
)
def test_sizes_are_written_as_tmpfs_takes_them(value: Any, size: str) -> None:
    assert arguments.read(tmp=value).tmp == size
    assert arguments.read(writable=value).writable == size


@pytest.mark.parametrize("value", [None, False])
def test_a_tmp_that_is_not_wanted(value: Any) -> None:
    assert arguments.read(tmp=value).tmp is None
    assert arguments.read(tmp=value, workspace="/tmp").workspace == ("/tmp", "256m")


@pytest.mark.parametrize("value", ["/work,size=1g", ("/work", "1g"), (Path("/work/."), 1 << 30), ("//work/", "1024M")])
def test_a_workspace_with_a_size(value: Any) -> None:
    assert arguments.read(workspace=value).workspace == ("/work", "1g")


@pytest.mark.parametrize(
    ("value", "ids"), [(5, (5, 5)), ("5", (5, 5)), ("5:6", (5, 6)), ((5, 6), (5, 6)), (0, (0, 0)), ("0:7", (0, 7))]
)
def test_users(value: Any, ids: tuple[int, int]) -> None:
    made = arguments.read(user=value)
    assert (made.uid, made.gid) == ids


def test_sources_are_made_absolute_and_shares_come_from_the_top_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = arguments.read(
        files={"data.csv": "/a/b/c", Path("x"): ("/a-b", "cow")}, mounts={"/src/../src": "/a", "sub": ("/a/b", "rw")}
    )
    found = [(share.source, share.destination, share.mode, share.directory) for share in made.shares]
    assert found == [
        ("/src", "/a", "ro", True),
        (f"{tmp_path}/sub", "/a/b", "rw", True),
        (f"{tmp_path}/data.csv", "/a/b/c", "ro", False),
        (f"{tmp_path}/x", "/a-b", "cow", False),
    ]


def test_the_environment_of_a_program_is_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYRUNC_SEEN", "yes")
    assert arguments.read(env=os.environ).env["PYRUNC_SEEN"] == "yes"
    assert arguments.read(env={"A": "b=c", "B": None, "C": ""}).env == {"A": "b=c", "B": None, "C": ""}


def test_limits_are_numbers_pairs_or_unlimited() -> None:
    made = arguments.read(rlimits={"nofile": 64, "RLIMIT_STACK": ("unlimited", "unlimited"), "Cpu": (1, "unlimited")})
    infinity = (1 << 64) - 1
    assert made.rlimits == (
        {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64},
        {"type": "RLIMIT_STACK", "soft": infinity, "hard": infinity},
        {"type": "RLIMIT_CPU", "soft": 1, "hard": infinity},
    )


@pytest.mark.parametrize("timeout", [2_000_001, 1e300, 10**400])
def test_a_timeout_beyond_what_the_kernel_counts_is_refused_by_name(timeout: float) -> None:
    (line,) = said(timeout=timeout)
    assert line.startswith("timeout=")
    assert line.endswith(": expected seconds, at most 2000000; None means no limit")
