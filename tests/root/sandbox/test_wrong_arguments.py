"""Arguments that make no sense: each is named, and nothing was made or has run."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

import pyrunc
from pyrunc import STDOUT
from tests.support.residue import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyrunc import Sandbox
    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with pyrunc.Sandbox(root=tmp_path_factory.mktemp("state"), workspace="/work", timeout=60) as box:
        yield box


@pytest.fixture
def untouched(shared: Sandbox) -> Iterator[Sandbox]:
    """A box in which nothing must run, and no descriptor stay open."""
    before = sorted(descriptors())
    yield shared
    assert sorted(descriptors()) == before
    assert shared.listdir("/work") == []


TOUCH = ["touch", "/work/ran"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "argv=[]: expected a list"),
        (iter([]), "argv=<list_iterator"),
        ("true", 'argv="true": expected a list'),
        (b"true", "argv=b'true': expected a list"),
        ({"touch": 1}, "argv={'touch': 1}: expected a list"),
        (None, "argv=None: expected a list"),
        (["touch", 1], "argv[1]=1: expected a path"),
        ([b"touch"], "argv[0]=b'touch': expected a path"),
        (["touch", "a\0b"], 'argv[1]="a\\u0000b": contains a NUL character'),
        (["touch", "\ud800"], 'argv[1]="\ud800": cannot be written in UTF-8'),
    ],
)
def test_a_command_that_is_none_is_named(untouched: Sandbox, argv: Any, said: str) -> None:
    for verb in (untouched.run, untouched.popen):
        with pytest.raises(pyrunc.UsageError) as error:
            verb(argv)
        assert str(error.value).startswith(said)


def test_words_may_come_from_anywhere(box: Sandbox) -> None:
    assert box.run(word for word in ("echo", "a", "")).stdout == b"a \n"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"timeout": -1}, "timeout=-1"),
        ({"timeout": "5"}, 'timeout="5"'),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"timeout": 1e10}, "timeout=10000000000.0"),
        ({"max_output": "lots"}, 'max_output="lots"'),
        ({"cwd": "relative"}, 'cwd="relative"'),
        ({"env": {"A=B": "1"}}, 'env["A=B"]'),
        ({"env": {"A": b"1"}}, 'env["A"]'),
        ({"env": ["A=1"]}, "env="),
        ({"input": 5}, "input=5"),
        ({"input": "\ud800"}, "input="),
        ({"input": "é", "encoding": "ascii"}, 'input="é": cannot be written in ascii'),
        ({"encoding": "nope"}, "encoding="),
        ({"encoding": "rot13"}, 'encoding="rot13": no encoding of text'),
        ({"encoding": 5}, "encoding="),
        ({"encoding": "idna"}, 'errors="replace": not for idna'),
        ({"errors": "nope"}, "errors="),
        ({"errors": None}, "errors="),
        ({"text": "yes"}, 'text="yes"'),
        ({"check": 1}, "check=1"),
        ({"on_stdout": 5}, "on_stdout=5"),
    ],
)
def test_a_wrong_wish_of_a_run_is_named(untouched: Sandbox, wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(pyrunc.UsageError) as error:
        untouched.run(TOUCH, **wishes)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        ({"stdin": 999}, "stdin=999: this program has no such file descriptor open"),
        ({"stderr": 1 << 40}, "stderr=1099511627776: this program has no such file descriptor open"),
        ({"stdin": -5}, "stdin=-5: expected PIPE, DEVNULL, a file or its descriptor"),
        ({"stdin": STDOUT}, "stdin=-2: expected"),
        ({"stdout": None}, "stdout=None: expected"),
        ({"stdout": True}, "stdout=True: expected"),
        ({"stdout": io.BytesIO()}, "stdout=<_io.BytesIO"),
        ({"cwd": 5}, "cwd=5"),
    ],
)
def test_a_stream_that_cannot_be_had_is_named(untouched: Sandbox, streams: dict[str, Any], said: str) -> None:
    with pytest.raises(pyrunc.UsageError) as error:
        untouched.popen(TOUCH, **streams)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("method", "given", "wishes", "said"),
    [
        ("write", (5, b""), {}, "path=5"),
        ("write", ("", b""), {}, 'path=""'),
        ("write", ("a\0b", b""), {}, 'path="a\\u0000b"'),
        ("write", ("x", 5), {}, "data=5: expected bytes or str"),
        ("write", ("x", "\ud800"), {}, 'data="\ud800": cannot be written in utf-8'),
        ("write", ("x", b""), {"mode": "755"}, 'mode="755": expected 0 to 0o777'),
        ("write", ("x", b""), {"mode": 0o4755}, "mode=2541"),
        ("read", (None,), {}, "path=None"),
        ("read", ("x",), {"max_bytes": 0}, "max_bytes=0"),
        ("listdir", ("/work",), {"max_entries": "x"}, 'max_entries="x"'),
        ("diff", (), {"max_entries": None}, "max_entries=None"),
    ],
)
def test_a_wrong_argument_about_files_is_named(
    untouched: Sandbox, method: str, given: tuple[Any, ...], wishes: dict[str, Any], said: str
) -> None:
    with pytest.raises(pyrunc.UsageError) as error:
        getattr(untouched, method)(*given, **wishes)
    assert str(error.value).startswith(said)


def test_a_wrong_argument_of_a_process_is_named(box: Sandbox) -> None:
    with box.popen(["sleep", "1000"]) as process:
        for number in (999, -1, "TERM", None):
            with pytest.raises(pyrunc.UsageError, match="signal="):
                process.send_signal(number)  # type: ignore[arg-type]
        for seconds in ("1", float("nan")):
            with pytest.raises(pyrunc.UsageError, match="timeout="):
                process.wait(seconds)  # type: ignore[arg-type]
        with pytest.raises(TimeoutError):
            process.wait(-1)
        assert process.poll() is None
        process.kill()


def test_what_is_no_argument_at_all_is_a_type_error(untouched: Sandbox, root: Path) -> None:
    with pytest.raises(TypeError, match=r"run\(\) got an unexpected keyword argument 'timout'"):
        untouched.run(TOUCH, timout=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"popen\(\) got an unexpected keyword argument 'bufsize'"):
        untouched.popen(TOUCH, bufsize=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Sandbox\(\) got an unexpected keyword argument 'memroy'"):
        pyrunc.Sandbox(root=root, memroy="1g")


def test_every_wrong_argument_of_a_box_is_named_and_nothing_is_made(sandboxes: Sandboxes) -> None:
    with pytest.raises(pyrunc.UsageError) as error:
        sandboxes(memory="lots", pids=0, workspace="relative")
    assert all(name in str(error.value) for name in ('memory="lots"', "pids=0", "workspace="))
    assert not sandboxes.root.exists()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"root": 5}, "root=5: expected a path"),
        ({"root": ""}, 'root="": expected a path'),
        ({"root": b"/tmp"}, "root=b'/tmp': expected a path"),
        ({"root": "a\0b"}, 'root="a\\u0000b": contains a NUL character'),
        ({"root": "/proc/x"}, "root (/proc/x): no such file or directory"),
        ({"root": "/dev/null"}, "root (/dev/null/.host-rootfs): not a directory"),
        ({"cgroup_manager": "x"}, 'cgroup_manager="x": expected cgroupfs, systemd, disabled'),
        ({"cgroup_manager": None}, "cgroup_manager=None: expected"),
        ({"warn": "x"}, 'warn="x": expected a function'),
    ],
)
def test_a_wrong_place_or_manager_is_named_and_nothing_is_made(root: Path, wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(pyrunc.PyruncError) as error:
        pyrunc.Sandbox(**{"root": root, **wanted})
    assert str(error.value).startswith(said)
    assert not root.exists()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"cwd": "/usr/bin/true"}, "cwd (process.cwd): "),
        ({"workspace": "/lib/x"}, 'workspace (annotations["io.pyrunc.workspace"]): '),
        ({"files": {"/etc/passwd": "/usr/bin/none-such"}}, 'files["/etc/passwd"] (mounts['),
        ({"files": {"/etc/passwd": "/usr"}}, 'files["/etc/passwd"] (mounts['),
        ({"files": {"/etc/passwd": ("/usr/bin/none-such", "cow")}}, 'files["/etc/passwd"] (mounts['),
        ({"mounts": {"/dev": ("/x", "cow")}}, 'mounts["/dev"] (mounts['),
    ],
)
def test_what_the_kernel_refuses_is_told_by_its_argument(
    sandboxes: Sandboxes, wanted: dict[str, Any], said: str
) -> None:
    with pytest.raises(pyrunc.PyruncError) as error:
        sandboxes(**wanted)
    assert str(error.value).startswith(said)
    assert sandboxes.containers() == []


@pytest.mark.parametrize("argument", ["root", "rootfs", "files"])
def test_a_relative_path_without_a_working_directory_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    wanted: dict[str, Any] = {"root": root, argument: {"x": "/x"} if argument == "files" else "x"}
    with pytest.raises(pyrunc.UsageError, match="is relative, and the working directory of this program has gone"):
        pyrunc.Sandbox(**wanted)
    with pyrunc.Sandbox(root=root) as box:
        assert box.run(["true"]).returncode == 0
