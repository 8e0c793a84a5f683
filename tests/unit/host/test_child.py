"""Programs of the host: hooks, and the writers of id maps."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from pyrunc.errors import OpFailed
from pyrunc.host import child, execute, hooks, idmap
from pyrunc.plan.ops import RUNTIME, Op
from tests.support.residue import descriptors

STATE = '{"ociVersion":"1.3.0","id":"x","status":"creating"}'


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def run(path: str, args: tuple[str, ...] = (), env: tuple[str, ...] = (), timeout: int = 0) -> None:
    context = execute.Context(lambda: STATE, "/", print)
    op = Op("runtime_hook", ("prestart", path, args, env, timeout), "hooks.prestart[2]")
    execute.execute(op, context)


def test_a_hook_gets_the_state_its_arguments_and_only_its_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    hook = script(tmp_path / "hook", f'{{ echo "$0|$1|$2|$A|${{HOME-unset}}"; cat; }} > {out}')
    run(hook, ("name", "one", "two words"), ("A=1=2",))
    assert out.read_text() == f"{hook}|one|two words|1=2|unset\n{STATE}"


def test_a_program_gets_the_first_of_its_arguments_as_its_name() -> None:
    ended = child.run("/bin/sh", ("other", "-c", "echo $0"), ())
    assert ended.stdout == "other"


def test_an_environment_is_passed_with_its_duplicates_and_order() -> None:
    ended = child.run("/usr/bin/env", ("env",), ("B=1", "A=2", "B=3", "C="))
    assert ended.stdout.splitlines() == ["B=1", "A=2", "B=3", "C="]


def test_an_environment_entry_without_a_value_is_passed_as_it_is() -> None:
    """Not filled from the host's environment (CVE-2026-57231)."""
    ended = child.run("/bin/sh", ("sh", "-c", "tr '\\0' '\\n' </proc/self/environ"), ("HOME", "PATH=/usr/bin:/bin"))
    assert ended.stdout.splitlines()[0] == "HOME"


def test_a_hook_runs_in_the_directory_of_the_bundle(tmp_path: Path) -> None:
    assert child.run("/bin/pwd", ("pwd",), (), cwd=str(tmp_path)).stdout == str(tmp_path)


def test_a_failing_hook_is_reported_with_its_place_status_and_output(tmp_path: Path) -> None:
    hook = script(tmp_path / "hook", "echo out; echo bad >&2; exit 7")
    with pytest.raises(OpFailed) as caught:
        run(hook)
    assert str(caught.value) == (
        f"hooks.prestart[2]: error running prestart hook: {hook}: exit status 7, stdout: out, stderr: bad"
    )


def test_a_hook_that_dies_of_a_signal_is_reported_with_it(tmp_path: Path) -> None:
    with pytest.raises(OpFailed, match="signal 15, stdout: , stderr: "):
        run(script(tmp_path / "hook", "kill -15 $$"))


def test_a_missing_hook_is_reported_as_the_kernel_says(tmp_path: Path) -> None:
    with pytest.raises(OpFailed) as caught:
        run(f"{tmp_path}/nothing")
    assert caught.value.errno == 2
    assert str(caught.value) == (
        f"hooks.prestart[2]: error running prestart hook: {tmp_path}/nothing: no such file or directory"
    )


