"""``spec``: a config.json to start from."""

from __future__ import annotations

import os

from pyrunc.errors import HostError, UsageError
from pyrunc.spec.jsontext import dumps_pretty
from pyrunc.spec.template import default

NAME = "config.json"


def write(bundle: str, *, rootless: bool) -> None:
    """Write the default config.json into the directory ``bundle``; an existing one is never replaced."""
    text = dumps_pretty(default(rootless, os.geteuid(), os.getegid()), "\t") + "\n"
    path = f"{bundle}/{NAME}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise UsageError(f"File {NAME} exists. Remove it first", where=bundle) from None
    except OSError as error:
        raise HostError((error.strerror or "").lower(), where=path) from None
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        os.unlink(path)
        raise HostError((error.strerror or "").lower(), where=path) from None
