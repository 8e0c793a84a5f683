"""The time of day as the state document has it."""

from __future__ import annotations

import time


def now() -> str:
    """RFC 3339 in UTC with nanoseconds, as runc writes it."""
    nanoseconds = time.time_ns()
    t = time.gmtime(nanoseconds // 1_000_000_000)
    date = f"{t.tm_year:04}-{t.tm_mon:02}-{t.tm_mday:02}T{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"{date}.{nanoseconds % 1_000_000_000:09}Z"
