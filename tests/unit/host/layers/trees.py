"""Trees as plain values: what is in one, how two differ; and an image layer extracted over one, the plain way."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: type and mode, owner, group, time, what it is or holds, extended attributes
Look = tuple[int, int, int, int, object, tuple[tuple[str, bytes], ...]]


def look(path: str) -> Look:
    """Everything about an object that a commit must bring along; a directory's time is 0."""
    found = os.lstat(path)
    content: object = None
    time = found.st_mtime_ns
    if stat.S_ISREG(found.st_mode):
        content = Path(path).read_bytes()
    elif stat.S_ISLNK(found.st_mode):
        content = os.readlink(path)
    elif stat.S_ISDIR(found.st_mode):
        time = 0
    else:
        content = found.st_rdev
    names = os.listxattr(path, follow_symlinks=False)
    attributes = tuple(
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(names)
        if not name.startswith(("trusted.overlay.", "user.overlay.", "security.selinux"))
    )
    return found.st_mode, found.st_uid, found.st_gid, time, content, attributes


def paths(root: str) -> Iterator[str]:
    """All paths of a tree, ``/`` for its root."""
    yield "/"
    for folder, directories, files in os.walk(root):
        for name in (*directories, *files):
            yield os.path.join(folder, name)[len(root) :]


def tree(root: str) -> dict[str, Look]:
    return {path: look(root + path) for path in paths(root)}


def links(root: str) -> set[tuple[str, str]]:
    """Pairs of paths that are one inode."""
    groups: dict[tuple[int, int], list[str]] = {}
    for path in paths(root):
        found = os.lstat(root + path)
        if not stat.S_ISDIR(found.st_mode):
            groups.setdefault((found.st_dev, found.st_ino), []).append(path)
    return {(one, other) for group in groups.values() for one in group for other in group if one < other}


def differences(before: dict[str, Look], after: dict[str, Look]) -> list[tuple[str, str]]:
    """(path, kind) as ``diff`` has to tell them: of what is deleted, the topmost alone."""
    found = [(path, "A" if path not in before else "C") for path in after if before.get(path) != after[path]]
    for path in before:
        parent = os.path.dirname(path)
        if path not in after and parent in after and stat.S_ISDIR(after[parent][0]):
            found.append((path, "D"))
    return sorted(found)


def copy(source: str, to: str) -> None:
    """A copy with everything, hard links too."""
    os.system(f"cp -a --preserve=all -- {source} {to}")  # paths are the tests' own


def remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def extract(archive: str, root: str) -> None:
    """Apply an image layer to ``root`` as layer.md has it: whiteouts first, they hide what was there before."""
    with tarfile.open(archive, errorlevel=2) as opened:
        members = opened.getmembers()
        names = [member.name for member in members]
        assert len(names) == len(set(names)), "an image layer must not have a path twice"
        for member in members:
            _hide(root, member.name)
        for member in members:
            if not os.path.basename(member.name).startswith(".wh."):
                _extract(opened, member, root)
        for member in reversed(members):
            if member.isdir():
                os.utime(os.path.join(root, member.name), ns=_times(member))


def _hide(root: str, name: str) -> None:
    folder, base = os.path.split(os.path.join(root, name))
    if base == ".wh..wh..opq":
        if os.path.isdir(folder):
            for inner in os.listdir(folder):
                remove(os.path.join(folder, inner))
    elif base.startswith(".wh."):
        remove(os.path.join(folder, base.removeprefix(".wh.")))


def _extract(opened: tarfile.TarFile, member: tarfile.TarInfo, root: str) -> None:
    path = os.path.join(root, member.name)
    if not (member.isdir() and os.path.isdir(path) and not os.path.islink(path)):
        remove(path)
        _make(opened, member, path, root)
    if member.islnk():
        return
    os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(path, member.mode)
    wanted = {
        key.removeprefix("SCHILY.xattr."): value.encode("utf-8", "surrogateescape")
        for key, value in member.pax_headers.items()
        if key.startswith("SCHILY.xattr.")
    }
    for name in set(os.listxattr(path, follow_symlinks=False)) - set(wanted):
        os.removexattr(path, name, follow_symlinks=False)
    for name, value in wanted.items():
        os.setxattr(path, name, value, follow_symlinks=False)
    os.utime(path, ns=_times(member), follow_symlinks=False)


def _make(opened: tarfile.TarFile, member: tarfile.TarInfo, path: str, root: str) -> None:
    if member.isdir():
        os.mkdir(path)
    elif member.issym():
        os.symlink(member.linkname, path)
    elif member.islnk():
        os.link(os.path.join(root, member.linkname), path, follow_symlinks=False)
    elif member.isfile():
        source = opened.extractfile(member)
        assert source is not None
        Path(path).write_bytes(source.read())
    else:
        kinds = {tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}
        os.mknod(path, kinds[member.type] | 0o600, os.makedev(member.devmajor, member.devminor))


def _times(member: tarfile.TarInfo) -> tuple[int, int]:
    """From the text: tarfile makes a floating point number of it, which is exact to a microsecond."""
    text = member.pax_headers.get("mtime", str(int(member.mtime)))
    whole, _, rest = text.partition(".")
    time = abs(int(whole)) * 1_000_000_000 + int(rest.ljust(9, "0"))
    time = -time if text.startswith("-") else time
    return time, time
