"""io.pyrunc.workspace: a directory that is empty at every start, and of which nothing stays."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.root.box import contents
from tests.root.isolated import (
    FIRST_UID,
    in_user_namespace,
    isolate,
    layer_mounts,
    mounted,
    shell,
    sleeping,
    snapshot,
    within,
)
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box
    from tests.support.canary import Canary

pytestmark = pytest.mark.needs("root", "busybox", "static")

STAT = "stat -c '%a %u %g'"


def test_it_is_empty_and_belongs_to_the_processs_user(box: Box) -> None:
    (box.bundle.rootfs / "work").mkdir()
    (box.bundle.rootfs / "work/of-the-image").write_text("")
    box.bundle.edit(process__user={"uid": 1000, "gid": 50}, process__capabilities=None)
    before = snapshot(box.bundle.rootfs)
    said = shell(isolate(box, workspace="/work"), f"{STAT} /work; ls -A /work; echo a >/work/b; cat /work/b")
    assert said == "755 1000 50\na\n"
    assert snapshot(box.bundle.rootfs) == before
    box.nothing_left()


def test_it_is_a_tmpfs_of_this_container_alone(box: Box) -> None:
    fields = shell(isolate(box, workspace="/work"), "grep ' /work ' /proc/self/mountinfo").split()
    assert fields[3] == "/"
    assert fields[5].split(",")[:3] == ["rw", "nosuid", "nodev"]
    assert fields[6:8] == ["-", "tmpfs"]


def test_one_run_after_another_finds_nothing_of_the_first(box: Box) -> None:
    isolate(box, workspace="cwd").bundle.edit(process__cwd="/home/user")
    for _ in range(3):
        assert shell(box, "pwd; ls -A; echo sentinel >sentinel.txt; cat sentinel.txt") == "/home/user\nsentinel\n"
        assert os.listdir(box.bundle.rootfs / "home/user") == []
        box.nothing_left()


def test_two_at_the_same_time_have_nothing_in_common(box: Box, new_box: Callable[..., Box]) -> None:
    other = new_box()
    other.bundle = box.bundle
    sleeping(box, workspace="/work")
    sleeping(other, workspace="/work")
    within(box, "echo secret >/work/a")
    assert within(other, "ls -A /work") == ""
    box.delete("--force")
    within(other, "echo still >/work/a")
    assert within(other, "cat /work/a") == "still\n"


def test_what_does_not_fit_is_no_space_left(box: Box) -> None:
    script = "dd if=/dev/zero of=/work/a bs=1k count=1024 2>&1; echo x >>/work/a; echo $?; wc -c </work/a"
    assert shell(isolate(box, workspace="/work,size=1m"), script).splitlines()[-2:] == ["1", str(1 << 20)]


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("path", ["/work", "/not/there/yet", "/home/user/work"])
def test_a_path_that_the_rootfs_has_not_is_made_and_removed(box: Box, path: str, read_only: bool) -> None:
    box.bundle.edit(root__readonly=read_only, process__cwd=path)
    before = contents(box.bundle.rootfs)
    assert shell(isolate(box, workspace=path), "touch a; ls; pwd") == f"a\n{path}\n"
    assert contents(box.bundle.rootfs) == before


def test_a_mount_of_the_host_is_hidden_and_unchanged(box: Box, canary: Canary) -> None:
    box.bundle.mount("/work", "bind", canary.path, "rbind")
    said = shell(isolate(box, workspace="/work"), "ls -A /work; echo mine >/work/secret; cat /work/secret")
    assert said == "mine\n"
    canary.check()


def test_below_a_host_directory_its_mount_point_is_removed(box: Box, tmp_path: Path) -> None:
    host = tmp_path / "repo"
    host.mkdir()
    (host / "README").write_text("read me\n")
    before = contents(host)
    box.bundle.mount("/repo", "bind", host, "rbind")
    isolate(box, workspace="/repo/deep/scratch").bundle.args("/bin/sleep", "10000")
    box.started()
    assert within(box, "cat /repo/README; touch /repo/deep/scratch/a; ls /repo/deep/scratch") == "read me\na\n"
    assert sorted(os.listdir(host)) == ["README", "deep"]
    assert os.listdir(host / "deep/scratch") == []
    box.delete("--force")
    assert contents(host) == before
    box.nothing_left()


def test_mounts_of_the_config_hide_nothing_of_it_unless_they_are_below(box: Box, tmp_path: Path) -> None:
    for name in ("early", "late"):
        (tmp_path / name).write_text(f"{name}\n")
    box.bundle.mount("/data/work/early", "bind", tmp_path / "early", "bind")
    box.bundle.mount("/data", "tmpfs", "tmpfs")
    box.bundle.mount("/data/work/late", "bind", tmp_path / "late", "bind")
    box.bundle.mount("/elsewhere", "tmpfs", "tmpfs")
    isolate(box, workspace="/data/work")
    assert shell(box, f"ls -A /data/work; cat /data/work/late; {STAT} /data/work") == "late\nlate\n755 0 0\n"
    box.nothing_left()


def test_a_mount_beside_it_with_a_like_name_is_none_above_it(box: Box) -> None:
    box.bundle.mount("/work/below", "tmpfs", "tmpfs").mount("/wor", "tmpfs", "tmpfs").mount("/work2", "tmpfs", "tmpfs")
    assert shell(isolate(box, workspace="/work"), "ls -A /work") == "below\n"


def test_it_may_lie_in_the_private_tmp(box: Box) -> None:
    isolate(box, workspace="/tmp/work", tmp="private")
    assert shell(box, f"ls -A /tmp; touch /tmp/work/a; {STAT} /tmp /tmp/work") == "work\n1777 0 0\n755 0 0\n"
    assert os.listdir(box.bundle.rootfs / "tmp") == []


# Symlinks


def test_a_symlink_leads_to_a_directory_of_the_image(box: Box) -> None:
    (box.bundle.rootfs / "work").symlink_to("/var/tmp")
    box.bundle.edit(process__cwd="/work")
    assert (
        shell(isolate(box, workspace="cwd"), "touch a; ls /var/tmp /work/.; pwd")
        == "/var/tmp:\na\n\n/work/.:\na\n/var/tmp\n"
    )


@pytest.mark.parametrize("link", ["{canary}/empty", "../../canary/empty"])
def test_a_symlink_to_the_host_does_not_lead_there(box: Box, canary: Canary, link: str) -> None:
    (box.bundle.rootfs / "work").symlink_to(link.format(canary=canary.path))
    before = contents(box.bundle.rootfs)
    isolate(box, workspace="/work").bundle.args("/bin/touch", "/work/a")
    box.run()
    assert contents(box.bundle.rootfs) == before
    canary.check()


@pytest.mark.parametrize("link", ["/", "..", "var/.."])
def test_a_symlink_to_the_root_directory_is_refused(box: Box, link: str) -> None:
    (box.bundle.rootfs / "work").symlink_to(link)
    assert "/work: leads to the root directory" in isolate(box, workspace="/work").create_refused()


def test_a_file_in_its_place_is_refused(box: Box) -> None:
    said = isolate(box, workspace="/etc/passwd").create_refused()
    assert 'annotations["io.pyrunc.workspace"]: /etc/passwd: exists and is not a directory' in said


# User namespaces


def test_in_a_user_namespace_it_belongs_to_the_user_inside(box: Box) -> None:
    box.bundle.edit(process__user={"uid": 1000, "gid": 50}, process__capabilities=None)
    in_user_namespace(isolate(box, workspace="/work"))
    assert shell(box, f"touch /work/a; {STAT} /work /work/a") == "755 1000 50\n644 1000 50\n"
    box.nothing_left()


def test_a_user_that_is_not_mapped_cannot_own_it(box: Box) -> None:
    in_user_namespace(isolate(box, workspace="/work"))
    box.bundle.edit(process__user={"uid": 70000, "gid": 0}, process__capabilities=None)
    said = box.create(status=1).stderr
    assert "process.user" in said
    box.nothing_left()


# A layer of the container


def test_it_is_there_from_create_until_delete(box: Box) -> None:
    isolate(box, workspace="/work").bundle.args("/bin/sh", "-c", "echo result >/work/a")
    box.create()
    (mount,) = layer_mounts(box)
    assert os.listdir(mount) == []
    box.start()
    box.until_stopped()
    with open(mount + "/a") as file:
        assert file.read() == "result\n"
    assert os.stat(mount + "/../..").st_mode & 0o077 == 0, "nobody but root gets there"
    box.delete()
    assert layer_mounts(box) == []
    box.nothing_left()


def test_the_state_says_where_it_is(box: Box) -> None:
    in_user_namespace(isolate(box, workspace="/work")).bundle.args("/bin/touch", "/work/a")
    box.create()
    (layer,) = json.loads((box.root / box.id / "state.json").read_text())["layers"]
    assert (layer["kind"], layer["destination"], layer["lower"]) == ("workspace", "/work", "")
    assert layer["path"] == layer_mounts(box)[0]
    box.start()
    box.until_stopped()
    assert os.stat(layer["path"] + "/a").st_uid == FIRST_UID


def test_no_other_mount_namespace_keeps_it(box: Box, new_box: Callable[..., Box], tmp_path: Path) -> None:
    # A container that sees mounts of the host come has them no longer than the host.
    shared = tmp_path / "shared"
    shared.mkdir()
    watcher = new_box()
    with mounted("-t", "tmpfs", "tmpfs", shared):
        run("mount", "--make-shared", shared)
        box.root = shared / "state"
        watcher.bundle.mount("/shared", "bind", shared, "rbind", "rslave")
        sleeping(watcher)
        sleeping(box, workspace="/work")
        assert len(layer_mounts(box)) == 1
        box.delete("--force")
        assert within(watcher, "grep -c /layers/ /proc/self/mountinfo || true") == "0\n"
        watcher.delete("--force")


def test_a_symlink_to_where_the_config_mounts_something_is_refused(box: Box, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (box.bundle.rootfs / "work").symlink_to("/data")
    box.bundle.mount("/data", "bind", tmp_path / "host", "bind").args("/bin/touch", "/work/mine")
    said = isolate(box, workspace="/work").run(status=1).stderr
    assert said.startswith('pyrunc: annotations["io.pyrunc.workspace"]: /work is a symlink in the rootfs')
    assert os.listdir(tmp_path / "host") == []
    box.nothing_left()
