"""``pyrunc sandbox``: the program's streams, signals and exit status are the command's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyrunc import Sandbox
from tests.support.command import Result, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


class Command:
    def __init__(self, runtime: Path, root: Path) -> None:
        self.argv = [str(runtime), "--root", str(root), "sandbox"]

    def __call__(self, *words: str | os.PathLike[str], status: int = 0, stdin: str | None = None) -> Result:
        return run(*self.argv, *words, status=status, stdin=stdin)


@pytest.fixture
def sandbox(pyrunc: Path, root: Path) -> Iterator[Command]:
    yield Command(pyrunc, root)
    assert [name for name in os.listdir(root) if not name.startswith(".")] == []


def test_streams_and_status_are_the_programs(sandbox: Command) -> None:
    result = sandbox("--", "sh", "-c", "cat; echo err >&2; exit 7", stdin="in", status=7)
    assert (result.stdout, result.stderr) == ("in", "err\n")
    assert sandbox("sh", "-c", "kill -TERM $$", status=143).stdout == ""


def test_pipes_can_be_opened_anew(sandbox: Command) -> None:
    script = "echo x > /dev/stdout; echo y > /dev/stderr; cat /dev/stdin"
    done = subprocess.run(
        [*sandbox.argv, "sh", "-c", script], input="z\n", capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("x\nz\n", "y\n")


def test_the_options_are_the_arguments_of_a_sandbox(sandbox: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host\n")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/below").write_text("below\n")
    tmp_path.chmod(0o755)
    options = [
        "--workspace", "/work,size=1m", "--file", f"{tmp_path}/file:/work/file:cow",
        "--mount", f"{tmp_path}/directory:/data", "--env", "A=1=2", "--user", "5:6", "--hostname", "name",
        "--memory", "64m", "--pids", "20", "--cpus", "0.5", "--rlimit", "nofile=100:200",
    ]  # fmt: skip
    script = "id -u; id -g; hostname; pwd; echo $A; ulimit -n; ulimit -Hn; cat file /data/below; echo more >> file"
    result = sandbox(*options, "--", "sh", "-c", script, status=2)
    assert result.stdout.split("\n")[:-1] == [
        "5", "6", "name", "/work", "1=2", "100", "200", "from the host", "below",
    ]  # fmt: skip
    assert (tmp_path / "file").read_text() == "from the host\n"


def test_a_program_that_takes_too_long_is_killed(sandbox: Command) -> None:
    result = sandbox("--timeout", "3", "sh", "-c", "echo so far; setsid sleep 1000 & sleep 1000", status=124)
    assert result.stdout == "so far\n"


def test_failures_have_the_statuses_of_timeout_and_env(sandbox: Command) -> None:
    assert "executable file not found" in sandbox("no-such", status=127).stderr
    assert "permission denied" in sandbox("/etc/passwd", status=126).stderr
    for words, text in (
        (("--memory", "lots", "--user", "x", "true"), 'memory="lots"'),
        (("--pids", "x", "true"), "--pids 'x': expected a whole number, at least 0"),
        (("--timeout", "-1", "true"), "--timeout '-1': expected a number, at least 0\n"),
        (("--file", "/etc/hosts", "true"), "--file '/etc/hosts': expected SOURCE:DESTINATION"),
        (("--file", "/etc/hosts:/x:rx", "true"), "ro, rw, cow"),
        (("--env", "A", "true"), "--env 'A': expected NAME=VALUE"),
        (("--timeout", "0", "true"), "timeout=0"),
        (("--rlimit", "nofile=many", "true"), "--rlimit 'many'"),
        (("--mount", "/no/such:/x", "true"), 'mounts["/no/such"]'),
        ((), "no command is given"),
    ):
        assert text in sandbox(*words, status=125).stderr


def test_signals_go_on_to_the_program(sandbox: Command) -> None:
    script = "trap 'echo got; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen([*sandbox.argv, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "got\n"
    assert process.returncode == 3


def test_the_config_can_be_looked_at_and_run_by_others(sandbox: Command, root: Path) -> None:
    config = json.loads(sandbox("--print-config", "--workspace", "/work", "--memory", "64m", "echo", "x").stdout)
    assert config["process"]["args"] == ["echo", "x"]
    assert config["linux"]["resources"]["memory"]["limit"] == 64 << 20
    with Sandbox(root=root, workspace="/work", memory="64m") as box:
        wanted = box.spec
    config["process"]["args"] = wanted["process"]["args"]
    assert config == wanted
    assert sandbox("--print-config").stdout.startswith('{\n  "ociVersion"')
