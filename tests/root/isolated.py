"""Containers with ``io.pyrunc`` annotations: how one is asked for and run, and what the host shows of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.root.test_exec import reachable
from tests.support import mount_table
from tests.support.canary import describe
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.root.box import Box

FIRST_UID, FIRST_GID = 100000, 200000

#: security.capability of version 2: CAP_NET_RAW, permitted and effective (capabilities(7)).
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
#: An access ACL: user::rw-, user:1000:r--, group::r--, mask::r--, other::--- (acl(5), the kernel's form of version 2)
ACL = bytes.fromhex(
    "02000000 0100 0600 ffffffff 0200 0400 e8030000 0400 0400 ffffffff 1000 0400 ffffffff 2000 0000 ffffffff"
)


def isolate(box: Box, **wishes: str) -> Box:
    """``isolate(box, tmp="private")``: the annotation io.pyrunc.tmp."""
    annotations = box.bundle.config.setdefault("annotations", {})
    annotations.update({f"io.pyrunc.{name}": value for name, value in wishes.items()})
    box.bundle.write()
    return box


def shell(box: Box, script: str, **keywords: Any) -> str:
    """Run the container with a shell script as its program; what that says on standard output."""
    box.bundle.args("/bin/sh", "-c", script)
    return box.run(**keywords).stdout


def sleeping(box: Box, **wishes: str) -> Box:
    """A running container with these annotations that does nothing."""
    box.bundle.args("/bin/sleep", "100000")
    return isolate(box, **wishes).started()


def within(box: Box, script: str, **keywords: Any) -> str:
    """What a shell in the running container says."""
    return box.exec("ID", "/bin/sh", "-c", script, **keywords).stdout


def in_user_namespace(box: Box) -> Box:
    """Give the container a user namespace, and its root user the rootfs."""
    ids = ((FIRST_UID, "uidMappings"), (FIRST_GID, "gidMappings"))
    maps: dict[str, Any] = {f"linux__{key}": [{"containerID": 0, "hostID": first, "size": 65536}] for first, key in ids}
    box.bundle.namespace("user").edit(**maps)
    run("chown", "-hR", f"{FIRST_UID}:{FIRST_GID}", box.bundle.rootfs)
    reachable(box.bundle.path)
    return box


def snapshot(path: Path) -> dict[str, str]:
    """Every entry of a tree and the tree itself: inode, links, mode, owner, times, contents, extended attributes."""
    entries = [path, *(Path(folder, name) for folder, *below in os.walk(path) for names in below for name in names)]
    return {str(entry.relative_to(path)): f"{describe(entry)} {attributes(entry)}" for entry in entries}


def attributes(path: Path) -> dict[str, bytes]:
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}


def layer_mounts(box: Box) -> list[str]:
    """Where layers of the container are mounted on the host."""
    return [line.split(" ")[4] for line in mount_table.lines() if f"/{box.id}/layers/" in line]


@contextlib.contextmanager
def mounted(*command: str | os.PathLike[str]) -> Iterator[Path]:
    """``mount COMMAND`` for a while; the mount point is the last word."""
    run("mount", *command)
    try:
        yield Path(command[-1])
    finally:
        run("umount", command[-1])


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
