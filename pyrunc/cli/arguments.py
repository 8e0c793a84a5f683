"""From the values of a parsed command line to what the runtime's functions take.

Nothing is decided here: what an option means to a container is the runtime's business.
"""

from __future__ import annotations

import posix

from pyrunc.cli.output import reason
from pyrunc.errors import HostError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyrunc.cli.commands import Value
    from pyrunc.cli.lean import Line
    from pyrunc.spec.types import Process

UID_LIMIT = 0xFFFFFFFE  # 2^32-1 means "leave it" to setresuid(2)


def root(line: Line, *, needed: bool = True) -> str:
    from pyrunc.runtime import root

    given = line.globals["root"]
    if given == "":
        raise UsageError("--root: must not be empty")
    if given is None:
        return root.default(posix.environ) if needed else root.expected(posix.environ)
    return absolute(str(given))


def creation(line: Line) -> dict[str, Any]:
    """What create and run share.  File names stay relative to the caller's directory, also with --bundle."""
    from pyrunc.runtime.creation import Options

    given: dict[str, Any] = dict(line.options)
    return {
        "bundle": bundle(line),
        "options": Options(
            console_socket=given["console-socket"],
            no_pivot=given["no-pivot"],
            no_new_keyring=given["no-new-keyring"],
            preserve_fds=given["preserve-fds"],
            notify_socket=notify_socket(),
            **planning(line),
        ),
        "pid_file": given["pid-file"],
        "pidfd_socket": given["pidfd-socket"],
        "warn": warner(line),
    }


def notify_socket() -> str | None:
    """Of the service manager that waits for us (sd_notify(3))."""
    found = posix.environ.get(b"NOTIFY_SOCKET")
    return found.decode("utf-8", "surrogateescape") if found else None


def planning(line: Line) -> dict[str, Any]:
    return {
        "cgroup_manager": cgroup_manager(line),
        "rootless": line.globals["rootless"],
        "isolation": isolation(line),
    }


def cgroup_manager(line: Line) -> str:
    """``--systemd-cgroup`` is how runc says ``--cgroup-manager systemd``."""
    manager = str(line.globals["cgroup-manager"])
    if not line.globals["systemd-cgroup"]:
        return manager
    if manager == "disabled":
        raise UsageError("--systemd-cgroup and --cgroup-manager=disabled contradict one another: give one of them")
    return "systemd"


def isolation(line: Line) -> dict[str, str]:
    """The annotations that the global options stand for."""
    given: dict[str, Any] = line.globals
    if (given["private-tmp"], given["workspace"], given["ephemeral-rootfs"], given["cow"]) == (False, None, False, []):
        return {}
    from pyrunc.cli import isolation

    return isolation.asked(given)


def bundle(line: Line) -> str:
    return absolute(str(line.options["bundle"] or "."))


def absolute(path: str) -> str:
    """Absolute, without ``.``, ``..`` and empty components; by its letters, as Go's filepath.Abs does it."""
    try:
        words = path.split("/") if path.startswith("/") else f"{posix.getcwd()}/{path}".split("/")
    except FileNotFoundError:
        raise HostError(
            "the current directory does not exist any more", where=path, hint="give an absolute path"
        ) from None
    kept: list[str] = []
    for word in words:
        if word == "..":
            del kept[-1:]
        elif word not in ("", "."):
            kept.append(word)
    return "/" + "/".join(kept)


def process(path: Value) -> Process | None:
    if path is None:
        return None
    name = str(path)
    try:
        with open(name, "rb", buffering=0) as file:  # also /dev/fd/N of a pipe: read to its end
            data = file.read()
    except OSError as error:
        raise HostError(reason(error), where=f"--process {name}") from None
    from pyrunc.runtime import bundle
    from pyrunc.spec.load import load_process

    return bundle.loaded(load_process, data, name)


def user(text: Value) -> tuple[int, int | None] | None:
    """``UID`` or ``UID:GID``; the group of the container's own process stays where none is named."""
    if text is None:
        return None
    uid, colon, gid = str(text).partition(":")
    return _identity("uid", uid), _identity("gid", gid) if colon else None


def _identity(kind: str, text: str) -> int:
    # An id that does not fit must never become another one, let alone 0 (CVE-2024-40635).
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= UID_LIMIT):
        raise UsageError(f"--user: {kind} {text!r} is not a number from 0 to {UID_LIMIT}")
    return int(text)


def log(line: Line) -> Any:
    from pyrunc.cli.log import Log

    return Log(line.globals)


def warner(line: Line) -> Callable[[str], None]:
    def warn(message: str) -> None:
        log(line).warning(message)

    return warn
