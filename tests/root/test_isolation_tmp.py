"""io.pyrunc.tmp: a /tmp that no other container, and nothing on the host, has to do with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.root.box import contents
from tests.root.isolated import in_user_namespace, isolate, shell, sleeping, snapshot, within

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box
    from tests.support.canary import Canary

pytestmark = pytest.mark.needs("root", "busybox", "static")

MOUNT = "grep ' /tmp ' /proc/self/mountinfo"


def test_it_is_an_empty_tmpfs_for_all_users_and_for_no_devices(box: Box) -> None:
    (box.bundle.rootfs / "tmp/of-the-image").write_text("")
    said = shell(isolate(box, tmp="private"), f"stat -c '%a %u %g' /tmp; ls -A /tmp; {MOUNT}").splitlines()
    assert said[0] == "1777 0 0"
    fields = said[1].split()
    assert fields[5].split(",")[:3] == ["rw", "nosuid", "nodev"]
    assert fields[6] == "-", "neither a peer nor a slave of another mount"
    assert fields[7] == "tmpfs"
    assert len(said) == 2
    box.nothing_left()


def test_any_user_may_write_to_it(box: Box) -> None:
    box.bundle.edit(process__user={"uid": 1000, "gid": 1000}, process__capabilities=None)
    assert shell(isolate(box, tmp="private"), "echo mine >/tmp/a; cat /tmp/a") == "mine\n"


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_its_mode_is_whatever_the_umask_not(box: Box, umask: int) -> None:
    (box.bundle.rootfs / "tmp").rmdir()
    box.bundle.args("/bin/stat", "-c", "%a", "/tmp")
    isolate(box, tmp="private")
    old = os.umask(umask)
    try:
        box.create()
    finally:
        os.umask(old)
    box.start()
    box.until_output("1777\n")
    box.delete("--force")


def test_what_does_not_fit_is_no_space_left(box: Box) -> None:
    isolate(box, tmp="private,size=1m")
    said = shell(box, "dd if=/dev/zero of=/tmp/a bs=1k count=1024 2>&1; echo x >>/tmp/a; echo $?; wc -c </tmp/a")
    assert said.splitlines()[-2:] == ["1", str(1 << 20)]


def test_two_containers_of_one_rootfs_have_nothing_in_common(box: Box, new_box: Callable[..., Box]) -> None:
    other = new_box()
    other.bundle = box.bundle
    sleeping(box, tmp="private")
    sleeping(other, tmp="private")
    within(box, "echo secret >/tmp/a")
    assert within(other, "ls -A /tmp; echo other >/tmp/a") == ""
    assert within(box, "cat /tmp/a") == "secret\n"
    assert os.listdir(box.bundle.rootfs / "tmp") == []


def test_the_next_start_finds_it_empty(box: Box) -> None:
    isolate(box, tmp="private")
    for _ in range(2):
        assert shell(box, "ls -A /tmp; echo >/tmp/a") == ""


# What the rootfs has at /tmp


def test_what_the_image_has_there_is_hidden_and_stays(box: Box) -> None:
    (box.bundle.rootfs / "tmp/a").write_text("of the image")
    (box.bundle.rootfs / "tmp").chmod(0o700)
    before = snapshot(box.bundle.rootfs)
    assert shell(isolate(box, tmp="private"), "ls -A /tmp; echo new >/tmp/a; stat -c %a /tmp") == "1777\n"
    assert snapshot(box.bundle.rootfs) == before


@pytest.mark.parametrize("read_only", [False, True])
def test_where_there_is_none_it_is_made_and_removed(box: Box, read_only: bool) -> None:
    (box.bundle.rootfs / "tmp").rmdir()
    box.bundle.edit(root__readonly=read_only)
    before = contents(box.bundle.rootfs)
    assert shell(isolate(box, tmp="private"), "touch /tmp/a; ls /tmp") == "a\n"
    assert contents(box.bundle.rootfs) == before


@pytest.mark.parametrize("link", ["/var/tmp", "var/tmp", "../../var/tmp"])
def test_a_symlink_leads_to_a_directory_of_the_image(box: Box, link: str) -> None:
    (box.bundle.rootfs / "tmp").rmdir()
    (box.bundle.rootfs / "tmp").symlink_to(link)
    before = snapshot(box.bundle.rootfs)
    said = shell(isolate(box, tmp="private"), "touch /tmp/a; ls /var/tmp; stat -c %a /tmp/.; readlink /tmp")
    assert said == f"a\n1777\n{link}\n"
    assert snapshot(box.bundle.rootfs) == before


@pytest.mark.parametrize("link", ["/no/such/place", "../../../../no/such/place"])
def test_a_symlink_to_nothing_leads_to_what_is_made_for_it(box: Box, link: str) -> None:
    (box.bundle.rootfs / "tmp").rmdir()
    (box.bundle.rootfs / "tmp").symlink_to(link)
    before = contents(box.bundle.rootfs)
    assert shell(isolate(box, tmp="private"), "touch /tmp/a; ls /no/such/place") == "a\n"
    assert contents(box.bundle.rootfs) == before


@pytest.mark.parametrize("link", ["{canary}/empty", "../../canary/empty", "/proc/1/root{canary}/empty"])
def test_a_symlink_to_the_host_does_not_lead_there(box: Box, canary: Canary, link: str) -> None:
    (box.bundle.rootfs / "tmp").rmdir()
    (box.bundle.rootfs / "tmp").symlink_to(link.format(canary=canary.path))
    isolate(box, tmp="private").bundle.args("/bin/touch", "/tmp/a")
    before = contents(box.bundle.rootfs)
    box.run(status=None)
    assert os.listdir(canary.path / "empty") == []
    assert contents(box.bundle.rootfs) == before
    box.nothing_left()


@pytest.mark.parametrize("link", ["/", ".", "../..", "var/.."])
def test_a_symlink_to_the_root_directory_is_refused(box: Box, link: str) -> None:
    (box.bundle.rootfs / "tmp").rmdir()
    (box.bundle.rootfs / "tmp").symlink_to(link)
    said = isolate(box, tmp="private").create_refused()
    assert 'annotations["io.pyrunc.tmp"]: /tmp: leads to the root directory (EBUSY)' in said


def test_a_loop_of_symlinks_is_refused(box: Box) -> None:
    (box.bundle.rootfs / "tmp").rmdir()
    (box.bundle.rootfs / "tmp").symlink_to("tmp")
    assert "symbolic link" in isolate(box, tmp="private").create_refused()


def test_a_file_in_its_place_is_refused(box: Box) -> None:
    (box.bundle.rootfs / "tmp").rmdir()
    (box.bundle.rootfs / "tmp").write_text("")
    said = isolate(box, tmp="private").create_refused()
    assert 'annotations["io.pyrunc.tmp"]: /tmp: exists and is not a directory' in said


# Beside what config.json mounts


def test_mounts_of_the_config_on_it_and_below_come_on_top_in_order(box: Box, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host/f").write_text("first\n")
    (tmp_path / "host2").write_text("second\n")
    box.bundle.mount("/tmp/a/b", "bind", tmp_path / "host", "bind").mount(
        "/tmp/a/b/f", "bind", tmp_path / "host2", "bind"
    )
    isolate(box, tmp="private")
    assert shell(box, "cat /tmp/a/b/f; touch /tmp/c; ls /tmp") == "second\na\nc\n"
    assert sorted(os.listdir(tmp_path / "host")) == ["f"]
    box.bundle.mount("/tmp", "tmpfs", "tmpfs", "mode=700")
    assert shell(box, "ls -A /tmp; stat -c %a /tmp") == "700\n"
    assert os.listdir(box.bundle.rootfs / "tmp") == []


def test_a_mount_through_a_symlink_in_the_image_is_on_top_of_it(box: Box, tmp_path: Path) -> None:
    (box.bundle.rootfs / "scratch").symlink_to("/tmp")
    (tmp_path / "host").write_text("from the host\n")
    box.bundle.mount("/scratch/a", "bind", tmp_path / "host", "bind")
    assert shell(isolate(box, tmp="private"), "cat /tmp/a") == "from the host\n"


@pytest.mark.parametrize("link", ["/data", "/data/below", "/dev/shm", "/proc/self"])
def test_a_symlink_to_where_the_config_mounts_something_is_refused(box: Box, tmp_path: Path, link: str) -> None:
    (tmp_path / "host/below").mkdir(parents=True)
    (box.bundle.rootfs / "tmp").rmdir()
    (box.bundle.rootfs / "tmp").symlink_to(link)
    box.bundle.mount("/data", "bind", tmp_path / "host", "bind").args("/bin/touch", "/tmp/mine")
    said = isolate(box, tmp="private").run(status=1).stderr
    assert said.startswith('pyrunc: annotations["io.pyrunc.tmp"]: /tmp is a symlink in the rootfs')
    assert os.listdir(tmp_path / "host/below") == []
    box.nothing_left()


def test_in_a_user_namespace_it_belongs_to_root_inside(box: Box) -> None:
    in_user_namespace(isolate(box, tmp="private,size=1m"))
    assert shell(box, "stat -c '%a %u %g' /tmp; touch /tmp/a; stat -c %u /tmp/a") == "1777 0 0\n0\n"
    box.nothing_left()


# Flags


def test_the_flag_gives_it_to_every_container(box: Box) -> None:
    assert shell(box, f"stat -c %a /tmp; {MOUNT}", flags=("--private-tmp=size=1m",)).endswith(
        "size=1024k,nr_inodes=1024\n"
    )


def test_an_annotation_is_stronger_than_the_flag(box: Box) -> None:
    isolate(box, tmp="private,size=2m")
    assert shell(box, MOUNT, flags=("--private-tmp=size=1m",)).endswith("size=2048k,nr_inodes=1024\n")


def test_a_plan_names_who_has_asked_for_it(box: Box) -> None:
    with_flag = box.command("plan", "--bundle", box.bundle, flags=("--private-tmp",)).stdout
    asked = [line.split()[2] for line in with_flag.splitlines() if line.endswith("# --private-tmp")]
    assert asked == ["target", "fsmount", "attach", "expect_mount"]
    with_annotation = isolate(box, tmp="private").command("plan", "--bundle", box.bundle).stdout
    assert with_annotation == with_flag.replace("# --private-tmp", '# annotations["io.pyrunc.tmp"]')


def test_a_container_that_is_merely_created_has_it_already(box: Box) -> None:
    isolate(box, tmp="private").create()
    pid = box.state()["pid"]
    assert oct(os.stat(f"/proc/{pid}/root/tmp").st_mode) == "0o41777"
    box.delete()
    box.nothing_left()
