"""Mounts of the host's, for a test that needs a source with mounts in it; they end with the test (Workshop.held)."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.workshop import Workshop

# mount(2)
RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8
REMOUNT, NOSYMFOLLOW, NOATIME, NODIRATIME, BIND = 32, 256, 1024, 2048, 4096
REC, PRIVATE, SHARED, RELATIME, STRICTATIME = 1 << 14, 1 << 18, 1 << 20, 1 << 21, 1 << 24

_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: Path | str, target: Path, type: str = "none", flags: int = 0, data: str = "") -> None:
    """mount(2).  Raises OSError."""
    words = [os.fsencode(word) for word in (source, target, type)]
    if _libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data)):
        number = ctypes.get_errno()
        raise OSError(number, f"mount on {target}: {os.strerror(number)}")


def unmount(target: Path) -> None:
    """Take away what is mounted there and below.  Raises OSError."""
    if _libc.umount2(os.fsencode(target), _DETACH):
        number = ctypes.get_errno()
        raise OSError(number, f"umount of {target}: {os.strerror(number)}")


def hold(workshop: Workshop, source: Path | str, target: Path, type: str = "none", flags: int = 0) -> None:
    """Mount until the end of the test, private, so that nothing of it or in it reaches other tests."""
    mount(source, target, type, flags, "mode=755" if type == "tmpfs" else "")
    workshop.held.callback(unmount, target)
    mount("none", target, flags=PRIVATE)


class Tree:
    """A tmpfs with the file "note" and the directory "inner", on which another one is mounted, with a "note", too."""

    def __init__(self, workshop: Workshop, name: str = "tree", *, flags: int = 0, shared: bool = False) -> None:
        """``name`` is that of its directory in the workshop; ``flags`` are those of both mounts beside the default."""
        self.top = workshop.directory(name)
        self.inner = self.top / "inner"
        hold(workshop, "tmpfs", self.top, "tmpfs")
        self.inner.mkdir()
        mount("tmpfs", self.inner, "tmpfs", data="mode=755")
        for folder in (self.top, self.inner):
            (folder / "note").write_text("of the tree")
            if flags:
                mount("none", folder, flags=REMOUNT | BIND | flags)
        if shared:
            mount("none", self.top, flags=SHARED | REC)
