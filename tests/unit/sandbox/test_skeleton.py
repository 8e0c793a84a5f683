"""The skeleton of rootfs="host": complete, of one owner, made once however many want it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyrunc.errors import HostError
from pyrunc.sandbox import skeleton
from tests.support.canary import tree


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "state")


def test_it_has_links_as_the_host_and_a_place_for_every_mount(root: str) -> None:
    host = skeleton.prepare(root)
    path = Path(host.path)
    for name in skeleton.USR_LINKS:
        there = Path("/", name)
        if there.is_symlink():
            assert (path / name).readlink() == there.readlink()
        else:
            assert (path / name).is_dir() is there.is_dir()
    for mount in host.mounts:
        place = path / mount["destination"][1:]
        assert place.is_dir() == Path(mount["source"]).is_dir()
        assert place.exists()
    assert all((path / point[1:]).is_dir() is directory for point, directory in host.points.items())
    assert "1000:1000" in (path / "etc/passwd").read_text()
    assert (path / "var/tmp").resolve() == path / "tmp"


def test_nobody_else_can_write_to_it_whatever_the_umask(root: str) -> None:
    old = os.umask(0)
    try:
        path = Path(skeleton.prepare(root).path)
    finally:
        os.umask(old)
    found = [entry for entry in (path, path.parent, *path.rglob("*")) if not entry.is_symlink()]
    assert [entry for entry in found if entry.stat().st_mode & 0o022] == []
    assert {entry.stat().st_uid for entry in found} == {os.geteuid()}
    assert all(entry.stat().st_mode & 0o005 for entry in path.rglob("*") if not entry.is_symlink())


def test_it_is_made_once_and_then_left_alone(root: str) -> None:
    path = Path(skeleton.prepare(root).path)
    before = tree(path.parent)
    assert skeleton.prepare(root).path == str(path)
    skeleton._verified.clear()
    assert skeleton.prepare(root, network=True).path == str(path)
    assert tree(path.parent) == before


def test_threads_that_want_it_at_once_share_it(root: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        paths = set(pool.map(lambda _: skeleton.prepare(root).path, range(64)))
    assert len(paths) == 1
    assert os.listdir(f"{root}/.host-rootfs") == [Path(*paths).name]


def test_processes_that_want_it_at_once_share_it(root: str) -> None:
    code = f"from pyrunc.sandbox import skeleton; print(skeleton.prepare({root!r}).path)"
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    said = {process.communicate(timeout=60)[0] for process in running}
    assert said == {skeleton.prepare(root).path + "\n"}
    assert len(os.listdir(f"{root}/.host-rootfs")) == 1


def test_what_a_killed_maker_has_left_is_cleared_away(root: str) -> None:
    aside = Path(root, ".host-rootfs/new/etc")
    aside.mkdir(parents=True)
    aside.parent.parent.chmod(0o700)
    (aside / "passwd").write_text("half of")
    path = skeleton.prepare(root).path
    assert os.listdir(f"{root}/.host-rootfs") == [Path(path).name]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path: (path / "etc/passwd").write_text("root::0:0::/:/bin/sh\n"), id="contents"),
        pytest.param(lambda path: (path / "etc/passwd").unlink(), id="gone"),
        pytest.param(lambda path: ((path / "bin").unlink(), (path / "bin").symlink_to("tmp")), id="link"),
        pytest.param(lambda path: (path / "tmp").chmod(0o1777), id="mode"),
        pytest.param(lambda path: ((path / "work").rmdir(), (path / "work").touch()), id="kind"),
    ],
)
def test_one_that_has_been_changed_is_refused(change: object, root: str) -> None:
    path = Path(skeleton.prepare(root).path)
    assert callable(change)
    change(path)
    skeleton._verified.clear()
    with pytest.raises(HostError, match="has been changed since pyrunc made it"):
        skeleton.prepare(root)


def test_one_that_others_can_write_to_is_refused(root: str) -> None:
    path = Path(skeleton.prepare(root).path)
    for place in (path, path.parent):
        mode = stat.S_IMODE(place.stat().st_mode)
        place.chmod(mode | 0o002)
        with pytest.raises(HostError, match="not a directory that only this user can change"):
            skeleton.prepare(root)
        place.chmod(mode)
    skeleton.prepare(root)


def test_a_link_in_its_place_is_refused(root: str, tmp_path: Path) -> None:
    path = Path(skeleton.prepare(root).path)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(HostError, match="not a directory that only this user can change"):
        skeleton.prepare(root)


@pytest.mark.needs("root")
def test_one_of_somebody_else_is_refused(root: str) -> None:
    path = skeleton.prepare(root).path
    os.chown(path, 12345, 12345)
    with pytest.raises(HostError, match="owner 12345, mode 0755; remove it"):
        skeleton.prepare(root)


def test_it_is_closed_to_others_unless_root_of_the_box_is_one(root: str) -> None:
    parent = Path(skeleton.prepare(root).path).parent
    assert (stat.S_IMODE(parent.stat().st_mode), stat.S_IMODE(parent.parent.stat().st_mode)) == (0o700, 0o700)
    skeleton.prepare(root, others=True)
    assert (stat.S_IMODE(parent.stat().st_mode), stat.S_IMODE(parent.parent.stat().st_mode)) == (0o711, 0o711)


def test_a_host_that_has_changed_gets_another_one(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = skeleton.prepare(root).path
    monkeypatch.setattr(skeleton, "_found", None)
    monkeypatch.setattr(skeleton, "DIRECTORIES", (*skeleton.DIRECTORIES, "extra"))
    second = skeleton.prepare(root).path
    monkeypatch.setattr(skeleton, "_found", None)
    assert second != first
    assert Path(second, "extra").is_dir()
    assert Path(first).is_dir()


def test_a_root_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match="file"):
        skeleton.prepare(str(tmp_path / "file" / "state"))
