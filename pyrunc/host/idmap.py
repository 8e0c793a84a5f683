"""Writes the id maps of a process's new user namespace (user_namespaces(7)).

Directly, for who may, or through the set-user-ID programs of shadow-utils, which check /etc/subuid.
"""

from __future__ import annotations

import errno
import posix

from pyrunc.errors import OpFailed
from pyrunc.host import child, failure, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Engines call runtimes with no PATH; and a PATH decides nothing about set-user-ID programs here.
DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin", "/run/current-system/sw/bin")

_HINTS = {
    errno.EPERM: "the kernel lets this user map only its own ids, or those that newuidmap hands out",
    errno.EINVAL: "ranges must not overlap; every host id must be mapped in the caller's own user namespace",
}


def write(pid: int, uid: str, gid: str, setgroups: str, where: str) -> None:
    """Write setgroups (unless ""), uid_map and gid_map, each in one write as the kernel wants it."""
    for name, text in (("setgroups", setgroups), ("uid_map", uid), ("gid_map", gid)):
        if not text:
            continue
        path = f"/proc/{pid}/{name}"
        try:
            fd = files.held(posix.open, path, posix.O_WRONLY | posix.O_CLOEXEC)
            try:
                posix.write(fd, text.encode())
            finally:
                posix.close(fd)
        except OSError as error:
            shown = text.strip().replace("\n", ", ")
            what = f'write "{shown}" to {path}'
            raise failure.op_failed(error, what, op="write_id_maps", where=where, hints=_HINTS) from error


def new_maps(pid: int, uid: Sequence[str], gid: Sequence[str], where: str) -> None:
    """Let newuidmap and newgidmap write the maps; ``uid`` and ``gid`` are their arguments after the pid."""
    for name, args in (("newuidmap", uid), ("newgidmap", gid)):
        if not args:
            continue
        path = _program(name, where)
        try:
            ended = child.run(path, (name, str(pid), *args), ())
        except OSError as error:
            raise failure.op_failed(error, path, op="new_id_maps", where=where) from error
        if ended.code:
            raise OpFailed(
                f"{path} {pid} {' '.join(args)}: {ended.how}: {ended.stderr}",
                op="new_id_maps",
                where=where,
                hint="the ranges must be this user's in /etc/subuid and /etc/subgid, and the program setuid",
            )


def _program(name: str, where: str) -> str:
    for directory in DIRECTORIES:
        path = f"{directory}/{name}"
        if posix.access(path, posix.X_OK):
            return path
    raise OpFailed(
        f"{name} is not in {', '.join(DIRECTORIES)}",
        op="new_id_maps",
        errno=errno.ENOENT,
        where=where,
        hint="Debian and Ubuntu have it in the package uidmap, Fedora in shadow-utils-subid",
    )
