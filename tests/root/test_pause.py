"""pause and resume: what a paused container does and allows, with runc's words and effects."""

from __future__ import annotations

import re
import select
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyrunc
from tests.root.box import until, wait_for_exit
from tests.support.requirements import cgroup_mounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box
    from tests.support.bundles import Bundle
    from tests.support.command import Result

pytestmark = pytest.mark.needs("root", "busybox", "static")

COUNTING = "n=0; while :; do n=$((n + 1)); echo $n; sleep 0.01; done"


@pytest.fixture
def counting(new_box: Callable[..., Box]) -> Box:
    """A running container that writes without end."""
    box = new_box("/bin/sh", "-c", COUNTING).started()
    box.until_output("3\n")
    return box


def cgroup(box: Box, controller: str = "freezer") -> Path:
    """The container's cgroup, by what the kernel says of its process."""
    for line in Path(f"/proc/{box.state()['pid']}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(cgroup_mounts()[controller] + path)
    raise AssertionError(f"no {controller} cgroup")


def stands_still(box: Box) -> bool:
    """Whether the output does not grow, by as many looks as it would take to grow by several lines."""
    before = box.output()
    select.select([], [], [], 0.1)
    return box.output() == before


def test_a_paused_container_stands_still_and_goes_on_when_it_is_resumed(counting: Box) -> None:
    result = counting.command("pause", "ID")
    assert (result.stdout, result.stderr) == ("", "")
    assert counting.status() == "paused"
    assert stands_still(counting)
    size = len(counting.output())
    result = counting.command("resume", "ID")
    assert (result.stdout, result.stderr) == ("", "")
    assert counting.status() == "running"
    until(lambda: len(counting.output()) > size, lambda: "it goes on")


@pytest.mark.needs("cgroup1")
def test_every_process_is_frozen_when_pause_returns(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sh", "-c", "for n in 1 2 3 4 5 6 7 8; do sh -c 'while :; do :; done' & done; echo go; wait")
    box.started().until_output("go")
    for _ in range(20):
        box.command("pause", "ID")
        assert (cgroup(box) / "freezer.state").read_text() == "FROZEN\n"
        box.command("resume", "ID")
        assert (cgroup(box) / "freezer.state").read_text() == "THAWED\n"


def words(result: Result) -> str:
    """What a runtime said last, without its own name or the time."""
    said = re.search(r'msg="((?:[^"\\]|\\.)*)"$|^pyrunc: (.*)$', result.stderr.rstrip().rpartition("\n")[2])
    return (said[1] or said[2] or "") if said else result.stderr


#: Verbs one after the other, each with what follows from those before it.
STEPS: dict[str, list[tuple[str, ...]]] = {
    "created": [("resume", "ID"), ("pause", "ID"), ("start", "ID"), ("resume", "ID"), ("start", "ID"), ("pause", "ID")],
    "paused": [
        ("start", "ID"), ("pause", "ID"), ("pause", "ID"), ("start", "ID"), ("exec", "ID", "true"),
        ("ps", "-f", "json", "ID"), ("delete", "ID"), ("kill", "ID", "0"), ("resume", "ID"), ("resume", "ID"),
    ],
    "killed": [("start", "ID"), ("pause", "ID"), ("kill", "ID", "KILL")],
    "deleted": [("start", "ID"), ("pause", "ID"), ("delete", "--force", "ID"), ("pause", "ID"), ("resume", "ID")],
}  # fmt: skip


@pytest.mark.needs("runc")
@pytest.mark.parametrize("title", STEPS)
def test_each_verb_ends_as_runc_has_it(title: str, new_box: Callable[..., Box], runc: Path, runtime: Path) -> None:
    seen: list[list[tuple[int, str]]] = []
    for which in (runc, runtime):
        box = new_box("/bin/sleep", "1000", runtime=which)
        box.create()
        results = [box.command(*step, status=None) for step in STEPS[title]]
        seen.append([(result.status, words(result).replace(box.id, "ID")) for result in results])
    for step, (their_status, their_words), (status, said) in zip(STEPS[title], *seen, strict=True):
        assert status == their_status, (step, said)
        assert their_words.removesuffix("\\n") in said, step


def test_what_is_paused_can_be_killed_and_deleted(new_box: Callable[..., Box]) -> None:
    for command in (("kill", "ID", "KILL"), ("kill", "--all", "ID", "9"), ("delete", "--force", "ID")):
        box = new_box("/bin/sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait").started()
        box.until_output("ready")
        pids = box.processes()
        box.command("pause", "ID")
        box.command(*command)
        for pid in pids:
            wait_for_exit(pid)
        box.delete("--force")
        box.nothing_left()


def test_a_signal_reaches_a_paused_container_when_it_is_resumed(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sh", "-c", "trap 'echo got term; exit 3' TERM; echo ready; while :; do sleep 0.02; done")
    box.started().until_output("ready")
    box.command("pause", "ID")
    box.kill("TERM")
    assert stands_still(box)
    box.command("resume", "ID")
    box.until_stopped()
    assert "got term" in box.output()


def test_exec_with_ignore_paused_waits_in_the_container_until_it_is_resumed(counting: Box) -> None:
    counting.command("pause", "ID")
    words = ("exec", "--ignore-paused", counting.id, "echo", "late")
    command = [str(counting.runtime), "--root", str(counting.root), *words]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as late:
        try:
            until(lambda: len(counting.processes()) > 1 or late.poll() is not None, lambda: "the process is in there")
            assert late.poll() is None
            counting.command("resume", "ID")
            assert late.communicate(timeout=60)[0] == "late\n"
            assert late.returncode == 0
        finally:
            late.kill()


@pytest.mark.needs("cgroup1")
def test_a_cgroup_above_that_is_frozen_is_named(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    above = Path(cgroup_mounts()["freezer"], f"{box.id}-above")
    box.bundle.edit(linux__cgroupsPath=f"/{above.name}/{box.id}")
    try:
        box.started()
        (above / "freezer.state").write_text("FROZEN")
        assert box.status() == "paused"
        text = f"pyrunc: {above / box.id}: {above} is frozen, and with it everything below (thaw that one)\n"
        assert box.command("resume", "ID", status=1).stderr == text
        (above / "freezer.state").write_text("THAWED")
        assert box.status() == "running"
    finally:
        if above.exists():
            (above / "freezer.state").write_text("THAWED")
        box.delete("--force")
        for mount in set(cgroup_mounts().values()):
            if Path(mount, above.name).exists():
                Path(mount, above.name).rmdir()


@pytest.mark.needs("cgroup1")
@pytest.mark.parametrize("above", ["", "/below"])
def test_a_frozen_cgroup_is_refused(above: str, new_box: Callable[..., Box]) -> None:
    """pyrunc-init would freeze in it, and creation never end."""
    box = new_box()
    frozen = Path(cgroup_mounts()["freezer"], f"{box.id}-frozen")
    frozen.mkdir()
    (frozen / "freezer.state").write_text("FROZEN")
    try:
        box.bundle.edit(linux__cgroupsPath=f"/{frozen.name}{above}")
        text = box.run(status=1).stderr
        assert text.startswith(f"pyrunc: linux.cgroupsPath: container's cgroup unexpectedly frozen: {frozen}")
        assert [path.name for path in frozen.iterdir() if path.is_dir()] == []
    finally:
        (frozen / "freezer.state").write_text("THAWED")
        frozen.rmdir()
    box.nothing_left()


@pytest.mark.needs("cgroup1")
def test_a_caller_in_the_containers_own_cgroup_is_not_frozen_with_it(counting: Box) -> None:
    script = 'echo 0 >"$1/cgroup.procs"; shift; exec "$@"'
    where = cgroup(counting)
    command = [str(counting.runtime), "--root", str(counting.root), "pause", counting.id]
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(where), *command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"pyrunc: {where}: this process is in the container's own cgroup, and would stop itself\n"
    assert counting.status() == "running"


def test_from_python(root: Path, bundle: Callable[..., Bundle], container_id: str) -> None:
    made = bundle().args("/bin/sleep", "1000")
    container = pyrunc.Container.create(container_id, made.path, root=str(root))
    try:
        container.pause()
        assert container.state()["status"] == "paused"
        with pytest.raises(pyrunc.StateError, match=r"^container not running \(it is paused already\)$"):
            container.pause()
        container.resume()
        assert container.state()["status"] == "created"
        with pytest.raises(pyrunc.StateError, match=r"^container not paused$"):
            container.resume()
    finally:
        container.delete(force=True)


VIEW = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && "


@pytest.mark.needs("cgroup2-bare")
def test_on_cgroup2_every_process_is_frozen_when_pause_returns(
    new_box: Callable[..., Box], run_command: Callable[..., Result]
) -> None:
    """In a mount namespace of its own, where /sys/fs/cgroup is cgroup2 alone."""
    box = new_box("/bin/sh", "-c", "sh -c 'while :; do :; done' & echo go; wait")
    box.bundle.edit(linux__cgroupsPath=f"/{box.id}")
    events = f"/sys/fs/cgroup/{box.id}/cgroup.events"
    script = (
        f"P='{box.runtime} --root {box.root}'; {VIEW}"
        f"$P run --detach --bundle {box.bundle.path} {box.id} </dev/null >/dev/null 2>&1; "
        f"$P pause {box.id} && grep frozen {events}; $P state {box.id} | grep status; $P pause {box.id}; "
        f"$P resume {box.id} && grep frozen {events}; $P pause {box.id}; $P kill {box.id} KILL; $P delete {box.id}; "
        f"test ! -e /sys/fs/cgroup/{box.id} && echo gone"
    )
    result = run_command("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
    lines = result.stdout.split("\n")
    assert lines == ["frozen 1", '  "status": "paused",', "frozen 0", "gone", ""]
    assert result.stderr == "pyrunc: container not running (it is paused already)\n"
