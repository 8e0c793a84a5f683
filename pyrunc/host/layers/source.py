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


#: statfs(2), f_type
_OVERLAYFS, _TMPFS = 0x794C7630, 0x01021994


def on_host(layer: Layer) -> bool:
    """Whether the layer is mounted at its path: else its directory belongs to the file system of the state."""
    path = layer["path"]
    try:
        return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except FileNotFoundError:
        return False
    except OSError as error:
        raise failed(error, path) from None


def open_layer(layer: Layer, mount: int = -1) -> int:
    """The directory with what the container has written: the upper directory of an overlay, or the workspace.

    ``mount`` is a descriptor of the layer, -1: it is looked up on the host.  StateError when it is not mounted there.
    """
    inner = "upper" if layer["lower"] else "."
    try:
        if mount >= 0:
            return os.open(inner, DIRECTORY, dir_fd=mount)
        if not on_host(layer):
            raise unreachable(layer)
        return os.open(f"{layer['path']}/{inner}", DIRECTORY)
    except FileNotFoundError:
        raise unreachable(layer) from None
    except OSError as error:
        raise failed(error, layer["path"]) from None


def unreachable(layer: Layer, status: str = "") -> StateError:
    return StateError(
        f"what the container has written below {layer['destination']} cannot be reached"
        + (status and f": it is {status}"),
        hint="without root it is gone when the container ends, and with root when the machine restarts",
    )


def check_view(mount: int, layer: Layer) -> None:
    """That this is what pyrunc mounted there, by its kind: a container that may mount can change that."""
    kind = _kind(mount)
    if kind != (_OVERLAYFS if layer["lower"] else _TMPFS):
        raise StateError(
            f"something else is mounted at {layer['destination']} by now (file system type {kind:#x})",
            hint="the container has covered or unmounted its private tree there",
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


def _kind(fd: int) -> int:
    """f_type of the file system, the first long of struct statfs."""
    import ctypes

    found = (ctypes.c_long * 32)()
    if ctypes.CDLL(None, use_errno=True).fstatfs(fd, found) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found[0]
