"""list and state with a thousand containers, and while others come and go."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyrunc
from tests.root.box import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box
    from tests.support.bundles import Bundle

pytestmark = pytest.mark.needs("root", "busybox", "static")

MANY = 1000
LISTS = 30
WORKERS = 2


def copy(state: Path, name: str) -> None:
    """Another container with all that the state of this one says, its process included."""
    target = state.parent / name
    target.mkdir(mode=0o700)
    document = json.loads((state / "state.json").read_text())
    (target / "state.json").write_text(json.dumps({**document, "id": name}))
    (target / "config.json").write_bytes((state / "config.json").read_bytes())
    (target / "lock").touch(mode=0o600)
    if (state / "exec.fifo").exists():
        os.mkfifo(target / "exec.fifo", 0o622)


def test_a_thousand_containers_are_listed_with_what_each_is(new_box: Callable[..., Box]) -> None:
    created, running, stopped = (new_box("/bin/sleep", "1000") for _ in range(3))
    created.create()
    running.started()
    stopped.started().kill("KILL")
    stopped.until_stopped()
    originals = {"created": created, "running": running, "stopped": stopped}
    expected = {box.id: (status, 0 if box is stopped else box.state()["pid"]) for status, box in originals.items()}
    for number in range(MANY - len(originals)):
        status = list(originals)[number % 3]
        name = f"copy-{number:04}"
        copy(created.root / originals[status].id, name)
        expected[name] = (status, expected[originals[status].id][1])

    entries = json.loads(created.command("list", "--format", "json").stdout)
    assert {entry["id"]: (entry["status"], entry["pid"]) for entry in entries} == expected
    assert [entry["id"] for entry in entries] == sorted(expected)
    assert created.command("list", "--quiet").stdout.split() == sorted(expected)
    lines = created.command("list").stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [
        [name, str(expected[name][1]), expected[name][0]] for name in sorted(expected)
    ]
    for name in ("copy-0000", "copy-0500", running.id):
        state = json.loads(created.command("state", name).stdout)
        assert (state["id"], state["status"], state["pid"]) == (name, *expected[name])


def test_what_cannot_be_read_hides_none_of_the_others(sleeper: Box) -> None:
    for number in range(50):
        copy(sleeper.root / sleeper.id, f"copy-{number:02}")
    (sleeper.root / "copy-10/state.json").write_text("{")
    (sleeper.root / "copy-20/state.json").unlink()
    (sleeper.root / "not a container").touch()
    # Somebody may be between two calls at a directory, until that has rested for a while.
    until(lambda: "copy-20" in sleeper.command("list", "--quiet").stderr, lambda: "a warning about copy-20")
    done = sleeper.command("list", "--quiet")
    assert set(done.stdout.split()) == {sleeper.id, *(f"copy-{number:02}" for number in range(50))} - {
        "copy-10",
        "copy-20",
    }
    warnings = done.stderr.splitlines()
    assert len(warnings) == 2
    assert all("load container copy-" in line for line in warnings)


def test_list_never_fails_while_others_are_created_and_deleted(
    sleeper: Box, bundle: Callable[..., Bundle], container_id: str
) -> None:
    """Each round trip goes through all states that a directory of a container can be found in."""
    made = bundle().args("/bin/sleep", "1000")
    over = threading.Event()
    failures: list[BaseException] = []
    rounds = [0] * WORKERS

    def come_and_go(worker: int) -> None:
        try:
            while not over.is_set():
                name = f"{container_id}-{worker}-{rounds[worker]}"
                container = pyrunc.Container.create(name, str(made.path), root=str(sleeper.root))
                try:
                    container.start()
                finally:
                    container.delete(force=True)
                rounds[worker] += 1
        except BaseException as error:  # noqa: BLE001  # for the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    try:
        listed = 0
        while listed < LISTS or min(rounds) < LISTS:
            assert not failures
            done = sleeper.command("list", "--format", "json")
            assert done.stderr == ""
            entries = json.loads(done.stdout)
            assert sleeper.id in [entry["id"] for entry in entries]
            # On v1 a container is frozen while it is killed.
            assert {entry["status"] for entry in entries} <= {"creating", "created", "running", "paused", "stopped"}
            assert sleeper.id in sleeper.command("list", "--quiet").stdout.split()
            listed += 1
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert sleeper.command("list", "--quiet").stdout.split() == [sleeper.id]
