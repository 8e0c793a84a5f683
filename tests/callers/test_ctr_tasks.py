"""A task's life by ``ctr task``, as with runc.

What ctr shows of a task is the same under both runtimes, and so is what it refuses.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.callers.ctr import equal, task
from tests.callers.enclosure import on_a_terminal
from tests.callers.engine import unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.callers.ctr import Ctr
    from tests.callers.engine import Seen

    Both = Callable[..., tuple[task, task]]

pytestmark = pytest.mark.needs("root", "containerd", "ctr", "runc", "busybox", "nsenter", "unshare", "cgroup1")

SLEEP = "exec sleep 1000"


@pytest.fixture
def both(ctr: Ctr) -> Iterator[Both]:
    """Start the same detached container with runc and with the runtime under test."""
    started: list[task] = []

    def start(*options: str, script: str = SLEEP) -> tuple[task, task]:
        started.append(theirs := task(ctr, ctr.reference, *options, script=script))
        started.append(ours := task(ctr, ctr.runtime, *options, script=script))
        return theirs, ours

    yield start
    for box in started:
        box.__exit__()


@pytest.fixture(scope="module")
def sleepers(ctr: Ctr) -> Iterator[tuple[task, task]]:
    """Two that sleep, for tests that leave them as they are."""
    with task(ctr, ctr.reference, script=SLEEP) as theirs, task(ctr, ctr.runtime, script=SLEEP) as ours:
        yield theirs, ours


def alike(theirs: Seen, ours: Seen, text: str) -> None:
    """Both were refused for the same reason."""
    assert (ours.code, ours.out) == (theirs.code, theirs.out)
    assert text in theirs.err
    assert text in ours.err, ours


def ended(box: task) -> str:
    """Delete a task that has ended; the exit code that ctr tells of."""
    done = box.do("delete", "NAME")
    assert done.code == 0, done
    return done.err.strip().rpartition("exit code ")[2].rstrip('"')


@pytest.mark.parametrize(
    "options", [(), ("--user", "1000"), ("--user", "alice"), ("--user", "1000:50"), ("--cwd", "/srv")], ids=" ".join
)
def test_exec_shows_the_same_container(sleepers: tuple[task, task], options: tuple[str, ...]) -> None:
    theirs, ours = (box.exec("/bin/look", *options) for box in sleepers)
    equal(theirs, ours)
    assert (ours.code, ours.status("Uid").split()[0]) == (0, "1000" if options and "--user" in options else "0")


@pytest.mark.parametrize("script", ["exit 0", "exit 9", "kill -9 $$"])
def test_exec_ends_with_the_programs_code(sleepers: tuple[task, task], script: str) -> None:
    theirs, ours = (box.exec(script) for box in sleepers)
    assert theirs.code == ours.code == (int(script[5:]) if script.startswith("exit") else 137)


@pytest.mark.parametrize(
    ("command", "options", "text"),
    [
        ("/no/such/program", (), "no such file or directory"),
        ("no-such-program", (), "executable file not found in $PATH"),
        ("/srv/not-executable", (), "permission denied"),
        ("/bin/true", ("--cwd", "/no/such"), "no such file or directory"),
    ],
)
def test_an_exec_that_fails_says_why(
    sleepers: tuple[task, task], command: str, options: tuple[str, ...], text: str
) -> None:
    theirs, ours = (box.exec_fails(command, options=options) for box in sleepers)
    alike(theirs, ours, text)


def test_exec_on_a_terminal(ctr: Ctr, sleepers: tuple[task, task]) -> None:
    seen = []
    script = 'b=/bin/busybox; until [ "$($b stty size 2>&1)" = "30 90" ]; do :; done; $b tty; $b stty size; '
    script += "read line; echo got $line; exit 4"
    for box in sleepers:
        words = ["ctr", "--address", ctr.containerd.socket, "task", "exec", "--tty", "--exec-id", unique(), box.name]
        words += ["/bin/sh", "-c", script]
        command = ctr.containerd.enclosure.argv(words)
        seen.append(on_a_terminal(command, env=ctr.containerd.env, typed=b"word\r", after=b"30 90", size=(30, 90)))
    assert seen[0] == seen[1]
    code, screen = seen[1]
    assert (code, screen.split()) == (4, b"/dev/pts/0 30 90 word got word".split())


def test_a_detached_exec_runs_beside_the_first_process(both: Both) -> None:
    for box in both():
        assert box.do("exec", "--detach", "--exec-id", "other", "NAME", "/bin/sleep", "999").code == 0
        rows = box.do("ps", "NAME").out.splitlines()
        assert (len(rows), "other" in rows[2]) == (3, True)
        assert box.do("kill", "--exec-id", "other", "--signal", "KILL", "NAME").code == 0
        assert box.status() == "RUNNING"


def pause(box: task) -> None:
    """runc 1.1 gives up where a v1 freezer takes its time, as on a machine that is busy."""
    deadline = time.monotonic() + 60
    while (done := box.do("pause", "NAME")).code:
        assert box.runtime == box.ctr.reference, done
        assert "unable to freeze" in done.err, done
        assert time.monotonic() < deadline, done


def test_pause_stops_everything_until_resume(both: Both) -> None:
    script = "n=0; while :; do n=$((n+1)); echo $n >/run/count; sleep 0.01; done"
    refused = []
    for box in both("--mount", "type=tmpfs,src=tmpfs,dst=/run", script=script):
        pause(box)
        assert box.status() == "PAUSED"
        refused.append((box.exec_fails("/bin/true"), box.do("pause", "NAME"), box.do("start", "NAME")))
        assert box.do("resume", "NAME").code == 0
        assert box.status() == "RUNNING"
        assert (
            box.exec('was=$(cat /run/count); until [ "$was" != "$(cat /run/count)" ]; do :; done; echo on').out
            == "on\n"
        )
    for theirs, ours in zip(*refused, strict=True):
        assert (ours.code, theirs.code) == (1, 1)
    alike(refused[0][0], refused[1][0], "cannot exec in a paused")


@pytest.mark.parametrize("signal", ["SIGUSR1", "USR1", "10"])
def test_kill_sends_a_signal(both: Both, signal: str) -> None:
    for box in both(script="trap 'echo caught; exit 7' USR1; echo up; sleep 1000 & wait $!"):
        box.says("up")
        assert box.do("kill", "--signal", signal, "NAME").code == 0
        box.says("caught")
        box.ends()
        assert ended(box) == "7"


def test_kill_of_all_ends_every_process(both: Both) -> None:
    for box in both(script="sleep 999 & echo up; exec sleep 1000"):
        box.says("up")
        assert len(box.do("ps", "NAME").out.splitlines()) == 3
        assert box.do("kill", "--all", "--signal", "KILL", "NAME").code == 0
        box.ends()
        assert ended(box) == "137"


def test_what_has_ended_is_refused_alike(both: Both) -> None:
    refused = []
    for box in both(script="exit 3"):
        box.ends()
        refused.append((box.do("kill", "NAME"), box.exec_fails("/bin/true"), box.do("pause", "NAME")))
        assert ended(box) == "3"
    for theirs, ours in zip(*refused, strict=True):
        assert (ours.code, ours.out) == (theirs.code, theirs.out)
        assert ours.code != 0


def test_a_running_task_is_not_deleted(both: Both) -> None:
    theirs, ours = (box.do("delete", "NAME") for box in both())
    said = [re.sub(r'time="[^"]+" ', "", seen.err) for seen in (theirs, ours)]
    assert (ours.code, said[1]) == (theirs.code, said[0])
    assert ours.code == 1


def test_a_container_is_started_again(both: Both) -> None:
    for box in both(script="echo x >>/srv/runs; cat /srv/runs; exit 4"):
        box.ends()
        assert ended(box) == "4"
        assert box.do("start", "--null-io", "NAME").code == 4
        assert box.do("start", "--log-uri", f"file://{box.log}", "NAME").code == 4
        assert box.log.read_text() == "x\n" + "x\n" * 3  # of the first run, and of the third


def test_metrics_tell_of_the_same_things(both: Both) -> None:
    told = []
    for box in both("--memory-limit", "67108864", "--cpu-quota", "50000", "--cpu-period", "100000"):
        metrics = json.loads(box.do("metrics", "--format", "json", "NAME").raw)
        assert metrics["memory"]["usage"]["limit"] == 67108864
        assert metrics["memory"]["usage"]["usage"] > 0
        assert metrics["pids"]["current"] == 1
        assert metrics["cpu"]["usage"]["total"] > 0
        told.append((metrics.keys(), metrics["memory"]["usage"].keys()))  # further down, what is 0 is left out
    assert told[0] == told[1]


def test_a_process_that_needs_more_memory_is_killed(ctr: Ctr) -> None:
    script = "x=$(/bin/busybox yes abcdefgh | /bin/busybox head -c 100000000); echo $?"
    seen = ctr.same("--memory-limit", "16777216", script=script)
    assert seen.code == 137 or "137" in seen.out
