"""beyond#hostile-rootfs: what an image has in /dev in place of the devices, and links in place of directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.marks import decides, needs
from conformance.support.canary import Canary, attempt, replace
from conformance.support.terminal import ConsoleSocket

if TYPE_CHECKING:
    from conformance.workshop import Maker, Workshop

pytestmark = needs("root", "cap_mknod")

PTS = ("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620")
KINDS = ("link", "dangling", "file", "directory", "fifo", "socket")
NUMBERS = {"null": (1, 3), "zero": (1, 5), "tty": (5, 0)}


@pytest.fixture
def canary(workshop: Workshop) -> Canary:
    return Canary(workshop)


@decides("beyond.hostile-rootfs.replaced-device")
@pytest.mark.parametrize("kind", KINDS)
def test_a_device_that_an_image_replaces_is_the_device_or_refused(container: Maker, canary: Canary, kind: str) -> None:
    found = {}
    for name in NUMBERS:
        box = container()
        config.without_mount(box.config, "/dev")
        replace(box, canary, f"dev/{name}", kind)
        seen = attempt(box)
        canary.check()
        if seen:
            device = seen["dev"][name]
            found[name] = (device["type"], device.get("major"), device.get("minor"))
    assert found == {name: ("char", *NUMBERS[name]) for name in found}


@decides("beyond.hostile-rootfs.replaced-entry")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["pts", "shm", "ptmx", "stdin"])
def test_what_an_image_has_in_dev_leads_to_nothing_outside(
    container: Maker, canary: Canary, name: str, kind: str
) -> None:
    box = container()
    config.without_mount(box.config, "/dev")
    if kind == "link" and name in ("pts", "shm"):
        canary.link(box, f"dev/{name}", "directory")
    else:
        replace(box, canary, f"dev/{name}", kind)
    config.add_mount(box.config, *PTS)
    config.add_mount(box.config, "/dev/shm", "tmpfs", "shm", "mode=1777")
    attempt(box)
    canary.check()


@decides("beyond.hostile-rootfs.replaced-console")
@pytest.mark.parametrize("kind", KINDS)
def test_a_console_that_an_image_replaces_is_the_terminal_or_refused(
    workshop: Workshop, container: Maker, canary: Canary, kind: str
) -> None:
    box = container("write", "/dev/console", "through the console\n")
    config.without_mount(box.config, "/dev")
    replace(box, canary, "dev/console", kind)
    config.set_path(box.config, "process.terminal", True)
    config.add_mount(box.config, *PTS)
    with ConsoleSocket(workshop) as console:
        if box.create("any", console_socket=console.path).status == 0:
            console.receive()
            if box.start("any").status == 0:
                assert "through the console\n" in console.read()
                box.wait()
            box.delete("any", force=True)
    canary.check()


@decides("beyond.hostile-rootfs.cgroup-readonly")
@needs("cgroups")
@pytest.mark.parametrize("namespace", [True, False], ids=["namespace", "none"])
@pytest.mark.parametrize("link", [None, "mnt", "canary"])
def test_cgroups_that_are_mounted_read_only_cannot_be_written(
    container: Maker, canary: Canary, link: str | None, namespace: bool
) -> None:
    box = container()
    if link:
        (box.rootfs / "sys" / "fs").mkdir()
        place = box.rootfs / "sys" / "fs" / "cgroup"
        place.symlink_to("/mnt" if link == "mnt" else canary.path / "directory")
    config.add_mount(box.config, "/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev")
    if namespace:
        config.add_namespace(box.config, "cgroup")
    seen = attempt(box)
    canary.check()
    if seen:
        mounted = [each for each in seen.mounts() if each.type in ("cgroup", "cgroup2")]
        assert mounted
        assert [each.target for each in mounted if "ro" not in each.options] == []
