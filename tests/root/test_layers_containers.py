"""pyrunc diff and pyrunc commit of real containers: created, running and stopped."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.isolated import FIRST_GID, FIRST_UID, in_user_namespace, isolate, layer_mounts, sleeping, within
from tests.unit.host.layers import trees

if TYPE_CHECKING:
    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "overlay", "busybox", "static")

WORK = "rm -rf /etc; mkdir /etc; echo new >/etc/passwd; chmod 700 /home; mkdir -p /a/b; echo c >/a/b/c; ln /a/b/c /a/d"
CHANGES = ["A /a", "A /a/b", "A /a/b/c", "A /a/d", "D /etc/group", "C /etc/passwd", "C /home"]


def listed(box: Box) -> list[str]:
    return box.command("diff", "ID").stdout.splitlines()


def stopped(box: Box, script: str, **wishes: str) -> Box:
    """A container that has run ``script`` and is not deleted yet."""
    box.bundle.args("/bin/sh", "-c", script)
    isolate(box, **wishes).started().until_stopped()
    return box


def test_a_container_is_read_when_created_running_and_stopped(box: Box) -> None:
    box.bundle.args("/bin/sleep", "100000")
    isolate(box, rootfs="ephemeral").create()
    assert listed(box) == []
    box.start()
    within(box, WORK)
    assert listed(box) == CHANGES
    box.kill("KILL")
    box.until_stopped()
    assert listed(box) == CHANGES
    box.delete()
    box.nothing_left()
    assert "does not exist" in box.command("diff", "ID", status=1).stderr


def test_another_directory_at_the_path_of_the_rootfs_is_not_compared_with(box: Box) -> None:
    stopped(box, WORK, rootfs="ephemeral")
    rootfs = box.bundle.rootfs
    away = rootfs.with_name("away")
    rootfs.rename(away)
    rootfs.mkdir()
    for words in (["diff", "ID"], ["commit", "ID", "-"]):
        assert "is not the directory that shows through at / any more" in box.command(*words, status=1).stderr
    rootfs.rmdir()
    away.rename(rootfs)
    assert listed(box) == CHANGES


def test_the_mount_points_of_the_config_are_not_the_containers_doing(box: Box, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "file").write_text("file")
    os.rmdir(box.bundle.rootfs / "proc")
    box.bundle.mount("/not/there/yet", "bind", tmp_path / "shared", "bind")
    box.bundle.mount("/etc/absent", "bind", tmp_path / "file", "bind")
    box.bundle.mount("/work/data", "bind", tmp_path / "shared", "bind")
    stopped(box, "touch /here /work/here", rootfs="ephemeral", workspace="/work")
    assert listed(box) == ["A /here", "A /work/here"]


def test_json_has_all_three_lists(box: Box) -> None:
    stopped(box, "touch /here", rootfs="ephemeral")
    found = json.loads(box.command("diff", "--format", "json", "ID").stdout)
    assert found == {"changed": [], "added": ["/here"], "deleted": []}


def test_a_stopped_container_is_committed_over_another_copy_of_its_rootfs(box: Box, tmp_path: Path) -> None:
    for name in ("applied", "extracted"):
        trees.copy(str(box.bundle.rootfs), str(tmp_path / name))
    before = trees.tree(str(box.bundle.rootfs))
    stopped(box, WORK, rootfs="ephemeral")
    box.command("commit", "ID", tmp_path / "layer.tar")
    box.command("commit", "ID", tmp_path / "applied")
    trees.extract(str(tmp_path / "layer.tar"), str(tmp_path / "extracted"))
    applied = trees.tree(str(tmp_path / "applied"))
    assert applied == trees.tree(str(tmp_path / "extracted"))
    assert [f"{kind} {path}" for path, kind in trees.differences(before, applied)] == CHANGES
    assert trees.tree(str(box.bundle.rootfs)) == before
    assert (tmp_path / "applied/a/b/c").samefile(tmp_path / "applied/a/d")


def test_a_running_container_is_committed_to_standard_output(box: Box) -> None:
    sleeping(box, rootfs="ephemeral")
    within(box, WORK)
    words = [str(box.runtime), "--root", str(box.root), "commit", box.id, "-"]
    data = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    done = subprocess.run(["tar", "-tf", "-"], input=data, stdout=subprocess.PIPE, check=True, timeout=60)
    assert done.stdout.decode().splitlines() == [
        "a/", "a/b/", "a/b/c", "a/d", "etc/", "etc/.wh..wh..opq", "etc/passwd", "home/",
    ]  # fmt: skip


def test_a_copy_on_write_directory_is_kept_by_committing_it_to_its_source(box: Box, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/old").write_text("old")
    (source / "stays").write_text("stays")
    box.bundle.mount("/src", "bind", source, "bind")
    sleeping(box, cow="/src")
    within(box, "rm /src/sub/old; echo new >/src/sub/new")
    assert sorted(trees.tree(str(source))) == ["/", "/stays", "/sub", "/sub/old"]
    refused = box.command("commit", "--layer", "/src", "ID", source, status=1).stderr
    assert "stop it first" in refused
    box.kill("KILL")
    box.until_stopped()
    box.command("commit", "--layer", "/src", "ID", source)
    assert sorted(trees.tree(str(source))) == ["/", "/stays", "/sub", "/sub/new"]
    assert listed(box) == []


def test_all_layers_of_a_container_make_one_image_layer(box: Box, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "input").write_text("input")
    box.bundle.mount("/srv/src", "bind", source, "bind")
    stopped(
        box,
        "touch /new /work/result; rm /srv/src/input",
        rootfs="ephemeral", workspace="/work", cow="/srv/src",
    )  # fmt: skip
    assert listed(box) == ["A /new", "D /srv/src/input", "A /work/result"]
    box.command("commit", "ID", tmp_path / "layer.tar")
    with tarfile.open(tmp_path / "layer.tar") as opened:
        assert opened.getnames() == ["new", "srv/src", "srv/src/.wh.input", "work", "work/result"]
    box.command("commit", "--layer", "/work", "ID", f"{tmp_path}/kept/")
    assert os.listdir(tmp_path / "kept") == ["result"]


def test_ids_of_a_user_namespace_are_the_containers_in_an_archive_and_the_hosts_in_a_directory(
    box: Box, tmp_path: Path
) -> None:
    in_user_namespace(box)
    stopped(box, "touch /here; rm -r /home; mkdir /home", rootfs="ephemeral")
    assert listed(box) == ["A /here", "D /home/user"]
    box.command("commit", "ID", tmp_path / "layer.tar")
    with tarfile.open(tmp_path / "layer.tar") as opened:
        assert (opened.getmember("here").uid, opened.getmember("here").gid) == (0, 0)
        assert "home/.wh..wh..opq" in opened.getnames()
    box.command("commit", "ID", f"{tmp_path}/kept/")
    found = (tmp_path / "kept/here").stat()
    assert (found.st_uid, found.st_gid) == (FIRST_UID, FIRST_GID)


def test_a_read_only_rootfs_has_nothing_but_mount_points_in_its_layer(box: Box) -> None:
    os.rmdir(box.bundle.rootfs / "proc")
    box.bundle.edit(root__readonly=True)
    stopped(box, "touch /here", rootfs="ephemeral")
    assert listed(box) == []


def test_a_container_without_layers_is_told_what_gives_it_some(box: Box, tmp_path: Path) -> None:
    box.bundle.args("/bin/true")
    box.started().until_stopped()
    said = box.command("diff", "ID", status=1).stderr
    assert "has no private layers" in said
    assert "--ephemeral-rootfs" in said
    assert "has no private layers" in box.command("commit", "ID", tmp_path / "layer.tar", status=1).stderr
    assert "DEST: must not be empty" in box.command("commit", "ID", "", status=1).stderr
    assert not (tmp_path / "layer.tar").exists()


def test_names_that_would_fool_a_terminal_or_an_archive_are_told_and_kept_out(box: Box, tmp_path: Path) -> None:
    stopped(box, "touch /.wh.etc \"$(printf '/new\\nline')\" \"$(printf '/\\377')\"", rootfs="ephemeral")
    assert len(listed(box)) == 3
    result = box.command("commit", "ID", tmp_path / "layer.tar")
    assert "/.wh.etc: left out" in result.stderr
    with tarfile.open(tmp_path / "layer.tar") as opened:
        assert sorted(map(os.fsencode, opened.getnames())) == [b"new\nline", b"\xff"]


def test_deletion_discards_the_layers(box: Box) -> None:
    stopped(box, "echo data >/here", rootfs="ephemeral", workspace="/work")
    assert len(layer_mounts(box)) == 2
    box.delete()
    box.nothing_left()
    assert not Path(box.bundle.rootfs, "here").exists()
