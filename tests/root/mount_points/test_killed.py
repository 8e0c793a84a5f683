"""Creations that were killed between the note of a mount point and its end: what was made goes, what is somebody else's
stays."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pyrunc.plan.ops import Op
from pyrunc.runtime.conversation import perform
from tests.root.box import contents, until
from tests.root.isolated import FIRST_UID, in_user_namespace, isolate, left
from tests.support.command import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")


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


@pytest.mark.parametrize(("seconds", "stays"), [(0, False), (10, True)])
def test_what_was_made_long_after_the_note_is_somebody_elses(host: Path, seconds: int, stays: bool) -> None:
    (host / "made").mkdir()
    noted = time.time_ns() - seconds * 10**9
    perform([Op("remove", (str(host), "made", stat.S_IFDIR | 0o755, 0, 0, 0, 0, noted), "")], pytest.fail)
    assert (host / "made").exists() == stays


#: Create a container, and be killed when a mount point has been noted; somebody makes an object there before.
KILLED = """
import os, signal, sys
import pyrunc
from pyrunc.runtime.mount_points import Noted

root, id, bundle, mode, owner = sys.argv[1:]
before = Noted.before

def noted(self, slot, path, *rest):
    before(self, slot, path, *rest)
    made = os.path.join(self.made[-1][0], path)
    os.umask(0)
    os.mkdir(made, int(mode, 8))
    os.chown(made, int(owner), int(owner))
    os.kill(os.getpid(), signal.SIGKILL)

Noted.before = noted
pyrunc.Container.create(id, bundle, root=root)
"""


@pytest.mark.parametrize("namespace", ["the host's", "a user"])
@pytest.mark.parametrize(
    ("mode", "owner", "stays"), [("755", "same", False), ("700", "same", True), ("755", "other", True)]
)
def test_what_somebody_made_there_meanwhile_stays_unless_it_is_the_very_same(
    box: Box, host: Path, mode: str, owner: str, stays: bool, namespace: str
) -> None:
    ids = {"same": "0", "other": "1234"}
    if namespace == "a user":
        in_user_namespace(box)
        ids["same"] = str(FIRST_UID)
        box.bundle.edit(linux__gidMappings=[{"containerID": 0, "hostID": FIRST_UID, "size": 65536}])
        run("chgrp", "-hR", str(FIRST_UID), box.bundle.rootfs)
    box.bundle.mount("/data", "bind", host, "bind")
    command = [sys.executable, "-c", KILLED, str(box.root), box.id, str(box.bundle.path), mode, ids[owner]]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert (box.bundle.rootfs / "data").is_dir()
    box.delete("--force")
    assert (box.bundle.rootfs / "data").exists() == stays
    box.nothing_left()
