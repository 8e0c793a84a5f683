"""Mount points that had to be made on the host's files: gone with the container, if they are still the empty objects
that were made, and never otherwise."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.root.box import contents
from tests.root.isolated import in_user_namespace, left, mounted, shell, sleeping
from tests.support.command import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


def test_whatever_had_to_be_made_is_removed(box: Box, host: Path) -> None:
    box.bundle.mount("/new/directory", "tmpfs", "tmpfs").mount("/new/file", "bind", host / "file", "bind")
    box.bundle.mount("/etc/file", "bind", host / "file", "bind", "ro").mount("/data", "bind", host, "rbind")
    box.bundle.mount("/data/in/it", "tmpfs", "tmpfs").edit(process__cwd="/made/for/me")
    before = contents(box.bundle.rootfs), contents(host)
    assert shell(box, "cat /new/file /etc/file; pwd; ls /data") == "of the host\n" * 2 + "/made/for/me\nfile\nin\n"
    assert (contents(box.bundle.rootfs), contents(host)) == before
    assert not left(box)


def test_devices_and_links_of_a_rootfs_without_a_dev_mount_are_removed(box: Box) -> None:
    mounts = [entry for entry in box.bundle.config["mounts"] if not entry["destination"].startswith("/dev")]
    box.bundle.edit(mounts=mounts)
    before = contents(box.bundle.rootfs)
    assert "null" in shell(box, "ls /dev")
    assert contents(box.bundle.rootfs) == before


def test_a_symlink_that_is_copied_is_removed(box: Box, host: Path) -> None:
    (host / "link").symlink_to("file")
    box.bundle.mount("/etc/link", "bind", host / "link", "bind", "copy-symlink")
    before = contents(box.bundle.rootfs)
    assert shell(box, "readlink /etc/link") == "file\n"
    assert contents(box.bundle.rootfs) == before


def test_what_was_there_before_stays(box: Box, host: Path) -> None:
    (box.bundle.rootfs / "directory").mkdir()
    (box.bundle.rootfs / "empty").write_text("")
    before = contents(box.bundle.rootfs)
    box.bundle.mount("/directory", "tmpfs", "tmpfs").mount("/empty", "bind", host / "file", "bind")
    assert shell(box, "cat /empty") == "of the host\n"
    assert contents(box.bundle.rootfs) == before


FILLED = {
    "a file in a directory": lambda folder: (folder / "directory/mine").write_text("mine"),
    "a directory in a directory": lambda folder: (folder / "directory/mine").mkdir(),
    "words in a file": lambda folder: (folder / "empty").write_text("mine"),
}


@pytest.mark.parametrize("what", FILLED)
def test_what_somebody_has_put_something_into_stays(box: Box, host: Path, what: str) -> None:
    box.bundle.mount("/directory", "tmpfs", "tmpfs").mount("/empty", "bind", host / "file", "bind")
    sleeping(box)
    FILLED[what](box.bundle.rootfs)
    before = contents(box.bundle.rootfs)
    box.delete("--force")
    after = contents(box.bundle.rootfs)
    kept = "empty" if "file" in what.rsplit(maxsplit=1)[-1] else "directory"
    gone = {"empty", "directory"} - {kept}
    assert after == {name: line for name, line in before.items() if name not in gone}
    assert not left(box)


@pytest.mark.parametrize("name", ["directory", "empty"])
def test_what_somebody_has_put_in_its_place_stays(box: Box, host: Path, name: str) -> None:
    # Where the number of the inode is given out again at once, as on ext4, only its birth tells it from the old one.
    box.bundle.mount("/directory", "tmpfs", "tmpfs").mount("/empty", "bind", host / "file", "bind")
    sleeping(box)
    place = box.bundle.rootfs / name
    if name == "directory":
        place.rmdir()
        place.mkdir()
    else:
        place.unlink()
        place.write_text("")
    box.delete("--force")
    assert place.exists()
    assert not left(box)


def test_what_was_moved_away_stays_there(box: Box) -> None:
    box.bundle.mount("/directory", "tmpfs", "tmpfs")
    sleeping(box)
    (box.bundle.rootfs / "directory").rename(box.bundle.rootfs / "elsewhere")
    box.delete("--force")
    assert (box.bundle.rootfs / "elsewhere").is_dir()


def test_a_symlink_put_on_the_way_is_not_followed(box: Box, host: Path) -> None:
    box.bundle.mount("/way/directory", "tmpfs", "tmpfs")
    sleeping(box)
    (host / "directory").mkdir()
    (box.bundle.rootfs / "way").rename(box.bundle.rootfs / "was")
    (box.bundle.rootfs / "way").symlink_to(host)
    box.delete("--force")
    assert (host / "directory").is_dir()


def test_what_cannot_be_removed_is_told_and_stops_no_deletion(box: Box, host: Path) -> None:
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/stays", "tmpfs", "tmpfs")
    box.bundle.mount("/goes", "tmpfs", "tmpfs")
    sleeping(box)
    run("chattr", "+i", host)
    try:
        said = box.delete("--force").stderr
    finally:
        run("chattr", "-i", host)
    assert f"cannot remove {host}/stays: operation not permitted" in said
    assert not (box.bundle.rootfs / "goes").exists()
    assert not box.exists()


def test_in_a_user_namespace(box: Box, host: Path) -> None:
    in_user_namespace(box)
    run("chown", "100000:200000", host)
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/in/it", "tmpfs", "tmpfs")
    before = contents(box.bundle.rootfs), contents(host)
    assert shell(box, "ls /data") == "file\nin\n"
    assert (contents(box.bundle.rootfs), contents(host)) == before


def test_on_a_mount_that_came_along(box: Box, host: Path) -> None:
    (host / "inner").mkdir()
    with mounted("-t", "tmpfs", "tmpfs", host / "inner"):
        box.bundle.mount("/data", "bind", host, "rbind").mount("/data/inner/a/b", "tmpfs", "tmpfs")
        assert shell(box, "ls /data/inner") == "a\n"
        assert os.listdir(host / "inner") == []
    box.nothing_left()


def test_on_the_files_of_a_tmpfs_of_the_config_nothing_is_noted(box: Box, host: Path) -> None:
    box.bundle.mount("/data", "tmpfs", "tmpfs").mount("/data/a/b", "bind", host, "rbind")
    sleeping(box)
    made = json.loads((box.root / box.id / "state.json").read_text())["made"]
    assert [entry[1] for entry in made] == ["data"]


@pytest.mark.parametrize(
    ("edits", "status"),
    [
        ({"process__args": ["/no/such/program"]}, 127),
        ({"hooks": {"createContainer": [{"path": "/bin/false"}]}}, 1),
        ({"hooks": {"createRuntime": [{"path": "/bin/false"}]}}, 1),
        ({"mounts": None}, 1),
    ],
)  # fmt: skip
def test_a_failed_creation_leaves_none(box: Box, host: Path, edits: dict[str, object], status: int) -> None:
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/a/b", "tmpfs", "tmpfs")
    box.bundle.mount("/new/file", "bind", host / "file", "bind")
    if "mounts" in edits:
        box.bundle.mount("/last", "no-such-file-system", "none")
        edits = {}
    box.bundle.edit(**edits)
    before = contents(box.bundle.rootfs), contents(host)
    box.create(status=None if status == 127 else status)
    if box.exists():
        box.start(status=None)
        box.delete("--force")
    assert (contents(box.bundle.rootfs), contents(host)) == before
    assert not left(box)
