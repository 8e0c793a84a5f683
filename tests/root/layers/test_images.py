"""A committed layer as container engines read it: on top of its rootfs, as an image of two layers."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.layered import Layered, call
from tests.support import mount_table
from tests.support.command import run
from tests.unit.host.layers import trees

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root", "overlay", "cap_mknod", "podman")


@pytest.fixture
def podman(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """podman with a storage of its own; the path of its runroot may have 50 characters."""
    with tempfile.TemporaryDirectory(prefix="pyrunc-test-") as folder:
        Path(folder, "containers.conf").write_text('[engine]\nlock_type = "file"\nevents_logger = "file"\n')
        monkeypatch.setenv("CONTAINERS_CONF", f"{folder}/containers.conf")
        storage = f"{folder}/storage"
        words = ("podman", "--root", storage, "--runroot", f"{folder}/run", "--storage-driver", "overlay")
        yield words
        run(*words, "image", "umount", "--all")
        run(*words, "rmi", "--all", "--force")
        for mount in (line.split(" ")[4] for line in mount_table.lines()):
            if mount.startswith(storage):
                call("umount", mount)


def layout(directory: Path, *layers: Path) -> None:
    """image-spec image-layout.md: an image of uncompressed layers."""
    (directory / "blobs/sha256").mkdir(parents=True)

    def blob(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (directory / "blobs/sha256" / digest).write_bytes(data)
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": f"sha256:{digest}",
            "size": len(data),
        }

    blobs = [blob(layer.read_bytes(), "layer.v1.tar") for layer in layers]
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in blobs]},
    }
    described = blob(json.dumps(config).encode(), "config.v1+json")
    manifest = blob(json.dumps({"schemaVersion": 2, "config": described, "layers": blobs}).encode(), "manifest.v1+json")
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def plain(found: dict[str, trees.Look]) -> dict[str, object]:
    """What engines keep: times of whole seconds, no trusted attributes, nothing of the root."""
    return {
        path: (
            *look[:3],
            look[3] // 10**9,
            look[4],
            tuple(pair for pair in look[5] if not pair[0].startswith("trusted")),
        )
        for path, look in found.items()
        if path != "/"
    }


def test_an_image_of_the_rootfs_and_the_layer_is_what_the_container_saw(
    tmp_path: Path, podman: tuple[str, ...]
) -> None:
    lower = tmp_path / "lower"
    for path in ("gone/sub", "again/sub", "kept/sub", "was-directory/sub"):
        (lower / path).mkdir(parents=True)
        (lower / path / "file").write_text(path)
    (lower / "was-file").write_text("file")
    (lower / "old").write_text("old")
    call("tar", "--xattrs", "-C", lower, "-cf", tmp_path / "base.tar", ".")
    with Layered(tmp_path) as box:
        merged = Path(box.overlay(lower))
        for path in ("gone", "again", "was-directory", "was-file", "kept/sub/file"):
            trees.remove(str(merged / path))
        (merged / "again").mkdir()
        (merged / "again/new").write_text("new")
        (merged / "was-directory").symlink_to("kept")
        (merged / "was-file").mkdir()
        (merged / ("long" * 40)).write_text("long")
        (merged / os.fsdecode(b"\xffbytes")).write_text("bytes")
        (merged / "ünder").symlink_to("ä" * 70)
        (merged / "also").hardlink_to(merged / "old")
        (merged / "capable").write_text("capable")
        os.setxattr(
            merged / "capable", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000")
        )
        os.setxattr(merged / "capable", "user.note", b"\0\xff")
        (merged / "capable").chmod(0o4755)
        os.chown(merged / "kept", 3_000_000, 5)
        os.mkfifo(merged / "fifo")
        os.mknod(merged / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.utime(merged / "old", ns=(0, 1_500_000_000_123_456_789))
        wanted = trees.tree(str(merged))
        box.commit(tmp_path / "layer.tar")
    layout(tmp_path / "image", tmp_path / "base.tar", tmp_path / "layer.tar")
    image = run(*podman, "pull", f"oci:{tmp_path}/image").stdout.strip()
    seen = run(*podman, "image", "mount", image).stdout.strip()
    assert plain(trees.tree(seen)) == plain(wanted)
    assert ("/also", "/old") in trees.links(seen)
