"""What is done with a container of podman from creation to removal, as with runc.

Each test leads the same life with runc first and with the runtime under test next.
"""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import SLEEP, Seen, running, sh, unique

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.callers.engine import Both, Engine
    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")

#: Says that it is up, ends with 3 at TERM.
WAITS = sh("trap 'exit 3' TERM; echo up; sleep 1000 & wait $!")
STATUS = "{{.State.Status}}"


class created(running):  # noqa: N801  (as running)
    """``podman create`` for the length of a with block."""

    def __init__(self, engine: Engine, runtime: str, *arguments: str) -> None:
        self.engine, self.runtime, self.name = engine, runtime, unique()
        done = engine.do(runtime, "create", "--name", self.name, "--net=none", *arguments)
        assert done.returncode == 0, done.stderr.decode()


def each(podman: Podman, *arguments: str) -> Iterator[created]:
    """A created container of runc, then one of the runtime under test."""
    for runtime in (podman.reference, podman.runtime):
        with created(podman, runtime, *arguments) as container:
            yield container


def ups(container: running, number: int) -> None:
    """Wait until it has come up for the ``number``-th time."""
    container.logs_hold("up\n" * number)


def test_a_container_is_created_started_stopped_and_restarted(podman: Podman) -> None:
    for container in each(podman, *WAITS):
        assert container.inspect(STATUS) == "created"
        assert container.do("start", "NAME").code == 0
        ups(container, 1)
        assert container.do("start", "NAME").code == 0  # it runs already
        assert container.do("stop", "-t", "50", "NAME").code == 0
        assert container.inspect("{{.State.Status}} {{.State.ExitCode}}") == "exited 3"
        assert container.do("restart", "NAME").code == 0
        ups(container, 2)
        before = container.inspect("{{.State.Pid}}")
        assert container.do("restart", "-t", "50", "NAME").code == 0
        ups(container, 3)
        assert container.inspect(STATUS) == "running"
        assert container.inspect("{{.State.Pid}}") != before


def test_a_container_is_initialised_before_it_is_started(podman: Podman) -> None:
    for container in each(podman, *WAITS):
        assert container.do("init", "NAME").code == 0
        assert container.inspect(STATUS) == "initialized"
        assert container.do("logs", "NAME").out == ""
        assert container.do("start", "NAME").code == 0
        ups(container, 1)


def test_a_container_that_is_initialised_can_be_removed(podman: Podman) -> None:
    for container in each(podman, *WAITS):
        assert container.do("init", "NAME").code == 0
        assert container.do("rm", "-f", "-t", "0", "NAME").code == 0
        assert container.do("container", "exists", "NAME").code == 1


def test_attach_passes_what_is_typed_and_said_and_how_it_ends(podman: Podman) -> None:
    for container in each(podman, "-i", *sh("echo up; read -r line; echo got $line; echo bad >&2; exit 7")):
        seen = container.do("start", "--attach", "--interactive", "NAME", stdin=b"first\n")
        assert (seen.code, seen.out, seen.err) == (7, "up\ngot first\n", "bad\n")
        assert container.do("start", "NAME").code == 0
        assert "got second\n" in container.do("attach", "NAME", stdin=b"second\n").out
        assert container.do("wait", "NAME").out == "7\n"


def test_who_detaches_from_a_terminal_leaves_the_container_alone(podman: Podman) -> None:
    for container in each(podman, "-it", *sh("while true; do echo tick; /bin/busybox usleep 100000; done")):
        assert container.do("start", "NAME").code == 0
        command = podman.command(container.runtime, "attach", "--detach-keys=ctrl-x", container.name)
        code, screen = podman.enclosure.run_on_a_terminal(command, env=podman.env, typed=b"\x18", after=b"tick")
        assert code == 0, screen
        assert container.inspect(STATUS) == "running"


def test_logs_are_followed_to_the_end(podman: Podman, both: Both) -> None:
    for container in both("-i", *sh("echo one; echo two; read -r word; echo three >&2; exit 5")):
        container.logs_hold("two")
        assert container.do("logs", "--tail", "1", "NAME").out == "two\n"
        assert container.do("logs", "--timestamps", "NAME").out.count("T") == 2
        container.do("attach", "NAME", stdin=b"\n")
        seen = container.do("logs", "--follow", "NAME")
        assert (seen.code, seen.out, seen.err) == (0, "one\ntwo\n", "three\n")


