"""Makes the installed libraries importable in an interpreter that was started without site (-S).

The lean path never needs it; whoever imports a library from outside CPython and pyrunc calls ``add`` first.
"""

from __future__ import annotations

import os
import sys


def add() -> None:
    """Append the site-packages directories of this installation to sys.path, with their .pth files.

    Idempotent.
    """
    if not sys.flags.no_site:
        return
    import site

    for directory in _directories():
        if directory not in sys.path and os.path.isdir(directory):
            site.addsitedir(directory)


def _directories() -> list[str]:
    """Where pip puts packages: site-packages, or dist-packages when it belongs to a Debian interpreter.

    Spelled out because ``site.getsitepackages`` knows only the interpreter's own prefix and its habits.
    """
    prefix, version = _prefix(), f"python3.{sys.version_info.minor}"
    return [
        f"{prefix}/lib/{version}/site-packages",
        f"{prefix}/lib/{version}/dist-packages",
        f"{prefix}/lib/python3/dist-packages",
    ]


def _prefix() -> str:
    """The launcher says where it is installed: in a venv, an interpreter without site does not know."""
    given = sys._xoptions.get("pyrunc_prefix")
    return given if isinstance(given, str) else sys.prefix
