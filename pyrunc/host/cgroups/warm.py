"""The child that the launcher starts so that joining v1 cgroups need not wait (``warm`` in native/launcher.c)."""

from __future__ import annotations

import posix
import sys


def end() -> None:
    """Reap it, once; by the time of the first join there is nothing left to wait for."""
    pid = sys._xoptions.pop("pyrunc_warm", None)
    if isinstance(pid, str):
        posix.waitpid(int(pid), 0)
