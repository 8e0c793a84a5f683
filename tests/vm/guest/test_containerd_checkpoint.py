"""containerd's checkpoints with pyrunc and with runc: a task goes on where it was, in another container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.callers.containerd import Containerd
from tests.callers.ctr import Ctr, task
from tests.callers.engine import unique
from tests.vm.guest import engines
from tests.vm.guest.machine import Guest

pytestmark = [pytest.mark.needs("guest", "root", "containerd", "ctr", "runc", "criu"), pytest.mark.timeout(900)]

COUNT = "i=0; while :; do i=$((i+1)); echo $i >>/run/numbers; sleep 0.1; done"


@pytest.fixture(scope="module")
def ctr(tmp_path_factory: pytest.TempPathFactory, pyrunc: Path) -> Iterator[Ctr]:
    with Guest() as guest, Containerd(guest, tmp_path_factory.mktemp("containerd"), os.fspath(pyrunc)) as daemon:
        yield Ctr(daemon)
    Path("/sys/fs/cgroup" + daemon.cgroup).rmdir()


@pytest.fixture(params=["pyrunc", "runc"])
def counter(request: pytest.FixtureRequest, ctr: Ctr) -> Iterator[task]:
    """A task that counts in a file of a tmpfs."""
    with task(ctr, ctr.runtime if request.param == "pyrunc" else ctr.reference, script=COUNT) as box:
        engines.until(lambda: numbers(box, alive=False) > 3, "it counts")
        yield box


def numbers(box: task, *, alive: bool = True) -> int:
    """How far it has counted, each number once."""
    seen = box.exec("cat /run/numbers")
    assert not alive or seen.code == 0, seen
    found = [int(line) for line in seen.out.split()]
    assert found == list(range(1, len(found) + 1))
    return len(found)


def goes_on(box: task) -> None:
    before = numbers(box)
    engines.until(lambda: numbers(box) > before + 3, f"more than {before}")


@pytest.mark.parametrize("layer", [(), ("--rw",)], ids=["the image", "the layer"])
def test_a_task_goes_on_in_another_container(counter: task, layer: tuple[str, ...]) -> None:
    daemon, ref = counter.containerd, f"localhost/{unique()}:latest"
    if layer:
        assert counter.exec("echo kept >/srv/kept").code == 0
    daemon.ctr("container", "checkpoint", "--task", "--image", *layer, counter.name, ref)
    assert counter.status() == "RUNNING"
    goes_on(counter)
    before = numbers(counter)
    assert counter.do("rm", "--force", "NAME").code in {0, 137}
    daemon.ctr("container", "rm", counter.name)
    daemon.ctr("container", "restore", "--live", *layer, counter.name, ref)
    assert counter.status() == "RUNNING"
    assert 3 < numbers(counter) <= before
    goes_on(counter)
    assert counter.exec("cat /srv/kept").out == ("kept\n" if layer else "")
    assert counter.do("pause", "NAME").code == 0
    assert counter.do("resume", "NAME").code == 0
    assert counter.do("kill", "--signal", "KILL", "NAME").code == 0
    counter.ends()
    daemon.ctr("image", "rm", ref)


def test_a_checkpoint_into_a_directory_ends_the_task_or_does_not(counter: task, tmp_path: Path) -> None:
    for options, folder in (((), tmp_path / "one"), (("--exit",), tmp_path / "two")):
        work = folder.with_suffix(".work")
        seen = counter.do("checkpoint", *options, f"--image-path={folder}", f"--work-path={work}", "NAME")
        assert seen.code == 0, seen
        assert (folder / "inventory.img").exists()
        assert "Dumping finished successfully" in (work / "dump.log").read_text()
        if not options:
            assert counter.status() == "RUNNING"
            goes_on(counter)
    counter.ends()
