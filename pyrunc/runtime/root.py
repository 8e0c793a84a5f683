"""Where the state of containers is kept when nobody says so."""

from __future__ import annotations

import os

from pyrunc.errors import HostError


def default() -> str:
    """``/run/pyrunc`` for root, ``$XDG_RUNTIME_DIR/pyrunc`` for everybody else.

    Root of a user namespace is everybody else: podman without root runs the runtime that way.  There, too,
    USER=root says that somebody has become root of it on purpose (``unshare -r`` keeps the old name).
    """
    directory = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() == 0 and not (directory and _in_user_namespace() and os.environ.get("USER") != "root"):
        return "/run/pyrunc"
    if not directory:
        raise HostError("XDG_RUNTIME_DIR is not set", hint="set it, or give --root DIR")
    return directory + "/pyrunc"


def expected() -> str:
    """The same for a dry run, which needs a name and no directory: where a login would have put it."""
    if os.geteuid() and not os.environ.get("XDG_RUNTIME_DIR"):
        return f"/run/user/{os.geteuid()}/pyrunc"
    return default()


def _in_user_namespace() -> bool:
    with open("/proc/self/uid_map", "rb", buffering=0) as file:
        return file.read().split() != [b"0", b"0", b"4294967295"]
