"""A bundle on disk: config.json and a rootfs that holds the probe, and empty directories to mount on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from conformance import probe
from conformance.config import PROBE

if TYPE_CHECKING:
    from conformance.config import Config
    from conformance.evidence import Evidence

#: Directories of the rootfs -> their mode.
SKELETON = {"proc": 0o755, "dev": 0o755, "sys": 0o755, "etc": 0o755, "mnt": 0o755, "tmp": 0o1777}


class Bundle:
    """``config`` may be changed until ``write``; ``rootfs`` whenever."""

    def __init__(self, path: Path, config: Config, evidence: Evidence) -> None:
        self.path = path
        self.config = config
        self.evidence = evidence
        self.rootfs = path / "rootfs"
        self.written: dict[str, str] = {}
        path.mkdir()
        path.chmod(0o755)
        fill(self.rootfs)

    def write(self) -> None:
        """Make config.json of ``config`` as it is now."""
        self.write_text(json.dumps(self.config, indent=1))
        self.evidence.config(str(self.path), self.config)

    def write_text(self, text: str) -> None:
        """Make config.json of a text, which need not be JSON."""
        (self.path / "config.json").write_text(text)
        self.written = self.snapshot()

    def snapshot(self) -> dict[str, str]:
        """What is in the bundle beside the rootfs, which belongs to the container: name -> what it is."""
        found = {}
        for entry in sorted(self.path.iterdir()):
            if entry == self.rootfs:
                continue
            content = hashlib.sha256(entry.read_bytes()).hexdigest() if entry.is_file() else ""
            found[entry.name] = f"{entry.lstat().st_mode:o} {entry.lstat().st_uid} {content}"
        return found

    def changes(self) -> list[str]:
        """The names of what is not as ``write`` left it."""
        now = self.snapshot()
        return sorted(name for name in now.keys() | self.written.keys() if now.get(name) != self.written.get(name))


def fill(rootfs: Path) -> None:
    """Make the rootfs: what it needs is linked from the cache where that is on the same file system."""
    rootfs.mkdir()
    rootfs.chmod(0o755)
    for name, mode in SKELETON.items():
        (rootfs / name).mkdir()
        (rootfs / name).chmod(mode)
    place_probe(rootfs / PROBE.lstrip("/"))


def place_probe(target: Path, *, own: bool = False) -> None:
    """A probe at ``target``; ``own`` for one that the container may spoil or be given."""
    source = probe.path()
    if not own:
        try:
            os.link(source, target)
        except OSError:
            own = True  # another file system, or fs.protected_hardlinks
    if own:
        shutil.copyfile(source, target)
        target.chmod(0o755)


def tree(folder: Path, without: tuple[Path, ...] = ()) -> dict[str, str]:
    """Everything below a directory, symlinks as such: path -> mode, owner, size or target, and time of the last change.

    ``without`` are directories below which nobody looks.
    """
    found: dict[str, str] = {}
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(path, name) not in without]
        for name in [*folders, *files]:
            entry = os.path.join(path, name)
            seen = os.lstat(entry)
            target = os.readlink(entry) if os.path.islink(entry) else ""
            size = seen.st_size if not os.path.isdir(entry) else ""
            stamp = seen.st_mtime_ns if not os.path.isdir(entry) else ""
            found[os.path.relpath(entry, folder)] = (
                f"{seen.st_mode:o} {seen.st_uid}:{seen.st_gid} {size} {stamp} {target}"
            )
    return found
