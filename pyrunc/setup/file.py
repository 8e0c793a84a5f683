"""Reading and replacing configuration files: at once or not at all, with their owner, mode and attributes."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat

from pyrunc.errors import HostError

#: Longer than any configuration; what is longer is something else.
LIMIT = 16 << 20


def real(path: str, sysroot: str) -> str:
    """The file that ``path`` leads to, which need not exist.  A symbolic link is followed, since it is meant.

    Refused: one that leads nowhere, and with a ``sysroot`` one that leads out of it.
    """
    found = os.path.realpath(path)
    if sysroot and not found.startswith(os.path.realpath(sysroot).rstrip("/") + "/"):
        raise HostError(f"leads out of --sysroot to {found}", where=path, hint="name the file itself by --config")
    if os.path.islink(path) and not os.path.exists(path):
        raise HostError(f"is a symbolic link to {found}, which does not exist", where=path, hint="remove or mend it")
    return found


def read(path: str) -> str | None:
    """The text of a file, None where there is none."""
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise HostError("is no regular file", where=path)
            data = file.read(LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HostError(f"cannot read it: {_reason(error)}", where=path, hint=_hint(error)) from None
    if len(data) > LIMIT:
        raise HostError("is too long for a configuration file", where=path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise HostError(f"is not UTF-8: byte 0x{data[error.start]:02x}", where=f"{path}:{line}") from None


def replace(path: str, before: str | None, after: str, *, like: str = "") -> None:
    """Make ``after`` the text of a file that holds ``before``; None: that does not exist.

    A new file is readable by all, or has the owner and mode of the file ``like``.  Raises HostError, and leaves all as
    it was, where the file has changed in between.
    """
    directory = os.path.dirname(path)
    # CRI-O reads every file of a directory of drop-ins, whatever its name; no engine reads one of this name above it.
    place = os.path.dirname(directory) if directory.endswith(".d") else directory
    beside = f"{place}/.{os.path.basename(path)}.{secrets.token_hex(4)}.new"
    try:
        _make(directory)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(after.encode())
                file.flush()
                _adopt(fd, path if before is not None else like)
                os.fsync(fd)
            if read(path) != before:
                raise _changed(path)
            os.replace(beside, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):  # it has its name by now
                os.unlink(beside)
            raise
    except OSError as error:
        raise HostError(f"cannot write it: {_reason(error)}", where=path, hint=_hint(error)) from None


def _make(directory: str) -> None:
    """Make a directory, and what is missing above it, for all to read, whatever the umask: so are the files in it."""
    if os.path.isdir(directory):
        return
    _make(os.path.dirname(directory))
    os.mkdir(directory)
    os.chmod(directory, 0o755)


def remove(path: str, before: str) -> None:
    """Remove a file that holds ``before``."""
    if read(path) != before:
        raise _changed(path)
    try:
        os.unlink(path)
    except OSError as error:
        raise HostError(f"cannot remove it: {_reason(error)}", where=path, hint=_hint(error)) from None


def _adopt(fd: int, path: str) -> None:
    """Give a new file the owner, mode and extended attributes of the one at ``path``."""
    if not path:
        os.fchmod(fd, 0o644)
        return
    old = os.stat(path)
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(fd, old.st_uid, old.st_gid)
    os.fchmod(fd, stat.S_IMODE(old.st_mode))
    for name in os.listxattr(path):
        os.setxattr(fd, name, os.getxattr(path, name))


def _changed(path: str) -> HostError:
    return HostError("has changed in the meantime; nothing was written", where=path, hint="try again")


def _reason(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _hint(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "be root for the system's engines, or give --user for your own"
    return ""
