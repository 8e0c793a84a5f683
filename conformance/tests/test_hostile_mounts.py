"""beyond#hostile-rootfs: mounts, masks and devices whose paths an image has made symlinks of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.marks import decides, needs
from conformance.support.canary import HIDDEN, LINKS, Canary, attempt, clear, replace

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.container import Container
    from conformance.seen import Seen
    from conformance.workshop import Maker, Workshop

pytestmark = needs("root", "cap_mknod")


@pytest.fixture
def canary(workshop: Workshop) -> Canary:
    return Canary(workshop)


@pytest.fixture
def source(workshop: Workshop) -> Path:
    """A directory of the host's with the file "file", for bind mounts."""
    folder = workshop.directory("source")
    (folder / "file").touch()
    return folder


def mount_of(box: Container, kind: str, destination: str, source: Path) -> str:
    """Put a mount into the config; what is in mountinfo only when that has been mounted."""
    if kind == "tmpfs":
        config.add_mount(box.config, destination, "tmpfs", "the-only-one")
        return " - tmpfs the-only-one "
    what = source / "file" if kind == "file" else source
    config.add_mount(box.config, destination, "none", str(what), "bind")
    return f"/{what.relative_to(source.parent.parent)} "


def is_mounted(seen: Seen, sign: str) -> bool:
    return sign in seen.file("/proc/self/mountinfo")


@pytest.mark.parametrize("form", LINKS)
@pytest.mark.parametrize(
    "place",
    [
        pytest.param("target", marks=decides("beyond.hostile-rootfs.mount-target")),
        pytest.param("parent", marks=decides("beyond.hostile-rootfs.mount-parent")),
        pytest.param("grandparent", marks=decides("beyond.hostile-rootfs.mount-parent")),
        pytest.param("dangling", marks=decides("beyond.hostile-rootfs.mount-target")),
        pytest.param("beneath", marks=decides("beyond.hostile-rootfs.mount-parent")),
    ],
)
def test_a_mount_behind_a_symlink_touches_nothing_outside(
    canary: Canary, container: Maker, source: Path, place: str, form: str
) -> None:
    """And a container that is made all the same has the mount."""
    for kind in ("tmpfs", "directory", "file"):
        box = container()
        entry = {"target": "secret" if kind == "file" else "directory", "dangling": canary.absent}.get(place, "empty")
        if place == "beneath":
            (box.rootfs / "a").mkdir()
            canary.link(box, "a/link", entry, form)
        else:
            canary.link(box, "link", entry, form)
        path = {"target": "/link", "dangling": "/link", "parent": "/link/new", "grandparent": "/link/new/newer"}
        sign = mount_of(box, kind, path.get(place, "/a/link/new"), source)
        seen = attempt(box, f"read={canary.path}/secret")
        canary.check()
        if seen:
            assert is_mounted(seen, sign)
            assert seen.answer("read", f"{canary.path}/secret") != HIDDEN


@decides("beyond.hostile-rootfs.mount-loop")
@pytest.mark.parametrize("target", ["link", "/link", "./link/x", "other", "../link"])
def test_a_loop_of_symlinks_is_refused(container: Maker, canary: Canary, target: str) -> None:
    box = container()
    (box.rootfs / "link").symlink_to(target)
    (box.rootfs / "other").symlink_to("link")
    config.add_mount(box.config, "/link/x", "tmpfs", "tmpfs")
    box.create(expect="error")
    box.gone()
    canary.check()


@decides("beyond.hostile-rootfs.mount-inside")
@pytest.mark.parametrize("target", ["/mnt", "mnt", "../../mnt", "/mnt/first"])
def test_a_mount_behind_a_symlink_into_another_one_is_in_that(
    container: Maker, canary: Canary, source: Path, target: str
) -> None:
    box = container()
    (box.rootfs / "link").symlink_to(target)
    config.add_mount(box.config, "/mnt", "tmpfs", "tmpfs")
    config.add_mount(box.config, "/mnt/first", "tmpfs", "tmpfs")
    sign = mount_of(box, "directory", "/link/new", source)
    seen = attempt(box, f"list=/mnt/{'first/' if target.endswith('first') else ''}new")
    canary.check()
    if seen:
        assert is_mounted(seen, sign)
        assert seen.report["asked"][0][2] == ["file"]


@decides("beyond.hostile-rootfs.mount-over-proc")
@pytest.mark.parametrize("target", ["/proc/sys", "/proc/self/attr", "proc/self/fd", "/mnt/../proc/sys/kernel"])
def test_a_symlink_into_proc_covers_nothing_of_it(container: Maker, target: str) -> None:
    """What a runtime writes there would go elsewhere, if somebody could mount on it."""
    box = container()
    (box.rootfs / "link").symlink_to(target)
    config.add_mount(box.config, "/link", "tmpfs", "tmpfs")
    seen = attempt(box, "read=/proc/sys/kernel/ostype", "stat=/proc/self/attr/current", "list=/proc/self/fd")
    if seen:
        assert seen.answer("read", "/proc/sys/kernel/ostype") == "Linux\n"
        assert seen.errno("stat", "/proc/self/attr/current") == 0
        assert seen.answer("list", "/proc/self/fd")


