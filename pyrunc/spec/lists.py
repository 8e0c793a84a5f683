"""Lists of CPUs and memory nodes as the kernel writes them: ``0-3,7`` (cpuset(7), List format)."""

from __future__ import annotations


def numbers(text: str) -> list[int] | None:
    """The numbers of a list in its order, [] for an empty one, None where it is malformed."""
    found: list[int] = []
    if not text.strip():
        return found
    for entry in text.split(","):
        first, dash, last = entry.strip().partition("-")
        last = last if dash else first
        # isdecimal() alone would take digits of other scripts
        if not (first.isascii() and first.isdecimal() and last.isascii() and last.isdecimal()):
            return None
        low, high = int(first), int(last)
        # More than any kernel is built for; a range must not be able to fill memory.
        if low > high or high >= LIMIT:
            return None
        found.extend(range(low, high + 1))
    return found


#: CPU and node numbers end below this; CONFIG_NR_CPUS is at most 8192, MAX_NUMNODES 1024.
LIMIT = 8192
