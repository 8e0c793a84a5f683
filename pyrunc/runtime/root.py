"""Where the state of containers is kept when nobody says so."""

from __future__ import annotations

import posix

from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def default(environment: Mapping[bytes, bytes] | None = None) -> str:
    """``/run/pyrunc`` for root, ``$XDG_RUNTIME_DIR/pyrunc`` for everybody else.

    Root of a user namespace is everybody else: podman without root runs the runtime that way.  There, too,
    USER=root says that somebody has become root of it on purpose (``unshare -r`` keeps the old name).
    ``environment`` defaults to ``os.environb``, which a program may have changed.
    """
    if environment is None:
        import os

        environment = os.environb
    directory = environment.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    if posix.geteuid() == 0 and not (directory and _in_user_namespace() and environment.get(b"USER") != b"root"):
        return "/run/pyrunc"
    if not directory:
        raise HostError("XDG_RUNTIME_DIR is not set", hint="set it, or give --root DIR")
    return directory + "/pyrunc"


def expected(environment: Mapping[bytes, bytes]) -> str:
    """The same for a dry run, which needs a name and no directory: where a login would have put it."""
    if posix.geteuid() and not environment.get(b"XDG_RUNTIME_DIR"):
        return f"/run/user/{posix.geteuid()}/pyrunc"
    return default(environment)


def _in_user_namespace() -> bool:
    with open("/proc/self/uid_map", "rb", buffering=0) as file:
        return file.read().split() != [b"0", b"0", b"4294967295"]