@decides("beyond.hostile-rootfs.created-device")
@pytest.mark.parametrize("form", LINKS)
def test_a_device_behind_a_symlink_touches_nothing_outside(canary: Canary, container: Maker, form: str) -> None:
    for path, entry in (("/link/made", "empty"), ("/link", "secret"), ("/link", "node"), ("/link", canary.absent)):
        box = container()
        canary.link(box, "link", entry, form)
        device = {"path": path, "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 1, "gid": 1}
        box.config["linux"]["devices"] = [device]
        attempt(box)
        canary.check()


# --- masks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", LINKS)
@pytest.mark.parametrize(
    "field",
    [
        pytest.param("maskedPaths", marks=decides("beyond.hostile-rootfs.masked-path")),
        pytest.param("readonlyPaths", marks=decides("beyond.hostile-rootfs.readonly-path")),
    ],
)
def test_a_listed_path_that_is_a_symlink_touches_nothing_outside(
    canary: Canary, container: Maker, field: str, form: str
) -> None:
    for entry in ("secret", "directory", canary.absent):
        box = container()
        canary.link(box, "link", entry, form)
        config.set_path(box.config, f"linux.{field}", ["/link", "/link/inner"])
        attempt(box)
        canary.check()


@decides("beyond.hostile-rootfs.masked-inside")
@pytest.mark.parametrize("target", ["/etc/hidden", "etc/hidden", "../../etc/hidden"])
def test_what_is_masked_by_a_symlink_cannot_be_read(container: Maker, target: str) -> None:
    """Neither by this name nor by its own, unless that is refused."""
    box = container()
    (box.rootfs / "etc" / "hidden").write_text(HIDDEN)
    (box.rootfs / "link").symlink_to(target)
    config.set_path(box.config, "linux.maskedPaths", ["/link"])
    seen = attempt(box, "read=/link", "read=/etc/hidden")
    if seen:
        assert HIDDEN not in [seen.answer("read", "/link"), seen.answer("read", "/etc/hidden")]


@decides("beyond.hostile-rootfs.mask-source")
@pytest.mark.parametrize("what", ["file", "link", "directory", "fifo"])
def test_what_an_image_has_for_dev_null_is_no_mask(container: Maker, canary: Canary, what: str) -> None:
    """A mask is the null device by its number, or something empty."""
    box = container()
    (box.rootfs / "etc" / "hidden").write_text(HIDDEN)
    (box.rootfs / "etc" / "mine").write_text("of the image")
    config.without_mount(box.config, "/dev")
    replace(box, canary, "dev/null", what, "../etc/mine")
    config.set_path(box.config, "linux.maskedPaths", ["/etc/hidden"])
    seen = attempt(box, "read=/etc/hidden", "stat=/etc/hidden", "put=/etc/hidden", "read=/etc/mine")
    canary.check()
    if seen:
        assert seen.answer("read", "/etc/hidden") in ("", {"errno": 13})
        assert seen.answer("read", "/etc/mine") == "of the image"


# --- the places that everything else relies on -----------------------------------------------------------------------


@pytest.mark.parametrize("target", ["mnt", "/mnt", *LINKS])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("proc", marks=decides("beyond.hostile-rootfs.proc-link")),
        pytest.param("sys", marks=decides("beyond.hostile-rootfs.sys-link")),
        pytest.param("dev", marks=decides("beyond.hostile-rootfs.dev-link")),
    ],
)
def test_an_image_whose_top_is_a_symlink(container: Maker, canary: Canary, name: str, target: str) -> None:
    """Masks and read-only paths hold, or it is refused; the host's directories stay as they are."""
    box = container()
    if target in LINKS:
        canary.link(box, name, "directory", target)
    else:
        clear(box, name).symlink_to(target)
    config.add_mount(box.config, "/sys", "sysfs", "sysfs")
    config.add_mount(box.config, "/dev/shm", "tmpfs", "tmpfs")
    config.set_path(box.config, "linux.maskedPaths", ["/proc/uptime", "/sys/kernel/notes"])
    config.set_path(box.config, "linux.readonlyPaths", ["/proc/sys", "/sys/kernel"])
    writes = ["open-write=/proc/sys/kernel/domainname", "open-write=/sys/kernel/profiling"]
    seen = attempt(box, "read=/proc/uptime", "read=/sys/kernel/notes", *writes, "stat=/dev/null")
    canary.check()
    if seen:
        for path in ("/proc/uptime", "/sys/kernel/notes"):
            assert seen.answer("read", path) == "" or seen.errno("read", path)
        assert seen.errno("open-write", "/proc/sys/kernel/domainname")
        assert seen.errno("open-write", "/sys/kernel/profiling")
        assert seen.answer("stat", "/dev/null")["minor"] == 3
