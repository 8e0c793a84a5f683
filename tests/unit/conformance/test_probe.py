"""The probe: what it says of a process that we know, without a container."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from conformance import probe, seen

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("static")


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("probe") / "probe"
    probe.build(path, sanitize=True)
    return path


@pytest.fixture(params=["static", "sanitized"])
def program(request: pytest.FixtureRequest) -> Path:
    if request.param == "static":
        return probe.path()
    path = request.getfixturevalue("sanitized")
    assert isinstance(path, type(probe.HERE))
    return path


def run(program: Path, *command: str, status: int = 0, stdin: bytes = b"") -> str:
    done = subprocess.run([program, *command], input=stdin, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (status, b"") or status in (124, 125), done.stderr.decode()
    assert done.returncode == status
    return done.stdout.decode(errors="surrogateescape")


def test_a_report_is_of_the_process_that_asks(program: Path, tmp_path: Path) -> None:
    (report,) = seen.reports(run(program, "report"))
    assert report["uid"] == [os.getuid()] * 3
    assert report["gid"] == [os.getgid()] * 3
    assert report["args"] == [str(program), "report"]
    assert report["cwd"] == os.getcwd()
    assert report["hostname"] == os.uname().nodename
    assert sorted(report["affinity"]) == sorted(os.sched_getaffinity(0))
    assert set(report["fds"]) >= {"0", "1", "2"}
    assert report["namespaces"]["pid"] == os.readlink("/proc/self/ns/pid")
    assert report.mount("/proc").type == "proc"
    assert report.status("Seccomp") == "0"


def test_what_it_is_asked_is_tried_in_order(program: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    asked = [f"stat={made}", f"create={made}", f"stat={made}", f"create={made}", f"list={tmp_path}", f"read={made}"]
    asked += [
        f"execute={program}",
        f"execute={made}",
        f"open-write={made}",
        "syscall=39",
        "syscall=100000",
        "hold=8192",
    ]
    (report,) = seen.reports(run(program, "report", *asked))
    answers = [answer for _, _, answer in report["asked"]]
    assert answers[0] == {"errno": errno.ENOENT}
    assert answers[1] == {"errno": 0}
    assert (answers[2]["type"], answers[2]["mode"]) == ("file", 0o600)
    assert answers[3] == {"errno": errno.EEXIST}
    assert answers[4:6] == [["made"], ""]
    assert answers[6] == {"status": 0}
    assert report.errno("execute", str(made)) == errno.EACCES
    assert report.errno("open-write", str(made)) == 0
    assert report.answer("syscall", "39")["errno"] == 0
    assert report.errno("syscall", "100000") == errno.ENOSYS
    assert report.errno("hold", "8192") == 0
    with pytest.raises(LookupError):
        report.answer("stat", "/never/asked")


def test_bytes_that_are_no_text_come_through(program: Path) -> None:
    done = subprocess.run(
        [program, "report"], env={b"A": b'\xff"\\\n\x01', b"B": "ä".encode()}, capture_output=True, check=True
    )  # fmt: skip
    (report,) = seen.reports(done.stdout.decode(errors="surrogateescape"))
    assert os.fsencode(report.environment()["A"]) == b'\xff"\\\n\x01'
    assert report.environment()["B"] == "ä"


def test_commands_follow_each_other(program: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert run(program, "echo", "one", "+", "write", str(target), "two", "+", "exit", "3", status=3) == "one\n"
    assert target.read_text() == "two"
    run(program, "copy", str(target), stdin=b" three")
    assert target.read_text() == "two three"
    run(program, "fail-unless", str(tmp_path / "absent"), status=1)
    run(program, "report-to", str(tmp_path / "report"))
    assert seen.reports((tmp_path / "report").read_text())


@pytest.mark.parametrize("words", [[], ["dance"], ["report", "stat:/x"], ["exit"], ["echo", "a", "+"], ["+"]])
def test_a_wrong_command_is_refused(program: Path, words: list[str]) -> None:
    if words[-1:] == ["+"] and len(words) > 1:
        assert run(program, *words) == "a\n"
    else:
        run(program, *words, status=125)


def test_it_waits_for_signals_and_says_which_came(program: Path) -> None:
    with subprocess.Popen([program, "wait", "7"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        for number in (signal.SIGUSR1, signal.SIGCHLD, signal.SIGRTMAX, signal.SIGINT):
            child.send_signal(number)
            assert child.stdout.readline() == f"signal {int(number)}\n"
        child.send_signal(signal.SIGTERM)
        assert child.stdout.readline() == "signal 15\n"
        assert child.wait(30) == 7


def test_without_a_compiler_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(probe.CannotBuild, match="apt-get install gcc libc6-dev"):
        probe.build(tmp_path / "probe")
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(probe.CannotBuild, match="CC=no-such-compiler: there is no such command"):
        probe.build(tmp_path / "probe")


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "false")
    with pytest.raises(probe.CannotBuild, match=r"`false .* fails"):
        probe.build(tmp_path / "probe")
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(probe.CannotBuild, match="XDG_CACHE_HOME"):
        probe.path()


def test_calls_are_made_in_several_ways(program: Path) -> None:
    asked = ("syscall-thread=39", "syscall-trap=39", "put=/dev/full", "peek=/dev/zero", "clock=1", "bind=0")
    (report,) = seen.reports(run(program, "report", *asked, "pty=/dev/ptmx"))
    assert report.answer("syscall-thread", "39") == {"returned": 1, "errno": 0}
    assert report.answer("syscall-trap", "39") == {"handled": 0, "errno": 0}
    assert report.errno("put", "/dev/full") == errno.ENOSPC
    assert report.answer("peek", "/dev/zero") == [0] * 8
    assert report.answer("clock", "1") > 0
    assert report.errno("bind", "0") == 0
    assert report.answer("pty", "/dev/ptmx")["major"] == 136
