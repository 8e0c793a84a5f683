"""What is made once and kept: folders below the user's cache directory, each named after the content that went in.

Only where artefacts lie, how one is made exactly once, and when old ones go.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How many artefacts of a kind are kept; a machine that runs holds its disks open, whether they have a name or not.
KEPT = 3


def folder() -> Path:
    """``$XDG_CACHE_HOME/pyrunc/vm``, made if it is missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base, "pyrunc", "vm")
    path.mkdir(parents=True, exist_ok=True)
    return path


def key(*parts: bytes | str) -> str:
    """A short name of a content."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def obtain(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``KIND-NAME``; if it is not there, ``make`` fills an empty one, which then gets that name.

    One caller makes, others wait.  What a caller that was killed has left half made is removed.
    """
    final = folder() / f"{kind}-{name}"
    with locked(kind):
        if final.is_dir():
            os.utime(final)
            return final
        for partial in folder().glob(f".{kind}-*"):
            shutil.rmtree(partial)
        partial = Path(tempfile.mkdtemp(dir=folder(), prefix=f".{kind}-"))
        try:
            make(partial)
            partial.rename(final)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        known = sorted(folder().glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)
        for old in known[:-KEPT]:
            shutil.rmtree(old)
    return final


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock NAME; it is freed when its holder dies."""
    with (folder() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
