"""Makes the installed libraries importable in an interpreter that was started without site (-S).

The lean path never needs it; whoever imports a library from outside CPython and pyrunc calls ``add`` first.
"""

from __future__ import annotations

import os
import sys


def add() -> None:
    """Append the site-packages directories of this installation to sys.path, with their .pth files.

    Idempotent.  The interpreter is found as in PEP 405: a pyvenv.cfg beside or above the executable makes
    its directory the prefix, which only ``site`` itself would have done.
    """
    if not sys.flags.no_site:
        return
    import site

    for directory in site.getsitepackages([_prefix()]):
        if directory not in sys.path and os.path.isdir(directory):
            site.addsitedir(directory)


def _prefix() -> str:
    directory = os.path.dirname(sys.executable)
    for candidate in (directory, os.path.dirname(directory)):
        if os.path.exists(os.path.join(candidate, "pyvenv.cfg")):
            return candidate
    return sys.prefix
