"""What an image has at /proc, /sys, /dev, /dev/null and /dev/console never leads to the host.

One test for each class of vulnerability that other runtimes had; the canary is a tree of the host, next to the rootfs,
that the links in the rootfs point to.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.test_terminal import ConsoleSocket, read_all
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box
    from tests.support.canary import Canary

pytestmark = pytest.mark.needs("root", "busybox", "static")


def replaced(path: Path, target: str | os.PathLike[str]) -> None:
    """Put a symlink where ``path`` is."""
    run("rm", "-rf", path)
    path.symlink_to(target)


@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("target", ["absolute", "relative", "inside", "dangling"])
def test_proc_and_sys_that_are_symlinks_are_refused(box: Box, canary: Canary, name: str, target: str) -> None:
    targets: dict[str, str | Path] = {
        "absolute": canary.path / "empty",
        "relative": "../../canary/empty",
        "inside": "tmp",
        "dangling": "/no/such/place",
    }
    replaced(box.bundle.rootfs / name, targets[target])
    said = box.create_refused()
    assert f"/{name}" in said
    assert "mounts[" in said


@pytest.mark.parametrize("target", ["absolute", "relative", "inside"])
def test_a_dev_that_is_a_symlink_never_reaches_the_host(box: Box, canary: Canary, target: str) -> None:
    targets: dict[str, str | Path] = {
        "absolute": canary.path / "empty",
        "relative": "../../canary/empty",
        "inside": "tmp",
    }
    replaced(box.bundle.rootfs / "dev", targets[target])
    box.run(status=None)
    assert os.listdir(canary.path / "empty") == []
    box.nothing_left()


@pytest.mark.parametrize(
    "destination",
    ["/proc/self/attr", "/proc/sys", "/proc/sys/kernel", "/proc/self", "/proc/1", "/proc/self/fd", "/proc/kcore/x"],
)
def test_mounts_over_proc_are_refused(box: Box, tmp_path: Path, destination: str) -> None:
    (tmp_path / "source").mkdir()
    box.bundle.mount(destination, "bind", tmp_path / "source", "bind")
    said = box.create_refused()
    assert "/proc" in said


@pytest.mark.parametrize("destination", ["/proc/uptime", "/proc/cpuinfo", "/proc/meminfo", "/proc/loadavg"])
def test_files_that_engines_put_over_proc_are_allowed(box: Box, tmp_path: Path, destination: str) -> None:
    (tmp_path / "source").write_text("from the host\n")
    box.bundle.mount(destination, "bind", tmp_path / "source", "bind")
    assert box.sees(f"read={destination}")["read"][destination] == "from the host\n"


def test_a_proc_mounted_elsewhere_gives_no_way_to_mount_over_it(box: Box, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    box.bundle.mount("/tmp", "proc", "proc").mount("/tmp/sys", "bind", tmp_path / "source", "bind")
    box.create_refused()


@pytest.mark.parametrize("null", ["link", "file", "device"])
def test_a_null_device_of_the_image_masks_nothing(box: Box, canary: Canary, null: str) -> None:
    # CVE-2025-31133: without a tmpfs on /dev the image's own /dev/null is what a path would find.
    box.bundle.config["mounts"] = [m for m in box.bundle.config["mounts"] if not m["destination"].startswith("/dev")]
    path = box.bundle.rootfs / "dev/null"
    if null == "link":
        path.symlink_to("/etc/passwd")
    elif null == "file":
        path.write_text("the image's own\n")
    else:
        os.mknod(path, 0o020666, os.makedev(1, 5))
    box.bundle.edit(linux__maskedPaths=["/etc/group"]).args("/bin/probe", "stat=/etc/group", "read=/etc/group")
    result = box.run(status=None)
    if result.status == 0:
        entry = json.loads(result.stdout)["stat"]["/etc/group"]
        assert (entry["type"], entry["device"]) == ("char", "1:3")
    else:
        assert "/dev/null" in result.stderr


@pytest.mark.needs("unshare", "cap_mknod")
@pytest.mark.parametrize("path", ["/proc/keys", "/proc/timer_list", "/dev/null", "/dev/stdin", "/dev/stdout"])
def test_the_hosts_null_device_cannot_be_changed_from_inside(new_box: Callable[..., Box], path: str) -> None:
    # A bind mount of the host's node, or a descriptor of it, shares its inode.  The host of this test is a
    # mount namespace with a /dev of its own, so that a failure harms nobody.
    box = new_box("/bin/sh", "-c", f"chmod 600 {path}; touch -d @1000 {path}; chown 7:7 {path}; exit 0")
    caps = ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE", "CAP_FSETID"]
    box.bundle.edit(process__capabilities={"bounding": caps, "effective": caps, "permitted": caps})
    script = (
        "mount -t tmpfs -o mode=755 tmpfs /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/zero c 1 5"
        ' && touch -d @5000 /dev/null && "$@" <>/dev/null >&0 2>/dev/null; stat -c "%a %u %Y" /dev/null'
    )
    command = [str(box.runtime), "--root", str(box.root), "run", "--bundle", str(box.bundle.path), box.id]
    result = run("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *command)
    assert result.stdout == "666 0 5000\n"


@pytest.mark.parametrize("target", ["absolute", "relative"])
def test_a_console_that_is_a_symlink_never_reaches_the_host(
    box: Box, canary: Canary, tmp_path: Path, target: str
) -> None:
    (box.bundle.rootfs / "dev/pts").mkdir()
    box.bundle.config["mounts"] = [
        m for m in box.bundle.config["mounts"] if m["destination"] not in ("/dev", "/dev/shm", "/dev/mqueue")
    ]
    link = canary.path / "secret" if target == "absolute" else "../../../canary/secret"
    (box.bundle.rootfs / "dev/console").symlink_to(link)
    box.bundle.edit(process__terminal=True).args("/bin/sh", "-c", "tty; echo written >/dev/console; echo end")
    console = ConsoleSocket(tmp_path / "console")
    result = box.create("--console-socket", tmp_path / "console", status=None)
    if result.status == 0:
        master, _ = console.receive()
        box.start()
        assert b"end" in read_all(master)
        os.close(master)
    console.close()
    assert (canary.path / "secret").read_text() == "the host's own\n"
