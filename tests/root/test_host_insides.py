"""What a checkpoint sees of a running container: its mounts, where its symlinks lead, what its descriptors are."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyrunc.host import insides

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root")


def test_mounts_are_told_by_their_place(new_box: Callable[..., Box], tmp_path: Path) -> None:
    box = new_box("/bin/sleep", "1000")
    (tmp_path / "a b").mkdir()
    box.bundle.mount("/da ta", "bind", tmp_path / "a b", "bind")
    found = insides.mounts(box.started().state()["pid"])
    device = os.stat(tmp_path).st_dev
    assert found["/da ta"][0] == f"{os.major(device)}:{os.minor(device)}"
    assert found["/da ta"][1].endswith("/a b")
    assert found["/proc"][2] == "proc"
    box.delete("--force")


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/link/name", "/there/name"),
        ("/up/name", "/there/name"),
        ("/round/name", "/round/name"),
        ("/there/../link", "/there"),
        ("/not/here", "/not/here"),
    ],
)
def test_symlinks_lead_to_places_in_the_container(path: str, real: str, new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    rootfs = box.bundle.path / "rootfs"
    (rootfs / "there").mkdir()
    (rootfs / "link").symlink_to("/there")
    (rootfs / "up").symlink_to("../../../there")
    (rootfs / "round").symlink_to("round")
    assert insides.real(box.started().state()["pid"], path) == real
    box.delete("--force")


def test_descriptors_that_lead_outside_have_the_names_that_criu_gives_them(
    new_box: Callable[..., Box], tmp_path: Path
) -> None:
    box = new_box("/bin/sleep", "1000")
    master, slave = pty.openpty()
    read, write = os.pipe()
    words = (str(box.runtime), "--root", str(box.root), "run", "--detach", "--bundle", str(box.bundle.path), box.id)
    with (tmp_path / "out").open("wb") as out:
        subprocess.run(words, stdin=slave, stdout=out, stderr=write, check=True)
        names = insides.descriptors(box.state()["pid"])
        about, terminal = os.fstat(out.fileno()), os.fstat(slave)
        assert names[0] == f"tty[{terminal.st_rdev:x}:{terminal.st_dev:x}]"
        assert names[1].startswith("file[")
        assert names[1].endswith(f":{about.st_ino:x}]")
        assert names[2] == f"pipe:[{os.fstat(write).st_ino}]"
    for fd in (master, slave, read, write):
        os.close(fd)
    box.delete("--force")
