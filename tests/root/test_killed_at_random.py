"""Commands that are killed at random moments: each container works afterwards or can be deleted, `list` never fails,
and nothing is left in the end.  tests/root/test_isolation_killed.py goes through the moments one by one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.root.box import contents, until
from tests.root.test_interrupted import full
from tests.support import mount_table
from tests.support.command import Result, run
from tests.support.residue import KEPT, cgroup_directories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.support.bundles import Bundle

pytestmark = [pytest.mark.needs("root", "busybox", "static", "overlay", "memory"), pytest.mark.timeout(900)]

#: Commands that are killed for each seed: 500 together.
KILLS = 100
SEEDS = range(5)
#: Containers that are there at once.
CROWD = 6
#: How far behind a command's usual end the moment may come: some end before.
BEYOND = 1.2

#: What is killed -> the status of the container that it is given ("": there is none of that id), and its words.
#: B is the bundle, ID the container.
VICTIMS = {
    "create": ("", "create --bundle B ID"),
    "run": ("", "run --detach --bundle B ID"),
    "start": ("created", "start ID"),
    "exec": ("running", "exec ID /bin/true"),
    "exec --detach": ("running", "exec --detach ID /bin/sleep 1000"),
    "kill": ("running", "kill ID KILL"),
    "pause": ("running", "pause ID"),
    "resume": ("paused", "resume ID"),
    "update": ("running", "update --pids-limit 40 ID"),
    "delete": ("stopped", "delete ID"),
    "delete --force": ("running", "delete --force ID"),
    "list": ("running", "list"),
}

#: Whom these leave alive may have been sent a signal that it has not seen yet.
DEADLY = ("kill", "delete --force")

#: What leads to each status from the one before it.
WAYS = {"created": ("", "create"), "running": ("created", "start"), "paused": ("running", "pause"),
        "stopped": ("running", "kill")}  # fmt: skip

#: How a container proves that it works; after that it has the second status, and "" is none.
PROOFS = {
    "created": ("start ID", "running"),
    "running": ("exec ID /bin/true", "running"),
    "paused": ("resume ID", "running"),
    "stopped": ("delete ID", ""),
}


class Crowd:
    """Containers of one bundle with the status that each was seen in last, and commands that are killed."""

    def __init__(
        self,
        runtime: Path,
        root: Path,
        bundle: Bundle,
        ids: Callable[[], str],
        chance: random.Random,
        scratch: Path,
        flags: Sequence[str] = (),
    ) -> None:
        self.words = [str(runtime), "--root", str(root), *flags]
        self.root = root
        self.bundle = bundle
        self.ids = ids
        self.chance = chance
        self.said = scratch / "said"
        self.statuses: dict[str, str] = {}
        self.names: list[str] = []
        self.groups: list[int] = []
        self.usual = {victim: self.measured(victim) for victim in VICTIMS}

    def argv(self, words: str, name: str) -> list[str]:
        named = {"ID": name, "B": str(self.bundle.path)}
        return [*self.words, *(named.get(word, word) for word in words.split())]

    def do(self, words: str, name: str = "", status: int | None = 0) -> Result:
        return run(*self.argv(words, name), status=status)

    def measured(self, victim: str) -> float:
        """Seconds that the command takes when nobody kills it."""
        name = self.one(VICTIMS[victim][0])
        begun = time.monotonic()
        self.do(VICTIMS[victim][1], name)
        taken = time.monotonic() - begun
        self.settle(name)
        return taken

    def one(self, status: str) -> str:
        """A container that has that status, made where there is none."""
        if not status:
            self.names.append(self.ids())
            return self.names[-1]
        found = [name for name, its in self.statuses.items() if its == status]
        if found:
            return self.chance.choice(found)
        before, verb = WAYS[status]
        name = self.one(before)
        self.do(VICTIMS[verb][1], name)
        until(lambda: self.status(name) == status, lambda: f"{name} is {status}")
        self.statuses[name] = status
        return name

    def status(self, name: str) -> str:
        """What `state` says; "" of one that cannot be used, or is not there."""
        done = self.do("state ID", name, status=None)
        return str(json.loads(done.stdout)["status"]) if done.status == 0 else ""

    def kill(self, victim: str, name: str) -> bool:
        """Give the command and kill it; False if it ended before.  `list` runs meanwhile, and tells of all the
        others."""
        others = {other: status for other, status in self.statuses.items() if other != name}
        moment = self.chance.uniform(0, BEYOND * self.usual[victim])
        with self.said.open("wb") as said:
            words = self.argv(VICTIMS[victim][1], name)
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said, process_group=0)
            self.groups.append(process.pid)
            looking = subprocess.Popen(self.argv("list --format json", ""), stdout=subprocess.PIPE)
            try:
                process.wait(timeout=moment)
            except subprocess.TimeoutExpired:
                process.kill()
            listed, _ = looking.communicate(timeout=60)
            process.wait()
        assert process.returncode in (0, -9), self.said.read_text()
        assert looking.returncode == 0
        seen = {entry["id"]: entry["status"] for entry in json.loads(listed) or ()}
        assert {other: seen.get(other) for other in others} == others
        return process.returncode != 0

    def settle(self, name: str) -> None:
        """It works, or is deleted."""
        self.statuses.pop(name, None)
        # One that is killed may be on its way from one status to the next.
        until(lambda: self.proven(name), lambda: f"{name} works, which is {self.status(name)}: {self.said.read_text()}")
        if name not in self.statuses:
            self.gone(name)

    def proven(self, name: str) -> bool:
        """Whether it does what its status promises; one that has no such status is deleted."""
        words, after = PROOFS.get(self.status(name), ("delete --force ID", ""))
        done = self.do(words, name, status=None)
        if done.status:
            self.said.write_text(repr(done))
        elif after:
            self.statuses[name] = after
        return done.status == 0

    def strike(self, what: str) -> bool:
        """Kill a command by chance, and see its container work or delete it; False if the command ended before."""
        victim = self.chance.choice(list(VICTIMS))
        name = self.one(VICTIMS[victim][0])
        try:
            killed = self.kill(victim, name)
            self.settle(name)
            if victim in DEADLY and name in self.statuses:
                self.delete(name)
        except AssertionError as error:
            error.add_note(f"{what}: {victim} of {name}")
            raise
        return killed

    def orphans(self) -> list[int]:
        """Process groups of killed commands in which there still is somebody: a container's are in others."""
        found = []
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, 0)
                found.append(group)
        return found

    def delete(self, name: str) -> None:
        self.do("delete --force ID", name)
        self.statuses.pop(name, None)
        self.gone(name)

    def gone(self, name: str) -> None:
        assert not (self.root / name).exists()

    def end(self) -> None:
        """Delete them all; mount points that were left to a later deletion go with the last."""
        for name in list(self.statuses):
            self.delete(name)
        until(lambda: not self.orphans(), lambda: f"these process groups end: {self.orphans()}")
        self.delete(self.one("created"))
        assert json.loads(self.do("list --format json").stdout) in (None, [])
        assert set(os.listdir(self.root)) <= set(KEPT)
        assert [folder for folder in cgroup_directories() if not set(self.names).isdisjoint(folder.split("/"))] == []
        places = str(self.root), str(self.bundle.path)
        assert [line for line in mount_table.lines() if any(place in line for place in places)] == []


@pytest.fixture
def crowd(
    runtime: Path, root: Path, bundle: Callable[..., Bundle], ids: Callable[[], str], tmp_path: Path, seed: int
) -> Iterator[Crowd]:
    made = full(bundle(), tmp_path)
    before = contents(made.path), contents(tmp_path / "shared"), contents(tmp_path / "single")
    crowd = Crowd(runtime, root, made, ids, random.Random(seed), tmp_path)
    yield crowd
    crowd.end()
    assert (contents(made.path), contents(tmp_path / "shared"), contents(tmp_path / "single")) == before


@pytest.mark.parametrize("seed", SEEDS)
def test_every_container_works_or_can_be_deleted(crowd: Crowd) -> None:
    killed = 0
    while killed < KILLS:
        killed += crowd.strike(f"kill {killed}")
        while len(crowd.statuses) > CROWD:
            crowd.delete(crowd.chance.choice(list(crowd.statuses)))
