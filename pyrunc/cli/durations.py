"""Lengths of time as Go's time.ParseDuration reads them: ``5s``, ``100ms``, ``1h30m``, ``1.5s``, ``0``."""

from __future__ import annotations

#: In nanoseconds.
_UNITS = {
    "ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip

#: Longer than any number that could be meant.
_DIGITS = 20


def seconds(text: str) -> float:
    """ValueError for what is no length of time; a negative one is one."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total = 0
    if not rest:
        raise ValueError(text)
    while rest:
        count, rest = _split(rest, "0123456789.")
        unit, rest = _split(rest, "nuµμmsh")
        whole, _, fraction = count.partition(".")
        if unit not in _UNITS or not (whole + fraction).isdecimal() or len(count) > _DIGITS:
            raise ValueError(text)
        total += int(whole + fraction) * _UNITS[unit] // int("1" + "0" * len(fraction))
    return sign * total / 10**9


def _split(text: str, characters: str) -> tuple[str, str]:
    rest = text.lstrip(characters)
    return text[: len(text) - len(rest)], rest
