"""One file of a host directory is mounted: nothing else of that directory comes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.scenarios.task import MARK, Bind, Task, fails, finds, sees
from tests.support.canary import describe, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenarios.task import Caller

pytestmark = pytest.mark.needs("root", "busybox", "static", "overlay")

MODES = pytest.mark.parametrize("mode", ["ro", "rw", "cow"])


def with_named(caller: Caller, host: Path, mode: str) -> Task:
    return Task(binds=(Bind(host / "named", "/data/named", mode),))


@MODES
def test_its_neighbours_are_nowhere_inside(mode: str, caller: Caller, host: Path) -> None:
    box = caller.start(with_named(caller, host, mode))
    assert sees(box, "cat /data/named; ls -A /data") == "named on purpose\nnamed\n"
    assert finds(box, MARK) == []
    assert finds(box, "named on purpose") == ["/data/named"]
    assert MARK not in sees(box, "cat /proc/self/mountinfo")
    for path in (f"/data/neighbour-{MARK}", f"/data/named/../neighbour-{MARK}", str(host / f"neighbour-{MARK}")):
        fails(box, f"cat '{path}'")


@MODES
def test_the_way_up_from_it_ends_in_the_rootfs(mode: str, caller: Caller, host: Path) -> None:
    box = caller.start(with_named(caller, host, mode))
    own = sees(box, "cat /etc/hostname")
    assert own.strip() in {"rootfs", "box"}  # podman writes one of its own
    for way in ("/data/../etc/hostname", "/data/../../../../etc/hostname"):
        assert sees(box, f"cat {way}") == own
    assert sees(box, "cd /data; cat ../../../../etc/hostname") == own
    assert "Not a directory" in fails(box, "cat /data/named/../../etc/hostname")


def test_with_cow_a_chmod_inside_leaves_the_mode_outside(caller: Caller, host: Path) -> None:
    before = tree(host)
    box = caller.start(with_named(caller, host, "cow"))
    assert sees(box, "stat -c %a /data/named") == "600\n"
    sees(box, "chmod 777 /data/named; echo more >>/data/named")
    assert sees(box, "stat -c %a /data/named; cat /data/named") == "777\nnamed on purpose\nmore\n"
    assert (host / "named").stat().st_mode & 0o7777 == 0o600
    box.remove()
    assert tree(host) == before
    again = caller.start(with_named(caller, host, "cow"))
    assert sees(again, "stat -c %a /data/named; cat /data/named") == "600\nnamed on purpose\n"


def test_with_ro_a_chmod_fails(caller: Caller, host: Path) -> None:
    before = describe(host / "named")
    box = caller.start(with_named(caller, host, "ro"))
    assert "Read-only file system" in fails(box, "chmod 777 /data/named")
    assert "Read-only file system" in fails(box, "echo x >>/data/named")
    assert describe(host / "named") == before


def test_a_directory_with_cow_takes_everything_and_passes_nothing_on(caller: Caller, host: Path) -> None:
    before = describe(host), tree(host)
    box = caller.start(Task(binds=(Bind(host, "/data", "cow"),)))
    assert finds(box, MARK) == [f"/data/directory-{MARK}", f"/data/directory-{MARK}/below", f"/data/neighbour-{MARK}"]
    sees(
        box,
        f"cd /data; chmod 777 . named; echo x >>named; rm -r directory-{MARK}; mv neighbour-{MARK} moved; touch new",
    )
    assert sees(box, "ls -A /data") == "moved\nnamed\nnew\n"
    assert (describe(host), tree(host)) == before
    box.remove()
    assert (describe(host), tree(host)) == before
