"""Mount points that had to be made on the host's files: gone with the last container that uses them, if they are still
the empty objects that were made, and never otherwise."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pyrunc.errors import HostError
from pyrunc.host import mount_users, residue
from pyrunc.plan.ops import Op
from pyrunc.runtime import mount_points
from pyrunc.runtime.conversation import perform
from tests.root.box import contents, until
from tests.root.isolated import in_user_namespace, isolate, mounted, shell, sleeping, within
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host that containers mount."""
    path = tmp_path / "host"
    path.mkdir()
    (path / "file").write_text("of the host\n")
    return path


@pytest.fixture
def beside(new_box: Callable[..., Box], box: Box) -> Box:
    """Another container of the same bundle as ``box``."""
    other = new_box()
    other.bundle = box.bundle
    return other


def left(box: Box) -> bool:
    """Whether mount points are kept for a later deletion."""
    return (box.root / ".mount-points").exists()


@contextlib.contextmanager
def in_other_namespace(script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A shell script in a mount namespace of its own, which then waits."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f"{script} && echo done && exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"done\n"
        yield process
        process.stdin.close()


# One container


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


# Several containers


def test_while_another_uses_it_a_mount_point_stays_and_goes_with_the_last(box: Box, beside: Box, host: Path) -> None:
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/in", "tmpfs", "tmpfs").args("/bin/sleep", "10000")
    before = contents(box.bundle.rootfs), contents(host)
    box.started()
    beside.started()
    within(beside, "echo still >/data/in/a")
    box.delete("--force")
    assert within(beside, "cat /data/in/a; grep -c ' /data' /proc/self/mountinfo") == "still\n2\n"
    assert left(box)
    assert box.command("list", "-q").stdout.split() == [beside.id]
    beside.delete("--force")
    assert (contents(box.bundle.rootfs), contents(host)) == before
    assert not left(box)


def test_the_maker_may_be_the_last(box: Box, beside: Box) -> None:
    box.bundle.mount("/data", "tmpfs", "tmpfs").args("/bin/sleep", "10000")
    before = contents(box.bundle.rootfs)
    box.started()
    beside.started()
    beside.delete("--force")
    assert within(box, "grep -c ' /data ' /proc/self/mountinfo") == "1\n"
    box.delete("--force")
    assert contents(box.bundle.rootfs) == before


def test_one_that_has_merely_been_created_uses_it_too(box: Box, beside: Box) -> None:
    box.bundle.mount("/data", "tmpfs", "tmpfs").args("/bin/sh", "-c", "grep -c ' /data ' /proc/self/mountinfo")
    before = contents(box.bundle.rootfs)
    box.create()
    beside.create()
    box.delete("--force")
    beside.start()
    beside.until_output("1\n")
    beside.delete("--force")
    assert contents(box.bundle.rootfs) == before


def test_a_directory_on_the_way_to_anothers_mount_point_stays_until_that_goes(
    box: Box, new_box: Callable[..., Box], host: Path
) -> None:
    other = new_box()
    before = contents(host)
    for each, name in ((box, "one"), (other, "two")):
        each.bundle.mount("/data", "bind", host, "rbind").mount(f"/data/way/{name}", "tmpfs", "tmpfs")
    sleeping(box)
    sleeping(other)
    box.delete("--force")
    assert sorted(os.listdir(host / "way")) == ["two"]
    other.kill("KILL")
    other.until_stopped()
    other.delete()
    assert contents(host) == before
    assert not left(box)


def test_a_directory_on_the_way_in_which_somebody_keeps_something_is_given_up(box: Box, host: Path) -> None:
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/way/one", "tmpfs", "tmpfs")
    sleeping(box)
    (host / "way/mine").write_text("mine")
    box.delete("--force")
    assert sorted(os.listdir(host / "way")) == ["mine"]
    assert not left(box)
    (host / "way/mine").unlink()
    assert shell(box, "true") == ""
    (host / "way").rmdir()


def test_a_container_of_another_root_keeps_its_mount(box: Box, beside: Box, tmp_path: Path) -> None:
    beside.root = tmp_path / "other-state"
    box.bundle.mount("/data", "tmpfs", "tmpfs").args("/bin/sleep", "10000")
    before = contents(box.bundle.rootfs)
    box.started()
    beside.started()
    box.delete("--force")
    assert within(beside, "grep -c ' /data ' /proc/self/mountinfo") == "1\n"
    beside.delete("--force")
    # The other root knows nothing of it: it goes with the next deletion here.
    assert (box.bundle.rootfs / "data").is_dir()
    box.started()
    box.delete("--force")
    assert contents(box.bundle.rootfs) == before


def test_a_mount_of_the_host_on_it_keeps_it(box: Box, new_box: Callable[..., Box]) -> None:
    before = contents(box.bundle.rootfs)
    box.bundle.mount("/data", "tmpfs", "tmpfs")
    sleeping(box)
    with mounted("-t", "tmpfs", "tmpfs", box.bundle.rootfs / "data"):
        box.delete("--force")
        assert (box.bundle.rootfs / "data").is_mount()
    shell(new_box(), "true")
    assert contents(box.bundle.rootfs) == before


def test_a_creation_under_way_is_waited_for_by_nobody_and_loses_nothing(box: Box, beside: Box, tmp_path: Path) -> None:
    # It has found the mount point and not mounted yet: the one who deletes must leave it alone.
    box.bundle.mount("/data", "tmpfs", "tmpfs").args("/bin/sleep", "10000")
    before = contents(box.bundle.rootfs)
    box.started()
    os.mkfifo(tmp_path / "fifo")
    script = f"cat >/dev/null; echo here >{tmp_path}/waits; read line <{tmp_path}/fifo"
    box.bundle.edit(hooks={"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]})
    creating = threading.Thread(target=beside.create)
    creating.start()
    try:
        until((tmp_path / "waits").exists, lambda: "the hook runs")
        box.delete("--force")
        assert (box.bundle.rootfs / "data").is_dir()
        assert left(box)
    finally:
        (tmp_path / "fifo").write_text("go on\n")
        creating.join()
    beside.start()
    assert within(beside, "grep -c ' /data ' /proc/self/mountinfo") == "1\n"
    beside.delete("--force")
    assert contents(box.bundle.rootfs) == before
    assert not left(box)


def test_many_that_come_and_go_at_once_leave_nothing(box: Box, new_box: Callable[..., Box], host: Path) -> None:
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/in", "tmpfs", "tmpfs")
    box.bundle.mount("/new/file", "bind", host / "file", "bind")
    box.bundle.args("/bin/sh", "-c", "set -e; cat /new/file; touch /data/in/a; grep -c ' /data/in ' /proc/mounts")
    before = contents(box.bundle.rootfs), contents(host)
    boxes = [new_box() for _ in range(24)]
    running: list[subprocess.Popen[bytes]] = []
    for each in boxes:
        command = [str(each.runtime), "--root", str(each.root), "run", "--bundle", str(box.bundle.path), each.id]
        running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
        if len(running) % 6 == 0:
            running[-3].wait()
    for process in running:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, b"of the host\n1\n")
    assert (contents(box.bundle.rootfs), contents(host)) == before
    assert not left(box)


# What others mount


@pytest.mark.parametrize("character", ["\f", "\x85", "\u2028", "\udcff"])
def test_a_mount_with_an_odd_name_is_in_nobodys_way(box: Box, host: Path, character: str) -> None:
    before = contents(box.bundle.rootfs)
    box.bundle.mount("/data", "tmpfs", "tmpfs")
    odd = host / f"a{character}b"
    odd.mkdir()
    with mounted("-t", "tmpfs", "tmpfs", odd):
        assert shell(box, "true") == ""
        assert contents(box.bundle.rootfs) == before
    with in_other_namespace(f"mount -t tmpfs tmpfs '{odd}'"):
        assert shell(box, "true") == ""
        assert contents(box.bundle.rootfs) == before
    assert not left(box)


def test_a_mount_that_only_a_changed_root_hides_keeps_it(box: Box, new_box: Callable[..., Box], host: Path) -> None:
    before = contents(box.bundle.rootfs)
    place = box.bundle.rootfs / "data"
    box.bundle.mount("/data", "tmpfs", "tmpfs")
    sleeping(box)
    script = (
        f"mount -t tmpfs tmpfs {place} && touch {place}/mine && exec 3<{place} && echo done && exec chroot {host} sh"
    )
    (host / "bin").mkdir()
    shutil.copy(box.bundle.rootfs / "bin/busybox", host / "bin/sh")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"done\n"
        until(lambda: os.readlink(f"/proc/{process.pid}/root") == str(host), lambda: "it changes its root")
        box.delete("--force")
        assert place.is_dir()
        assert left(box)
        process.stdin.close()
    shell(new_box(), "true")
    assert contents(box.bundle.rootfs) == before


def test_a_mount_point_of_one_in_a_directory_of_another_goes_first(
    box: Box, new_box: Callable[..., Box], host: Path
) -> None:
    second, third = new_box(), new_box()
    before = contents(host)
    for each, name in ((box, "one"), (second, "two"), (third, "two")):
        each.bundle.mount("/data", "bind", host, "rbind").mount(f"/data/way/{name}", "tmpfs", "tmpfs")
        sleeping(each)
    for each in (second, box, third):
        each.delete("--force")
    assert contents(host) == before
    assert not left(box)


def test_nobody_who_can_open_the_root_can_stop_creations(box: Box, host: Path) -> None:
    box.root.mkdir(mode=0o755, exist_ok=True)
    fd = os.open(box.root, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert shell(box, "echo made", timeout=20) == "made\n"
    finally:
        os.close(fd)
    assert (box.root / ".mounting").stat().st_mode & 0o777 == 0o600


def test_a_creation_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount_points, "WAIT_SECONDS", 0.05)
    with open(tmp_path / ".mounting", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(HostError, match="locked for"):
            mount_points.creating(str(tmp_path))


def test_what_cannot_be_looked_through_in_time_counts_as_in_use() -> None:
    assert mount_users.in_use({("0:0", "/nowhere")}, 0) == {("0:0", "/nowhere")}
    assert mount_users.in_use({("0:0", "/nowhere")}, 60) == set()


def test_without_the_kernels_list_processes_tell(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount_users, "_listed", lambda _: {})
    for name in ("used", "a b", "free"):
        (host / name).mkdir()
    entries = [(str(host), name, stat.S_IFDIR, 0, 0, 0) for name in ("used", "a b", "free")]
    places = residue.places(entries)
    with in_other_namespace(f"mount -t tmpfs tmpfs {host}/used && mount -t tmpfs tmpfs '{host}/a b'"):
        used = mount_users.in_use(set(places.values()), 60)
    assert used == {places[entry] for entry in entries[:2]}


def test_what_is_made_below_a_name_that_is_not_utf8_is_removed(box: Box, host: Path) -> None:
    odd = host / "odd\udcff"
    odd.mkdir()
    (host / "link").symlink_to(odd.name)
    before = contents(host)
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/link/new", "tmpfs", "tmpfs")
    assert shell(box, "ls /data/link/") == "new\n"
    assert sorted(os.listdir(odd)) == []
    assert contents(host) == before
    assert not left(box)


def test_a_path_too_long_to_be_noted_is_refused_before_anything_is_there(box: Box, host: Path) -> None:
    way = "/".join(["d" * 200] * 19)
    with contextlib.chdir(host):
        os.makedirs(way)
    before = contents(host / ("d" * 200))
    box.bundle.mount("/data", "bind", host, "rbind").mount(f"/data/{way}/{'e' * 120}", "tmpfs", "tmpfs")
    box.create(status=1)
    assert contents(host / ("d" * 200)) == before


@pytest.mark.parametrize(("seconds", "stays"), [(0, False), (10, True)])
def test_what_was_made_long_after_the_note_is_somebody_elses(host: Path, seconds: int, stays: bool) -> None:
    (host / "made").mkdir()
    noted = time.time_ns() - seconds * 10**9
    perform([Op("remove", (str(host), "made", stat.S_IFDIR, 0, 0, noted), "")], pytest.fail)
    assert (host / "made").exists() == stays


# The runtime is killed


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_a_creation_that_is_killed_leaves_what_delete_force_removes(box: Box, host: Path, kind: str) -> None:
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/a/b", "tmpfs", "tmpfs")
    box.bundle.mount("/new/file", "bind", host / "file", "bind")
    isolate(box, tmp="private", workspace="/made/work", cow="/new/file")
    before = contents(box.bundle.rootfs), contents(host)
    script = f"pid=$(cat {box.root}/{box.id}/pid-of-create 2>/dev/null || echo $PPID); kill -{signal.SIGKILL:d} $pid"
    if kind == "createContainer":
        # That runs as a child of the container's first process.
        script = "while :; do :; done"
    box.bundle.edit(hooks={kind: [{"path": "/bin/sh", "args": ["sh", "-c", script]}]})
    if kind == "createContainer":
        command = [str(box.runtime), "--root", str(box.root), "create", "--bundle", str(box.bundle.path), box.id]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as creating:
            until((host / "a/b").exists, lambda: "it mounts")
            creating.kill()
    else:
        box.create(status=None)
    box.delete("--force")
    assert (contents(box.bundle.rootfs), contents(host)) == before
    assert not left(box)
    box.nothing_left()