def test_a_paused_container_runs_on(podman: Podman, both: Both) -> None:
    for container in both(*WAITS):
        ups(container, 1)
        assert container.do("pause", "NAME").code == 0
        assert container.inspect(STATUS) == "paused"
        assert container.do("exec", "NAME", "true").code == 255
        assert container.do("unpause", "NAME").code == 0
        assert container.do("exec", "NAME", "true").code == 0
        assert container.do("stop", "-t", "50", "NAME").code == 0
        assert container.inspect("{{.State.ExitCode}}") == "3"


def test_a_paused_container_can_be_removed(podman: Podman, both: Both) -> None:
    for container in both(*SLEEP):
        assert container.do("pause", "NAME").code == 0
        assert container.do("rm", "-f", "-t", "0", "NAME").code == 0
        assert container.do("container", "exists", "NAME").code == 1


def test_a_container_that_fails_is_restarted_as_often_as_wanted(podman: Podman, both: Both) -> None:
    for container in both("--restart=on-failure:2", *sh("echo up; exit 4")):
        container.becomes("{{.RestartCount}} {{.State.Status}}", "2 exited")
        assert container.do("logs", "NAME").out == "up\n" * 3
        assert container.inspect("{{.State.ExitCode}}") == "4"


def test_files_are_copied_in_and_out(podman: Podman, both: Both, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the host\n")
    for container in both("--tmpfs", "/tmp", "--user", "1000", *SLEEP):
        for place in ("/srv/copy", "/tmp/copy"):
            seen = container.do("cp", f"{tmp_path}/in", f"{container.name}:{place}")
            assert seen.code == 0, seen
            assert container.do("exec", "NAME", "cat", place).out == "from the host\n"
            back = container.do("cp", f"{container.name}:{place}", "-")
            with tarfile.open(fileobj=io.BytesIO(back.raw.encode())) as tar:
                assert tar.getnames() == ["copy"]
        out = tmp_path / container.name
        assert container.do("cp", f"{container.name}:/srv", str(out)).code == 0
        assert {path.name for path in out.iterdir()} >= {"copy", "bad-format"}
        assert container.do("stop", "-t", "0", "NAME").code == 0
        assert container.do("cp", f"{tmp_path}/in", f"{container.name}:/srv/later").code == 0


def test_what_has_changed_is_told_and_becomes_an_image(podman: Podman, both: Both) -> None:
    changes = []
    for container in both(*sh("echo new >/srv/new; rm /srv/bad-format; echo up; exec sleep 1000")):
        ups(container, 1)
        changes.append(sorted(container.do("diff", "NAME").out.split("\n")))
        made = f"localhost/{unique()}"
        assert container.do("commit", "-q", "NAME", made).code == 0
        try:
            seen = podman.run(container.runtime, "--net=none", made, "/bin/sh", "-c", "cat /srv/new; ls /srv")
            assert seen.out == "new\nnew\nno-interpreter\nnot-executable\n"
        finally:
            podman.do(container.runtime, "rmi", made)
    assert changes[0] == changes[1]
    assert {"A /srv/new", "D /srv/bad-format"} <= set(changes[1])


def test_the_files_name_who_runs(podman: Podman, tmp_path: Path) -> None:
    for runtime in (podman.reference, podman.runtime):
        first, monitor = tmp_path / "first", tmp_path / "monitor"
        options = [f"--pidfile={first}", f"--conmon-pidfile={monitor}", "--net=none"]
        with running(podman, runtime, unique(), *options, *SLEEP) as container:
            assert first.read_text() == container.inspect("{{.State.Pid}}")
            assert monitor.read_text().strip() == container.inspect("{{.State.ConmonPid}}")
        first.unlink()
        monitor.unlink()


def test_a_container_goes_by_another_name(podman: Podman, both: Both) -> None:
    for container in both(*SLEEP):
        other = unique()
        assert container.do("rename", "NAME", other).code == 0
        container.name = other
        assert container.do("exec", "NAME", "true").code == 0


def test_statistics_are_told(podman: Podman, both: Both) -> None:
    seen: list[Seen] = [
        container.do("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemPerc}}", "NAME")
        for container in both("-m", "64m", *SLEEP)
    ]
    assert [one.out.split(" ")[0] for one in seen] == ["1", "1"], seen
