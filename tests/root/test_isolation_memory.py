"""What a container may write into private state that has no size: as much as its memory limit lets it have, for the
pages of a tmpfs are charged to whoever writes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.root.isolated import isolate, layer_mounts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static", "overlay", "memory")

MIB = 1 << 20
LIMIT = 32 * MIB


@pytest.fixture
def host(tmp_path: Path) -> Path:
    path = tmp_path / "host"
    path.mkdir()
    (path / "file").write_bytes(b"x")
    (path / "large").write_bytes(os.urandom(MIB) * 64)
    return path


def limited(box: Box) -> Box:
    box.bundle.edit(linux__resources={"memory": {"limit": LIMIT, "swap": LIMIT}})
    return box


def mount(box: Box, host: Path) -> None:
    box.bundle.mount("/in/directory", "bind", host, "rbind").mount("/in/file", "bind", host / "file", "bind")


def filled(box: Box, script: str, **wishes: str) -> list[int]:
    """Bytes in each layer of a container with the limit that has run ``script`` to its end."""
    box.bundle.args("/bin/sh", "-c", script)
    isolate(limited(box), **wishes).started().until_stopped()
    taken = [os.statvfs(path) for path in layer_mounts(box)]
    box.delete()
    box.nothing_left()
    return [(found.f_blocks - found.f_bfree) * found.f_bsize for found in taken]


def fill(*paths: str) -> str:
    return "; ".join(f"dd if=/dev/zero of={path} bs=64k count=2048" for path in paths)


@pytest.mark.parametrize(
    ("wishes", "path"),
    [
        ({"workspace": "/work"}, "/work/fill"),
        ({"rootfs": "ephemeral"}, "/etc/fill"),
        ({"cow": "/in/directory"}, "/in/directory/fill"),
        ({"cow": "/in/file"}, "/in/file"),
    ],
)
def test_what_is_written_counts_against_the_memory_limit(
    box: Box, host: Path, wishes: dict[str, str], path: str
) -> None:
    mount(box, host)
    (taken,) = filled(box, fill(path), **wishes)
    assert LIMIT // 2 < taken <= LIMIT
    assert sorted(os.listdir(host)) == ["file", "large"]
    assert (host / "file").stat().st_size == 1


def test_what_several_layers_take_counts_together(box: Box, host: Path) -> None:
    mount(box, host)
    wishes = {"cow": "/in/directory:/in/file", "workspace": "/work", "tmp": "private"}
    taken = filled(box, fill("/tmp/fill", "/in/directory/fill", "/in/file", "/work/fill"), **wishes)
    assert len(taken) == 3
    assert sum(taken) <= LIMIT


def test_so_do_empty_files(box: Box, host: Path) -> None:
    mount(box, host)
    script = "cd /in/directory; i=0; while : >$i; do i=$((i + 1)); done"
    filled(box, script, cow="/in/directory")


def test_a_copy_that_is_larger_than_the_limit_cannot_be_had(box: Box, host: Path) -> None:
    box.bundle.mount("/in/large", "bind", host / "large", "bind")
    done = isolate(limited(box), cow="/in/large").run(status=1)
    assert "was killed by signal 9 before it was ready (a memory limit may be too small for it)" in done.stderr
    box.nothing_left()
