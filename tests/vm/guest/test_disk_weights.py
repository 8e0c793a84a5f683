"""blockIO.weight where the kernel has no BFQ, and so io.weight alone: with pyrunc, runc and crun, and both managers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import programs
from tests.support.command import run
from tests.vm.guest.units import FLAGS, TOP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box

pytestmark = pytest.mark.needs("guest", "root", "runc", "crun")


@pytest.fixture
def without_bfq() -> Iterator[None]:
    run("modprobe", "-r", "bfq")
    yield
    run("modprobe", "bfq")


def weights(box: Box, *flags: str) -> tuple[str, str]:
    """io.weight after create, and when systemd has looked at its units again."""
    path = f"system.slice:box:{box.id}" if flags else f"/{box.id}"
    box.bundle.edit(linux__resources={"blockIO": {"weight": 200}}, linux__cgroupsPath=path).args("/bin/sleep", "1000")
    box.create(flags=flags)
    # Of the first process: crun with systemd makes a cgroup below the unit's.
    folder = TOP / Path(f"/proc/{box.state()['pid']}/cgroup").read_text().strip().removeprefix("0::/")
    assert not (folder / "io.bfq.weight").exists()
    created = (folder / "io.weight").read_text()
    run("systemctl", "daemon-reload")
    seen = created.strip(), (folder / "io.weight").read_text().strip()
    box.delete("--force", flags=flags)
    return seen


@pytest.mark.usefixtures("without_bfq")
def test_without_bfq_a_weight_is_on_the_scale_of_io_weight_and_stays(
    new_box: Callable[..., Box], runtime: Path
) -> None:
    others = [Path(shutil.which(name, path=programs.PATH) or name) for name in ("runc", "crun")]
    boxes = [new_box(runtime=each) for each in (runtime, *others)]
    assert {weights(box) for box in boxes} == {("default 1920", "default 1920")}
    boxes = [new_box(runtime=each) for each in (runtime, *others)]
    ours, runcs, cruns = (weights(box, *FLAGS) for box in boxes)
    assert ours == cruns == ("default 1920", "default 1920")
    assert runcs == ("default 1920", "default 100")  # runc does not tell systemd, which writes its default
