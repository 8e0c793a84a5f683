"""A container that forks as fast as it can while it is ended: nothing of it escapes, and no directory stays."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until
from tests.support import programs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box
    from tests.support.command import Result

pytestmark = pytest.mark.needs("root", "busybox", "static")

#: Verbs that must leave no process, then what removes the container.
WAYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "delete --force": (("delete", "--force", "ID"),),
    "kill --all": (("kill", "--all", "ID", "KILL"), ("delete", "ID")),
    "kill": (("kill", "ID", "KILL"), ("delete", "ID")),
    "paused, delete --force": (("pause", "ID"), ("delete", "--force", "ID")),
    "paused, kill": (("pause", "ID"), ("kill", "ID", "KILL"), ("delete", "ID")),
    "paused, resumed, kill --all": (("pause", "ID"), ("resume", "ID"), ("kill", "-a", "ID", "9"), ("delete", "ID")),
}


def forking(new_box: Callable[..., Box], *, own_pids: bool) -> Box:
    """A container that has begun; each of its processes has the container's id in its command line."""
    box = new_box()
    box.bundle.args("/bin/forker", "8", box.id).edit(linux__cgroupsPath=f"/{box.id}")
    shutil.copy(programs.static("forker"), box.bundle.rootfs / "bin/forker")
    if not own_pids:
        box.bundle.without_namespace("pid")
    return box


def processes(box: Box) -> list[str]:
    """Those that carry the container's id, wherever they are by now."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"forker\x008\x00{box.id}".encode() in (entry / "cmdline").read_bytes():
                    found.append(entry.name)
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


@pytest.mark.parametrize("own_pids", [True, False], ids=["own pids", "the host's pids"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_escapes(way: str, own_pids: bool, new_box: Callable[..., Box]) -> None:
    for _ in range(3):
        box = forking(new_box, own_pids=own_pids).started()
        box.until_output("ready")
        assert processes(box)
        for step in WAYS[way]:
            box.command(*step)
        box.nothing_left()
        until(lambda box=box: processes(box) == [], lambda: "none is left")  # type: ignore[misc]


def test_the_end_of_the_program_in_the_foreground_ends_them(new_box: Callable[..., Box]) -> None:
    box = forking(new_box, own_pids=False)
    script = f"mkfifo /said; /bin/forker 8 {box.id} >/said & read line </said; echo $line; exit 5"
    box.bundle.args("/bin/sh", "-c", script)
    assert box.run(status=5).stdout == "ready\n"
    box.nothing_left()
    until(lambda: processes(box) == [], lambda: "none is left")


VIEW = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && "


@pytest.mark.needs("cgroup2-bare")
@pytest.mark.parametrize("own_pids", [True, False], ids=["own pids", "the host's pids"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_escapes_on_cgroup2(
    way: str, own_pids: bool, new_box: Callable[..., Box], run_command: Callable[..., Result]
) -> None:
    """In a mount namespace of its own, where /sys/fs/cgroup is cgroup2 alone."""
    box = forking(new_box, own_pids=own_pids)
    steps = "; ".join(f"$P {' '.join(step)} || echo failed {step[0]}" for step in WAYS[way]).replace("ID", box.id)
    script = (
        f"P='{box.runtime} --root {box.root}'; {VIEW}"
        f"$P run --detach --bundle {box.bundle.path} {box.id} </dev/null >{box.out} 2>&1; "
        f"until grep -q ready {box.out}; do sleep 0.01; done; {steps}"
    )
    result = run_command("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
    assert (result.stdout, result.stderr) == ("", "")
    box.nothing_left()
    until(lambda: processes(box) == [], lambda: "none is left")
