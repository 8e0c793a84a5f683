"""rm -r of a name in an open directory: never through a symlink, never into another file system, however deep."""

from __future__ import annotations

import os
import stat

from pyrunc.errors import HostError
from pyrunc.host.layers.trail import Trail


def remove(directory: int, name: str) -> None:
    """Remove ``name`` and, of a directory, all that is in it; an absent one is fine."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=directory)
        return
    with Trail(os.dup(directory)) as trail:
        _remove_directory(trail, name)


def _remove_directory(trail: Trail, name: str) -> None:
    device = os.fstat(trail.fd).st_dev
    way = [(name, _enter(trail, name, device))]
    while way:
        name, directories = way[-1]
        if directories:
            inner = directories.pop()
            way.append((inner, _enter(trail, inner, device)))
        else:
            trail.leave()
            os.rmdir(name, dir_fd=trail.fd)
            way.pop()


def _enter(trail: Trail, name: str, device: int) -> list[str]:
    """Go down, remove what is no directory, and return the names of those that are."""
    if trail.enter(name)[0] != device:
        raise HostError(f"another file system is mounted at {name}: nothing of it is removed")
    with os.scandir(trail.fd) as entries:
        found = list(entries)
    for entry in found:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=trail.fd)
    return [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
