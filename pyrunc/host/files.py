"""The few questions about paths that ``os.path`` would answer, on the system calls themselves; and descriptors that no
interruption loses.

Modules on the lean path use ``posix`` where others use ``os``: importing ``os`` takes a fifth of what a bare
interpreter takes to start, most of it for abstract classes that nothing here needs.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from functools import partial
    from typing import TypeVar

    T = TypeVar("T")
else:
    from _functools import partial

_DIRECTORY = 0o040000
_TYPE = 0o170000


def exists(path: str) -> bool:
    """Whether ``path`` leads to anything; errors other than its absence are not hidden."""
    return _mode(path) != 0


def is_directory(path: str) -> bool:
    return _mode(path) & _TYPE == _DIRECTORY


def _mode(path: str) -> int:
    try:
        return posix.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def parent(path: str) -> str:
    """The directory that holds ``path``, an absolute path without a slash at its end."""
    return path.rpartition("/")[0] or "/"


def make_directories(path: str, mode: int) -> None:
    """Make ``path`` and what is missing above it, like mkdir -p; ``mode`` is for the last one."""
    try:
        posix.mkdir(path, mode)
        made = posix.stat(path).st_mode & 0o7777
        if made & 0o700 != 0o700:  # a umask that takes from the owner, who has to go on here
            posix.chmod(path, made | 0o700)
    except FileExistsError:
        if not is_directory(path):
            raise NotADirectoryError(20, posix.strerror(20), path) from None
    except FileNotFoundError:
        if is_directory(parent(path)):
            raise  # a file system where nobody makes any, such as procfs
        make_directories(parent(path), 0o777)
        make_directories(path, mode)


def real_path(path: str) -> str:
    """The path without symbolic links of something that exists."""
    fd = held(posix.open, path, posix.O_PATH | posix.O_CLOEXEC)
    try:
        return posix.readlink(f"/proc/self/fd/{fd}")
    finally:
        posix.close(fd)


def open_private(path: str) -> int:
    """A descriptor of a file of this user alone, made if there is none, whatever the umask; to be read and written."""
    fd = held(posix.open, path, posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NOFOLLOW, 0o600)
    try:
        posix.fchmod(fd, 0o600)
    except BaseException:
        posix.close(fd)
        raise
    return fd


def replace(path: str, data: bytes, mode: int, *, durable: bool = False, aside: str = "") -> None:
    """Write ``data`` to a new file and rename it to ``path``; nothing is left behind on failure.

    ``aside`` is the new file's path where nobody else can use that meanwhile: what one that was killed has left there
    is taken over then.
    """
    temporary = aside or f"{path}.{posix.getpid()}.tmp"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOFOLLOW
    fd = held(posix.open, temporary, flags, mode)
    try:
        try:
            posix.fchmod(fd, mode)
            view = memoryview(data)
            while view:
                view = view[posix.write(fd, view) :]
            if durable:
                posix.fsync(fd)
        finally:
            posix.close(fd)
        posix.rename(temporary, path)
    except BaseException:
        unlink(temporary)
        raise


def unlink(path: str) -> None:
    """Remove a file, if there is one."""
    try:
        posix.unlink(path)
    except FileNotFoundError:
        return


def held(call: Callable[..., T], *arguments: object, **named: object) -> T:
    """What ``call`` returns, a descriptor say, for ``fd = held(posix.open, …)`` with a ``try`` on the next line.

    CPython lets handlers of signals run when a function of C has returned, before the result has a name: an exception
    of theirs loses it.  It does not between the steps of an iteration in C, nor where a function of Python returns,
    unless that was called with ``*`` or ``**``.
    """
    (result,) = map(partial(call, **named), *zip(arguments))
    return result


def close(descriptors: list[int]) -> None:
    """Close the last one first, and empty the list; interrupted, it is to be repeated."""
    while descriptors:
        fd = descriptors[-1]
        del descriptors[-1]  # not pop: see ``held``
        posix.close(fd)
