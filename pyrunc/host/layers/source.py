"""How the directories of a layer are reached: its own objects, and those that show through."""

from __future__ import annotations

import errno
import os

from pyrunc.errors import StateError
from pyrunc.host.layers.place import failed
from pyrunc.host.layers.trail import DIRECTORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.plan.facts import Layer

_OPEN_TREE = 428  # the same on all architectures but alpha
_OPEN_TREE_CLONE = 1
_AT_FDCWD = -100


def open_layer(layer: Layer, mount: int = -1) -> int:
    """The directory with what the container has written: the upper directory of an overlay, or the workspace.

    ``mount`` is a descriptor of the layer, -1: it is looked up on the host.  StateError when it is not mounted there:
    then its directory belongs to the file system of the state.
    """
    path = layer["path"]
    inner = "upper" if layer["lower"] else "."
    try:
        if mount >= 0:
            return os.open(inner, DIRECTORY, dir_fd=mount)
        fd = os.open(path, DIRECTORY)
        try:
            if os.fstat(fd).st_dev == os.stat(os.path.dirname(path)).st_dev:
                raise _unreachable(layer)
            return os.open(inner, DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
    except FileNotFoundError:
        raise _unreachable(layer) from None
    except OSError as error:
        raise failed(error, path) from None


def _unreachable(layer: Layer) -> StateError:
    return StateError(
        f"what the container has written below {layer['destination']} cannot be reached",
        hint="without privilege it lives in the container's own mount namespace and ends with it; with it, "
        "until the machine restarts",
    )


def open_lower(layer: Layer) -> int | None:
    """The directory that shows through, without what is mounted below it; None below a workspace."""
    path = layer["lower"]
    if not path:
        return None
    try:
        tree = _clone(path)
        try:
            return _checked(os.open(".", DIRECTORY, dir_fd=tree), layer)
        finally:
            os.close(tree)
    except OSError as error:
        raise failed(error, path) from None


def _checked(fd: int, layer: Layer) -> int:
    """Whoever may rename directories on the way decides what is at the path by now."""
    now = os.fstat(fd)
    known = layer.get("lower_id")  # not in a state that an older version has written
    if known and known != [now.st_dev, now.st_ino]:
        os.close(fd)
        raise StateError(
            f"{layer['lower']} is not the directory that shows through at {layer['destination']} any more",
            hint="what the container has changed can be told by that directory alone: put it back",
        )
    return fd


def _clone(path: str) -> int:
    """The mount at ``path`` alone, as overlayfs has taken it: what is mounted below does not show through.

    That takes a privilege.  Without it the directory is taken as it is, with whatever root has mounted in it.
    """
    import ctypes

    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    fd: int = syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    if fd >= 0:
        return fd
    number = ctypes.get_errno()
    if number == errno.EPERM:
        return os.open(path, DIRECTORY & ~os.O_NOFOLLOW)
    raise OSError(number, os.strerror(number), path)
