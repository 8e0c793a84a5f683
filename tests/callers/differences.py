"""Every difference from runc that the comparing tests accept, each with its reason.

A row is a regular expression, searched in one line of a difference (``SECTION -what runc showed`` or
``SECTION +what pyrunc showed``), and the reason.  A row that no test meets any more is to be deleted.
"""

from __future__ import annotations

KNOWN: tuple[tuple[str, str], ...] = ()
