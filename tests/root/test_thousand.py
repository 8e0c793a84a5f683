"""A thousand containers at once, made by several callers: none is lost, nothing stays beside them, nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until
from tests.support import memory, mount_table, programs
from tests.support.command import run
from tests.support.interruptions import children
from tests.support.orphans import adopted, described, ended
from tests.support.residue import KEPT, cgroup_directories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.bundles import Bundle

pytestmark = [pytest.mark.needs("root", "static", "memory"), pytest.mark.timeout(900)]

MANY = 1000
CALLERS = 4
BENCH = Path(__file__).parents[1] / "bench"
NAMESPACES = ("pid", "net", "ipc", "uts", "mnt")

#: For each container, of what stays: its own memory, and what its cgroup is charged with.
PROCESS, CGROUP = 128 << 10, 1 << 20


class Fleet:
    """Containers of one bundle, and callers that share the work on them."""

    def __init__(self, runtime: Path, root: Path, bundle: Bundle, names: Sequence[str]) -> None:
        self.runtime = runtime
        self.root = root
        self.bundle = bundle
        self.names = names

    def each(self, script: str, names: Sequence[str]) -> None:
        """Every caller runs a shell script for its share of the containers, one after another; $P and $id are set."""
        loop = f'P="{self.runtime} --root {self.root}"; for id; do {script} || exit; done'
        with ThreadPoolExecutor(CALLERS) as pool:
            shares = [names[number::CALLERS] for number in range(CALLERS)]
            list(pool.map(lambda share: run("sh", "-c", loop, "sh", *share, timeout=600), shares))

    def listed(self) -> dict[str, tuple[str, int]]:
        done = run(self.runtime, "--root", self.root, "list", "--format", "json")
        assert done.stderr == ""
        return {entry["id"]: (entry["status"], entry["pid"]) for entry in json.loads(done.stdout) or ()}


@pytest.fixture
def fleet(runtime: Path, root: Path, bundle: Callable[..., Bundle], ids: Callable[[], str]) -> Iterator[Fleet]:
    made = bundle().edit(linux__resources={"pids": {"limit": 8}}).args("/bin/pause")
    shutil.copy(programs.static("pause", BENCH), made.rootfs / "bin/pause")
    (made.rootfs / "bin/pause").chmod(0o755)
    with adopted():
        yield Fleet(runtime, root, made, [ids() for _ in range(MANY)])


def namespaces(pid: int | str) -> set[str]:
    return {os.readlink(f"/proc/{pid}/ns/{kind}") for kind in NAMESPACES}


def test_none_of_a_thousand_is_lost_and_nothing_is_left(fleet: Fleet) -> None:
    before = children()
    fleet.each(f'$P create --bundle {fleet.bundle.path} "$id" && $P start "$id"', fleet.names)
    listed = fleet.listed()
    assert sorted(listed) == sorted(fleet.names)
    assert {status for status, _ in listed.values()} == {"running"}
    pids = {pid for _, pid in listed.values()}
    assert len(pids) == MANY
    beside = children() - before - pids
    assert not beside, described(beside)

    theirs = set().union(*map(namespaces, pids))
    assert len(theirs) == MANY * len(NAMESPACES)
    # Nobody else is in them, so that they end with these processes.  (Their numbers are given to others then.)
    until(lambda: inside(theirs) == pids, lambda: f"only they are in there: {described(inside(theirs) - pids)}")
    assert sum(map(memory.pss, pids)) < MANY * PROCESS
    assert sum(map(memory.charged, pids)) < MANY * CGROUP

    asked, forced = fleet.names[::2], fleet.names[1::2]
    fleet.each('$P kill "$id" KILL', asked)
    killed = {listed[name][1] for name in asked}
    statuses: dict[int, int] = {}
    until(lambda: all_ended(killed, statuses), lambda: f"these end: {described(killed - set(statuses))}")
    assert {name for name, (status, _) in fleet.listed().items() if status == "stopped"} == set(asked)
    fleet.each('$P delete "$id"', asked)
    fleet.each('$P delete --force "$id"', forced)
    until(lambda: all_ended(pids, statuses), lambda: f"these end: {described(pids - set(statuses))}")
    # Each lived until it was killed.
    assert set(statuses.values()) == {-signal.SIGKILL}
    nothing_left(fleet)
    assert children() == before


def all_ended(pids: set[int], statuses: dict[int, int]) -> bool:
    """Reap those that have ended; ``statuses`` says how."""
    for pid in pids - set(statuses):
        status = ended(pid)
        if status is not None:
            statuses[pid] = status
    return set(statuses) >= pids


def nothing_left(fleet: Fleet) -> None:
    assert set(os.listdir(fleet.root)) <= set(KEPT)
    assert fleet.listed() == {}
    names = set(fleet.names)
    assert [folder for folder in cgroup_directories() if names.intersection(folder.split("/"))] == []
    assert [line for line in mount_table.lines() if str(fleet.bundle.path) in line or str(fleet.root) in line] == []


def inside(theirs: set[str]) -> set[int]:
    """Processes that are in any of these namespaces."""
    return {int(pid) for pid in os.listdir("/proc") if pid.isdigit() and seen(pid) & theirs}


def seen(pid: str) -> set[str]:
    """The namespaces of any process; none of one that has ended."""
    try:
        return namespaces(pid)
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return set()
