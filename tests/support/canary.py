"""A tree outside a rootfs that nothing in a container may touch, and the proof that nothing did.

Every entry's inode, type, mode, owner, size, times and content are compared, and the mount table of the
test's own mount namespace.  ``ctime`` is part of it: a chmod that was taken back is a touch, too.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from tests.support import mount_table

#: Where the conformance suite mounts, which looks for residue itself; it may run at the same time.
CONFORMANCE = f"{tempfile.gettempdir()}/conformance-"


class Canary:
    """``path`` is a populated tree; ``check()`` fails with every difference since it was made or last
    reset."""

    def __init__(self, path: Path, *, ignore_mounts: tuple[str, ...] = ()) -> None:
        self.path = path
        self.ignored = ignore_mounts
        path.mkdir()
        (path / "secret").write_text("the host's own\n")
        (path / "secret").chmod(0o600)
        (path / "program").write_text("#!/bin/false\n")
        (path / "program").chmod(0o755)
        (path / "directory").mkdir()
        (path / "directory" / "below").write_text("below\n")
        (path / "empty").mkdir()
        (path / "link").symlink_to("secret")
        (path / "hard").hardlink_to(path / "secret")
        os.mkfifo(path / "fifo")
        self.reset()

    def reset(self) -> None:
        self.before = self._look()

    def check(self) -> None:
        """Fail unless everything is as it was."""
        after = self._look()
        differences = [
            f"{key}: {self.before.get(key, 'absent')} -> {after.get(key, 'absent')}"
            for key in sorted(self.before.keys() | after.keys())
            if self.before.get(key) != after.get(key)
        ]
        assert not differences, "the host has changed:\n" + "\n".join(differences)

    def _look(self) -> dict[str, str]:
        found = {f"file {path.relative_to(self.path)}": describe(path) for path in self.path.rglob("*")}
        found["file ."] = describe(self.path)
        return found | outer_mounts(self.ignored)


def describe(path: Path) -> str:
    """One line that changes when anything about the entry does, reading it excepted."""
    info = path.lstat()
    line = (
        f"inode={info.st_ino} mode={stat.filemode(info.st_mode)} owner={info.st_uid}:{info.st_gid} "
        f"links={info.st_nlink} size={info.st_size} mtime={info.st_mtime_ns} ctime={info.st_ctime_ns}"
    )
    if stat.S_ISLNK(info.st_mode):
        line += f" to={path.readlink()}"
    elif stat.S_ISREG(info.st_mode):
        line += f" sha256={hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    return line


def tree(path: Path) -> dict[str, str]:
    """``describe`` of every entry below ``path``, by relative path; for "bit for bit unchanged" tests."""
    return {str(entry.relative_to(path)): describe(entry) for entry in sorted(path.rglob("*"))}


def outer_mounts(ignored: tuple[str, ...] = ()) -> dict[str, str]:
    """The mount table of this mount namespace, without mounts whose path begins with one of ``ignored`` (of other
    tests, and of their engines)."""
    found = {}
    for line in mount_table.lines():
        fields = line.split(" ")
        point = fields[4]
        if not point.startswith((*ignored, CONFORMANCE)):
            found[f"mount {fields[0]} {point}"] = line
    return found
