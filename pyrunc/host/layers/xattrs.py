"""Extended attributes of an object, those excepted that belong to a file system or to the host and not to the object.

There is no call that takes a directory's descriptor and a name, so ``/proc/self/fd`` stands for the descriptor: that
link of the kernel's leads to the very object, and nothing behind it is followed.
"""

from __future__ import annotations

import errno
import os

from pyrunc.errors import HostError

#: overlayfs' own notes (overlayfs.rst): what they say is about that overlay.
OVERLAY = ("trusted.overlay.", "user.overlay.")

#: The label is the host's policy's, and the other one a signature with this host's key over this very inode.
HOST = ("security.selinux", "security.evm")

_NO_ROOM = frozenset({errno.ENOSPC, errno.E2BIG, errno.ERANGE, errno.EDQUOT})

#: Bytes of names and values of one object.
LIMIT = 1 << 20


def at(directory: int, name: str = ".") -> str:
    """A path to ``name`` in an open directory, for calls that do not follow its last component."""
    return f"/proc/self/fd/{directory}/{name}"


def of(fd: int) -> str:
    """A path to the object that is open, for calls that do follow it."""
    return f"/proc/self/fd/{fd}"


def read(path: str, *, follow: bool = False) -> dict[str, bytes] | None:
    """All of them; None when there are more than anybody can list (64 KiB of names, xattr(7)), or than ``LIMIT``."""
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.E2BIG:
            return None
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    found = {}
    size = 0
    for name in names:
        if _own(name):
            value = _get(path, name, follow=follow)
            if value is not None:
                found[name] = value
                size += len(name) + len(value)
                if size > LIMIT:
                    return None
    return found


def write(path: str, wanted: dict[str, bytes]) -> list[str]:
    """Give the object these and no others: a new one may have got some from its directory (acl(5)).

    ``path`` is followed: it is that of a descriptor.  Returns those for which the file system has no room, as many have
    a block or two for those of an object: the container has chosen their size.
    """
    for name in read(path, follow=True) or ():
        if name not in wanted:
            os.removexattr(path, name)
    refused = []
    for name in sorted(wanted):
        try:
            os.setxattr(path, name, wanted[name])
        except OSError as error:
            if error.errno in _NO_ROOM:
                refused.append(name)
                continue
            raise HostError(
                f"extended attribute {name}: {os.strerror(error.errno or 0).lower()}",
                hint="the file system may have none of its kind, or keep it for root",
            ) from None
    return refused


def opaque(directory: int, *, userxattr: bool) -> bool:
    """Whether overlayfs shows nothing of the lower directory through this one, which is not the root of the layer.

    It keeps its notes under user.* when it was mounted with ``userxattr``, and under trusted.* else; what a container
    writes through it under the same prefix gets another name or is refused, the other prefix is anybody's.
    """
    prefix = "user" if userxattr else "trusted"
    return _get(at(directory), f"{prefix}.overlay.opaque") == b"y"


def _own(name: str) -> bool:
    return not name.startswith(OVERLAY) and name not in HOST


def _get(path: str, name: str, *, follow: bool = False) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise
