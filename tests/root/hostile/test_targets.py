"""Whatever links an image has, mounts, devices and directories are made inside of it.

One test for each class of vulnerability that other runtimes had; the canary is a tree of the host, next to the rootfs,
that the links in the rootfs point to.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.root.box import Box
    from tests.support.canary import Canary

pytestmark = pytest.mark.needs("root", "busybox", "static")

LINKS = {
    "an absolute link": "{canary}/{entry}",
    "a relative link": "../../canary/{entry}",
    "a link out by dots": "../../../../../../../../../../{canary}/{entry}",
    "a link through proc": "/proc/1/root/{canary}/{entry}",
}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("place", ["the target", "its parent", "its grandparent"])
@pytest.mark.parametrize("kind", ["bind directory", "bind file", "tmpfs"])
def test_a_symlink_on_the_way_to_a_mount_stays_inside(
    box: Box, canary: Canary, tmp_path: Path, link: str, place: str, kind: str
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "mounted").touch()
    entry = ("secret" if kind == "bind file" else "directory") if place == "the target" else "empty"
    target = LINKS[link].format(canary=canary.path, entry=entry)
    destination = {"the target": "/link", "its parent": "/link/new", "its grandparent": "/link/new/newer"}[place]
    (box.bundle.rootfs / "link").symlink_to(target)
    if kind == "tmpfs":
        box.bundle.mount(destination, "tmpfs", "tmpfs")
    else:
        source = tmp_path / "source" / ("mounted" if kind == "bind file" else ".")
        box.bundle.mount(destination, "bind", source, "bind")
    result = box.run(status=None)
    canary.check()
    if result.status == 0:
        points = [line.split(" ")[4] for line in json.loads(result.stdout)["mounts"]]
        assert len([point for point in points if not point.startswith(("/proc", "/dev", "/sys"))]) >= 2
    box.nothing_left()


@pytest.mark.parametrize("loop", ["loop", "/loop", "./loop/x", "a", "../loop"])
def test_a_loop_of_symlinks_is_refused(box: Box, tmp_path: Path, loop: str) -> None:
    (box.bundle.rootfs / "loop").symlink_to(loop)
    (box.bundle.rootfs / "a").symlink_to("loop")
    box.bundle.mount("/loop/x", "bind", tmp_path, "bind")
    assert "mounts[" in box.create_refused()


@pytest.mark.parametrize("link", LINKS)
def test_a_device_below_a_symlink_stays_inside(box: Box, canary: Canary, link: str) -> None:
    (box.bundle.rootfs / "link").symlink_to(LINKS[link].format(canary=canary.path, entry="empty"))
    device = {"path": "/link/node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
    box.bundle.edit(linux__devices=[device])
    box.run(status=None)
    assert os.listdir(canary.path / "empty") == []


@pytest.mark.parametrize("link", LINKS)
def test_a_working_directory_below_a_symlink_is_made_inside(box: Box, canary: Canary, link: str) -> None:
    (box.bundle.rootfs / "link").symlink_to(LINKS[link].format(canary=canary.path, entry="empty"))
    box.bundle.edit(process__cwd="/link/made")
    box.run(status=None)
    assert os.listdir(canary.path / "empty") == []


@pytest.mark.parametrize("link", LINKS)
def test_tmpcopyup_of_a_symlink_copies_nothing_of_the_host(box: Box, canary: Canary, link: str) -> None:
    (box.bundle.rootfs / "link").symlink_to(LINKS[link].format(canary=canary.path, entry=""))
    (box.bundle.rootfs / "etc/out").symlink_to(canary.path)
    box.bundle.mount("/link", "tmpfs", "tmpfs", "tmpcopyup").mount("/etc", "tmpfs", "tmpfs", "tmpcopyup")
    box.bundle.args("/bin/probe", "list=/link", "list=/etc", "stat=/etc/out")
    result = box.run(status=None)
    if result.status == 0:
        seen = json.loads(result.stdout)
        assert "secret" not in json.dumps(seen["list"])
        assert seen["stat"]["/etc/out"]["type"] == "symlink"


@pytest.mark.parametrize("which", ["maskedPaths", "readonlyPaths"])
def test_a_masked_path_behind_a_symlink_stays_inside(box: Box, canary: Canary, which: str) -> None:
    (box.bundle.rootfs / "out").symlink_to(canary.path)
    (box.bundle.rootfs / "up").symlink_to("../../canary")
    box.bundle.edit(**{f"linux__{which}": ["/out/secret", "/up/secret", "/out", "/up"]})
    box.run()
