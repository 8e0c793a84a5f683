"""umount2(2), which CPython does not have, without a process of its own for it."""

from __future__ import annotations

_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8

_address: int | None = None


def detach(path: str) -> bool:
    """Detach the mount at ``path`` from the mount namespace of this program; False when the kernel refuses.

    Why it does is for whoever asks it again in a way that tells.  The C module ``_ctypes`` can call libc without the
    package around it.
    """
    global _address
    import _ctypes

    if _address is None:
        program = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # NULL is this program
        _address = _ctypes.dlsym(program, "umount2")
    flags = _MNT_DETACH | _UMOUNT_NOFOLLOW
    result: int = _ctypes.call_function(_address, (path.encode("utf-8", "surrogateescape"), flags))
    return result == 0
