"""Mounts, volumes and the rootfs under podman, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import sh

if TYPE_CHECKING:
    from pathlib import Path

    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")


def test_the_default_profile_shows_the_same_container(podman: Podman) -> None:
    seen = podman.looks_same()
    assert seen.status("Seccomp") == "2"
    assert "/proc/acpi" in " ".join(seen.sections["mountinfo"])
    assert seen.sections["hostname"] == ["box"]


def test_a_directory_is_a_volume(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host\n")
    seen = podman.looks_same("-v", f"{tmp_path}:/srv/data")
    assert f"root={tmp_path}" in seen.mount("/srv/data")


def test_a_single_file_is_a_volume(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host\n")
    podman.looks_same("-v", f"{tmp_path}/file:/etc/new-file")
    podman.same("-v", f"{tmp_path}/file:/etc/new-file", *sh("cat /etc/new-file >&2; echo inside >>/etc/new-file"))
    assert (tmp_path / "file").read_text() == "from the host\ninside\ninside\n"


@pytest.mark.parametrize(
    "options", ["ro", "z", "Z", "ro,z", "rw,nosuid,nodev,noexec", "rprivate", "rslave", "nocopy,U"]
)
def test_volume_options_reach_the_mount(podman: Podman, tmp_path: Path, options: str) -> None:
    seen = podman.looks_same("-v", f"{tmp_path}:/srv/data:{options}")
    assert ("ro," in seen.mount("/srv/data")) == options.startswith("ro")


def test_a_read_only_volume_cannot_be_written(podman: Podman, tmp_path: Path) -> None:
    seen = podman.same("-v", f"{tmp_path}:/srv/data:ro", *sh("touch /srv/data/x 2>&1"))
    assert (seen.code, "Read-only file system" in seen.out) == (1, True)
    assert os.listdir(tmp_path) == []


def test_volumes_may_lie_in_one_another_in_any_order(podman: Podman, tmp_path: Path) -> None:
    for name in ("outer", "inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"in-{name}").touch()
    volumes = ["-v", f"{tmp_path}/inner:/data/deep/inner", "-v", f"{tmp_path}/outer:/data"]
    podman.looks_same(*volumes)
    assert "in-inner" in podman.same(*volumes, *sh("ls -R /data")).out


def test_a_volume_over_a_symlink_stays_inside(podman: Podman, tmp_path: Path) -> None:
    seen = podman.same("-v", f"{tmp_path}:/bin/sh.d", *sh("grep sh.d /proc/self/mountinfo | wc -l"))
    assert seen.out == "1\n"


def test_a_read_only_rootfs(podman: Podman) -> None:
    seen = podman.looks_same("--read-only")
    assert " ro,relatime " in seen.mount("/")
    assert "/" not in seen.sections["writable"]


def test_a_tmpfs_on_tmp(podman: Podman) -> None:
    seen = podman.looks_same("--tmpfs", "/tmp")
    assert " tmpfs " in seen.mount("/tmp")
    assert "/tmp directory 1777 0:0" in seen.sections["files"]


@pytest.mark.parametrize("options", ["size=8m", "size=1m,mode=700", "ro", "noexec,nosuid,nodev,mode=1770"])
def test_a_tmpfs_with_options(podman: Podman, options: str) -> None:
    podman.looks_same("--tmpfs", f"/tmp:{options}")


def test_a_tmpfs_copies_what_it_covers(podman: Podman) -> None:
    podman.looks_same("--tmpfs", "/srv:rw")
    assert "bad-format" in podman.same("--tmpfs", "/srv:rw", *sh("cd /srv && stat -c '%A %u:%g %s %n' *")).out


@pytest.mark.parametrize(
    "mount",
    [
        "type=bind,src={dir},dst=/m",
        "type=bind,src={dir},dst=/m,ro=true",
        "type=bind,src={dir},dst=/m,bind-propagation=rshared",
        "type=bind,src={dir}/file,dst=/etc/m",
        "type=tmpfs,dst=/m,tmpfs-size=4m,tmpfs-mode=1770",
        "type=tmpfs,dst=/m,notmpcopyup",
        "type=devpts,dst=/m",
        "type=volume,dst=/m",
        "type=image,src=localhost/probe:latest,dst=/m",
    ],
)
def test_each_type_of_mount(podman: Podman, tmp_path: Path, mount: str) -> None:
    (tmp_path / "file").touch()
    seen = podman.looks_same("--mount", mount.format(dir=tmp_path))
    assert seen.mount("/etc/m" if "/etc/m" in mount else "/m")


def test_the_size_of_dev_shm(podman: Podman) -> None:
    assert "size=3072k" in podman.looks_same("--shm-size", "3m").mount("/dev/shm")