def test_a_hook_is_killed_and_reaped_at_its_timeout(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    hook = script(tmp_path / "hook", f"echo $$ > {pid_file}; exec sleep 1000")
    with pytest.raises(OpFailed, match="still running after the timeout of 3 s, killed"):
        run(hook, timeout=3)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_what_a_hook_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    hook = script(tmp_path / "hook", f"sleep 1000 & echo $! > {pid_file}; echo done")
    before = time.monotonic()
    try:
        ended = child.run(hook, (hook,), ("PATH=/usr/bin:/bin",))
        assert ended.code == 0
        assert ended.stdout == "done"
        assert time.monotonic() - before < 60
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_endless_output_neither_blocks_nor_fills_the_memory() -> None:
    ended = child.run("/bin/sh", ("sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x"), ("PATH=/usr/bin:/bin",))
    assert ended.code == 0
    assert ended.stdout == "x" * child.OUTPUT_LIMIT


def test_a_large_state_reaches_a_hook_that_does_not_read_it() -> None:
    ended = child.run("/bin/true", ("true",), (), b"x" * 3_000_000)
    assert ended.code == 0


def test_a_program_starts_with_default_signals_and_no_mask() -> None:
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        ended = child.run("/bin/grep", ("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"), ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    values = [int(line.split()[1], 16) for line in ended.stdout.splitlines()]
    assert values[0] == 0
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        assert not values[1] >> (number - 1) & 1


def test_no_descriptor_is_leaked_to_the_program_or_kept() -> None:
    before = sorted(descriptors())
    ended = child.run("/bin/ls", ("ls", "/proc/self/fd"), ())
    inherited = [fd for fd in map(int, ended.stdout.split()) if fd > 3 and os.path.exists(f"/proc/self/fd/{fd}")]
    assert [fd for fd in inherited if os.get_inheritable(fd) is False] == []
    assert sorted(descriptors()) == before


def test_many_threads_run_hooks_at_once(tmp_path: Path) -> None:
    hook = script(tmp_path / "hook", "read -r line; echo $line")
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: seen.append(child.run(hook, (hook,), (), b"%d\n" % n).stdout))
        for n in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, seen)) == list(range(40))


def test_an_id_map_that_the_kernel_refuses_is_shown_with_its_file() -> None:
    with pytest.raises(OpFailed) as caught:
        # Nobody's maps can be written twice, and this process has some already.
        idmap.write(os.getpid(), "0 0 1\n", "", "", "linux.uidMappings")
    assert str(caught.value).startswith(f'linux.uidMappings: write "0 0 1" to /proc/{os.getpid()}/uid_map: ')


def test_a_missing_newuidmap_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idmap, "DIRECTORIES", ("/nowhere",))
    with pytest.raises(OpFailed, match=r"newuidmap is not in /nowhere .*package uidmap"):
        idmap.new_maps(1, ("0", "100000", "1"), (), "linux.uidMappings")


def test_what_newuidmap_says_is_part_of_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "newuidmap", 'echo "newuidmap: $@ not allowed" >&2; exit 1')
    monkeypatch.setattr(idmap, "DIRECTORIES", (str(tmp_path),))
    with pytest.raises(OpFailed, match="exit status 1: newuidmap: 77 0 100000 65536 not allowed"):
        idmap.new_maps(77, ("0", "100000", "65536"), ("0", "1", "1"), "linux.uidMappings")


def test_both_writers_are_called_with_the_pid_and_their_own_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("newuidmap", "newgidmap"):
        script(tmp_path / name, f'echo "{name} $@" >> {tmp_path}/log')
    monkeypatch.setattr(idmap, "DIRECTORIES", (str(tmp_path),))
    context = execute.Context(lambda: STATE, "/", print)
    context.pid = 77
    execute.execute(Op("new_id_maps", (("0", "1", "2"), ("3", "4", "5")), "linux.uidMappings"), context)
    assert (tmp_path / "log").read_text() == "newuidmap 77 0 1 2\nnewgidmap 77 3 4 5\n"


def test_oom_score_adj_is_written_and_its_refusal_explained() -> None:
    context = execute.Context(lambda: STATE, "/", print)
    context.pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    try:
        execute.execute(Op("oom_score_adj", (500,), "process.oomScoreAdj"), context)
        assert Path(f"/proc/{context.pid}/oom_score_adj").read_text() == "500\n"
        with pytest.raises(OpFailed, match=r'process.oomScoreAdj: write "2000" to /proc/\d+/oom_score_adj: inv'):
            execute.execute(Op("oom_score_adj", (2000,), "process.oomScoreAdj"), context)
    finally:
        os.kill(context.pid, signal.SIGKILL)
        os.waitpid(context.pid, 0)


def test_every_runtime_op_has_a_function_and_every_function_an_op() -> None:
    assert set(execute.OPS) == set(RUNTIME)


def test_a_hook_failure_carries_the_op(tmp_path: Path) -> None:
    with pytest.raises(OpFailed) as caught:
        hooks.run("poststop", "/bin/false", (), (), 0, STATE, "/", "hooks.poststop[0]")
    assert caught.value.op == "runtime_hook"
