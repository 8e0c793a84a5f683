"""What is asked of ``setup``, and which paths follow from it."""

from __future__ import annotations

import os
import stat
import sys

from pyrunc.errors import HostError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: What pyrunc is called in the configuration of an engine.
NAME = "pyrunc"


class Wish:
    """``runtime``: absolute path of pyrunc as the engine will see it.  ``default``: for containers that ask for none.

    ``home``: of the user whose engine it is, as XDG_CONFIG_HOME has it, or "" for the system's.  ``sysroot``: the
    directory that the paths of the engine are below, or "".  ``config``: the file to change instead of the usual one.
    ``systemd``: the engine is to pass --systemd-cgroup where it has a switch for that.
    """

    __slots__ = ("config", "default", "home", "runtime", "sysroot", "systemd")

    def __init__(
        self,
        runtime: str,
        *,
        default: bool = False,
        home: str = "",
        sysroot: str = "",
        config: str = "",
        systemd: bool = False,
    ) -> None:
        self.runtime = runtime
        self.default = default
        self.home = home
        self.sysroot = sysroot
        self.config = config
        self.systemd = systemd

    def file(self, system: str, user: str) -> str:
        """The file to change: ``system`` is absolute, ``user`` is relative to the user's configuration."""
        if self.config:
            return self.sysroot + self.config
        return f"{self.home}/{user}" if self.home else self.sysroot + system


def own_path() -> str:
    """The pyrunc that runs, by the path that an engine can start it by."""
    prefix = sys._xoptions.get("pyrunc_prefix", sys.prefix)
    return f"{prefix}/bin/{NAME}"


def config_home(environment: Mapping[str, str]) -> str:
    """Where this user's engines keep their configuration (XDG Base Directory Specification)."""
    given = environment.get("XDG_CONFIG_HOME", "")
    if given.startswith("/"):  # a relative one is to be ignored
        return given.rstrip("/")
    home = environment.get("HOME", "")
    if not home.startswith("/"):
        raise UsageError("--user: neither HOME nor XDG_CONFIG_HOME is set", hint="set HOME to the user's directory")
    return home.rstrip("/") + "/.config"


def runtime(given: str | None, sysroot: str) -> str:
    """The path to write: the given one, or our own.  Raises where no program that can be run is there."""
    path = given if given is not None else own_path()
    where = "--runtime" if given is not None else ""
    if sysroot and given is None:
        if not path.startswith(sysroot + "/"):
            raise UsageError(
                f"--sysroot {sysroot} does not hold this pyrunc, {path}",
                hint="say where it is for the engine: --runtime PATH, without the sysroot",
            )
        path = path.removeprefix(sysroot)
    if not path.startswith("/"):
        raise UsageError(f"{path!r} is not an absolute path", where=where)
    if not path.isprintable():
        raise UsageError(f"{path!r} has characters that cannot be written down safely", where=where)
    seen = sysroot + path
    try:
        found = os.stat(seen)
    except OSError as error:
        raise HostError(f"{seen}: {error.strerror}", where=where) from None
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & 0o111:
        raise HostError(f"{seen} is no program", where=where, hint="name the file that is installed as bin/pyrunc")
    return path
