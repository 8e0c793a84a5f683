"""Signal names and numbers, as the kernel and signal(7) have them on this architecture.

The table comes from CPython's C module; the ``signal`` module is not imported because it builds enums.
"""

from __future__ import annotations

import _signal

from pyrunc.errors import UsageError

#: name without SIG -> number
NUMBERS = {
    name[3:]: number
    for name, number in vars(_signal).items()
    if name[:3] == "SIG" and name[3:4].isalpha() and type(number) is int
}
NUMBERS.setdefault("STKFLT", 16)  # Linux on x86, Arm, RISC-V; unknown to CPython before 3.11


def number(text: str) -> int:
    """The number of a signal given as TERM, SIGTERM, sigterm, 15, RTMIN+3 or RTMAX-1; 0 is allowed."""
    if text.isascii() and text.isdigit():
        value = int(text)
        if value <= NUMBERS["RTMAX"]:
            return value
        raise UsageError(f'unknown signal "{text}"', hint=f"numbers go from 0 to {NUMBERS['RTMAX']}")
    bare = text.upper().removeprefix("SIG")
    known = NUMBERS.get(bare)
    if known is not None:
        return known
    base, sign, offset = bare[:5], bare[5:6], bare[6:]
    if base in ("RTMIN", "RTMAX") and sign in ("+", "-") and offset.isascii() and offset.isdigit():
        value = NUMBERS[base] + int(sign + offset)
        if NUMBERS["RTMIN"] <= value <= NUMBERS["RTMAX"]:
            return value
    raise UsageError(f'unknown signal "{text}"', hint="see signal(7) for the names")


def name(value: int) -> str:
    """SIGTERM for 15; SIGRTMIN+N for real-time signals; the number itself where there is no name."""
    low, high = NUMBERS["RTMIN"], NUMBERS["RTMAX"]
    if low < value < high:
        return f"SIGRTMIN+{value - low}"
    for key in _PREFERRED:
        if NUMBERS.get(key) == value:
            return f"SIG{key}"
    for key, known in NUMBERS.items():
        if known == value:
            return f"SIG{key}"
    return str(value)


# Where a number has two names.
_PREFERRED = ("ABRT", "CHLD", "IO")
