"""Programs that run to their end: result, streams, environment, time."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

import pyrunc
from tests.root.sandboxes import eventually, members, sh

if TYPE_CHECKING:
    from pyrunc import Sandbox
    from tests.root.sandboxes import Sandboxes

pytestmark = pytest.mark.needs("root", "seccomp", "libseccomp")


def test_the_result_says_how_a_program_ended(box: Sandbox) -> None:
    result = box.run(sh("echo out; echo err >&2; exit 3"))
    assert (result.returncode, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert result.args == sh("echo out; echo err >&2; exit 3")
    assert (result.timed_out, result.truncated, result.oom_killed) == (False, False, False)
    assert result.spawn > 0
    assert result.duration == result.spawn + result.run
    assert result.usage.max_rss > 0
    assert box.run(sh("kill -TERM $$")).returncode == -15


def test_check_raises_for_a_failure_and_for_nothing_else(box: Sandbox) -> None:
    assert box.run(["true"], check=True).returncode == 0
    with pytest.raises(pyrunc.ProgramFailed, match="false: exit status 1") as error:
        box.run(["false"], check=True)
    assert error.value.result.returncode == 1


def test_a_program_starts_in_the_workspace_as_the_boxs_user_with_little_environment(box: Sandbox) -> None:
    out = box.run(sh('pwd; id -u; id -g; echo "$HOME $A"; echo "${XDG_RUNTIME_DIR-none}"'), env={"A": "1"}, text=True)
    assert out.stdout.split("\n") == ["/work", "1000", "1000", "/work 1", "none", ""]
    assert box.run(["pwd"], cwd="/tmp").stdout == b"/tmp\n"
    assert box.run(sh("echo ${HOME-gone}"), env={"HOME": None}).stdout == b"gone\n"


def test_input_of_any_size_arrives(box: Sandbox) -> None:
    for size in (0, 5, 65536, 65537, 3_000_000):
        data = os.urandom(size)
        assert box.run(["cat"], input=data).stdout == data
    assert box.run(["cat"], input="é", text=True).stdout == "é"


def test_without_input_there_is_the_boxs_own_null_device(box: Sandbox) -> None:
    assert box.run(["cat"]).stdout == b""
    device, other = (int(box.run(["stat", "-c", "%i", name]).stdout) for name in ("/dev/null", "/dev/zero"))
    assert int(box.run(["stat", "-L", "-c", "%i", "/proc/self/fd/0"]).stdout) == device != other


def test_output_can_be_text_in_any_encoding(box: Sandbox) -> None:
    assert box.run(["printf", r"\351"], encoding="latin-1").stdout == "é"
    assert box.run(["printf", r"a\377b"], text=True).stdout == "a\ufffdb"
    with pytest.raises(UnicodeDecodeError):
        box.run(["printf", r"\377"], text=True, errors="strict")


def test_callbacks_get_the_output_as_it_comes(box: Sandbox) -> None:
    seen: list[bytes] = []
    errors: list[bytes] = []
    result = box.run(
        sh("echo one; echo bad >&2; echo two"),
        on_stdout=seen.append, on_stderr=errors.append,
    )  # fmt: skip
    assert b"".join(seen) == result.stdout == b"one\ntwo\n"
    assert b"".join(errors) == result.stderr == b"bad\n"
    seen.clear()
    result = box.run(["head", "-c", "300000", "/dev/zero"], on_stdout=seen.append, max_output=10)
    assert (result.stdout, result.truncated) == (bytes(10), True)
    assert sum(map(len, seen)) == 300000


def test_a_callback_that_raises_ends_the_run(box: Sandbox) -> None:
    def refuse(_: bytes) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        box.run(["yes"], on_stdout=refuse)
    assert members(box) == []
    assert box.run(["echo", "alive"]).stdout == b"alive\n"


def test_a_timeout_ends_the_whole_tree_and_the_box_lives(box: Sandbox) -> None:
    box.write("kept", b"kept")
    started = time.monotonic()
    result = box.run(sh("echo so far; setsid sh -c 'trap : TERM; sleep 1000' & sleep 1000"), timeout=3)
    assert time.monotonic() - started >= 3
    assert (result.timed_out, result.returncode, result.stdout) == (True, -9, b"so far\n")
    assert members(box) == []
    assert box.run(["cat", "kept"]).stdout == b"kept"


def test_the_box_has_a_timeout_for_all_runs_and_a_run_can_have_another(sandboxes: Sandboxes) -> None:
    box = sandboxes(timeout=0.2)
    assert box.run(["sleep", "1000"]).timed_out
    assert not box.run(["sleep", "0.4"], timeout=30).timed_out
    assert not box.run(["sleep", "0.4"], timeout=float("inf")).timed_out
    with pytest.raises(pyrunc.ProgramFailed, match="sleep: timed out"):
        box.run(["sleep", "1000"], check=True)


def test_who_stays_in_the_background_is_not_waited_for_and_goes_on(box: Sandbox) -> None:
    result = box.run(sh("(until test -e go; do sleep 0.02; done; echo late > late) & echo early"))
    assert (result.stdout, result.returncode) == (b"early\n", 0)
    box.write("go", b"")
    eventually(lambda: "late" in box.listdir())
    assert box.read("late") == b"late\n"


@pytest.mark.needs("cgroup1")
def test_a_program_that_is_out_of_memory_is_told_apart(sandboxes: Sandboxes) -> None:
    box = sandboxes(memory="32m")
    result = box.run(["python3", "-c", "x = bytearray(200 << 20)"])
    assert (result.oom_killed, result.returncode) == (True, -9)
    assert "out of memory" in result.how
    result = box.run(sh("python3 -c 'x = bytearray(200 << 20)'; exit 5"))
    assert (result.oom_killed, result.returncode) == (True, 5)
    assert not box.run(["true"]).oom_killed


def test_a_program_that_does_not_exist_is_an_error_in_the_usual_words(box: Sandbox) -> None:
    with pytest.raises(pyrunc.OpFailed, match="executable file not found"):
        box.run(["no-such-program"])
    with pytest.raises(pyrunc.OpFailed, match="cwd: chdir /nowhere: no such file or directory"):
        box.run(["true"], cwd="/nowhere")
    assert box.run(["true"]).returncode == 0
