"""How one value of an argument is read: a function takes what was given and returns what the config needs.

Each raises ValueError with what it expected; whoever calls adds the argument's name.  Nothing here looks at the host,
but for this program's working directory.
"""

from __future__ import annotations

import os

from pyrunc.plan.kernel import RLIMITS
from pyrunc.spec.mount_checks import normal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.types import Rlimit

_UNITS = {"k": 10, "m": 20, "g": 30}
#: Bytes; more than any machine has, and less than what overflows a signed 64-bit number of the kernel.
_MOST = 1 << 60
#: Bytes; no program starts with less, and whoever writes memory="256" meant something else.
_LEAST_MEMORY = 1 << 20
#: The highest id: 2^32-1 means "no change" in setresuid(2).
_LAST_ID = (1 << 32) - 2
#: Microseconds, as runc and docker have it; and the shortest quota that the kernel takes (sched-bwc.rst).
CPU_PERIOD = 100_000
_LEAST_QUOTA = 1_000
#: 2^64-1 of the config: RLIM_INFINITY.
_UNLIMITED = (1 << 64) - 1
#: __NEW_UTS_LEN of uname(2).
_UTS_NAME = 64

_BYTES = "expected bytes or a number with k, m or g"


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected True or False")
    return value


def text(value: object) -> str:
    """A str that the kernel and JSON can hold."""
    if not isinstance(value, str):
        raise ValueError("expected a str")
    if "\0" in value:
        raise ValueError("contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        # A name that is no UTF-8 can be in Python's str, but not in config.json.
        raise ValueError("cannot be written in UTF-8, as config.json is") from None
    return value


def host_path(value: object) -> str:
    """A str or path object; relative ones are left as they are."""
    fspath = getattr(type(value), "__fspath__", None)
    found = fspath(value) if fspath is not None else value
    if not isinstance(found, str) or not found:
        raise ValueError("expected a path")
    return text(found)


def absolute(value: object) -> str:
    """A path of the host; relative ones are below the working directory of this program."""
    found = host_path(value)
    try:
        return os.path.abspath(found)
    except FileNotFoundError:
        raise ValueError("is relative, and the working directory of this program has gone") from None


def box_path(value: object) -> str:
    """An absolute path inside the box, normal."""
    found = host_path(value)
    if not found.startswith("/"):
        raise ValueError("expected an absolute path inside the box")
    if ".." in found.split("/"):
        raise ValueError("must not contain ..")
    return normal(found)


def place(value: object) -> str:
    """A path inside the box where something may be mounted."""
    found = box_path(value)
    if found == "/":
        raise ValueError("is the root directory of the box: that is what rootfs is for")
    for top in ("/proc", "/sys", "/dev"):
        if found == top or found.startswith(top + "/"):
            raise ValueError(f"is in {top}, which the box has of its own")
    return found


def amount(value: object) -> int:
    """Bytes, from an int or from text like 256m."""
    if isinstance(value, str):
        digits = value[:-1] if value[-1:].lower() in _UNITS else value
        if not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:
            raise ValueError(_BYTES)
        count = int(digits) << _UNITS.get(value[-1:].lower(), 0)
    elif isinstance(value, int) and not isinstance(value, bool):
        count = value
    else:
        raise ValueError(_BYTES)
    if not 0 < count < _MOST:
        raise ValueError("out of range: " + _BYTES)
    return count


def memory(value: object) -> int:
    count = amount(value)
    if count < _LEAST_MEMORY:
        raise ValueError("less than a megabyte: " + _BYTES)
    return count


def size(value: object) -> str:
    """The size of a tmpfs as tmpfs(5) has it: bytes, with k, m or g, or a percentage of the machine's memory."""
    if isinstance(value, str) and value.endswith("%"):
        digits = value[:-1]
        if not (digits.isascii() and digits.isdecimal() and 0 < int(digits[:4]) <= 100):
            raise ValueError("expected 1% to 100%")
        return f"{int(digits)}%"
    try:
        count = amount(value)
    except ValueError as error:
        raise ValueError(f"{error}, or a percentage") from None
    for unit, bits in reversed(_UNITS.items()):
        if count >> bits << bits == count:
            return f"{count >> bits}{unit}"
    return str(count)


def whole(value: object) -> int:
    """A number of things, at least one."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
        raise ValueError("expected a whole number, at least 1")
    return value


def processes(value: object) -> int:
    """A number of processes of which the first takes one."""
    count = whole(value)
    if count == 1:
        raise ValueError("expected at least 2: the first process of the box takes one, and each program another")
    return count


def quota(value: object) -> int:
    """Microseconds of CPU time per CPU_PERIOD, from a number of CPUs."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1 << 20:
        raise ValueError("expected a number of CPUs like 1.5")
    found = round(value * CPU_PERIOD)
    if found < _LEAST_QUOTA:
        raise ValueError(f"too little: at least {_LEAST_QUOTA / CPU_PERIOD}")
    return found


#: poll(2) counts milliseconds in 31 bits; this is 23 days.
_LONGEST = 2_000_000


def seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ValueError("expected seconds, more than 0")
    if value > _LONGEST:
        raise ValueError(f"expected seconds, at most {_LONGEST}; None means no limit")
    return float(value)


def user(value: object) -> tuple[int, int]:
    """(uid, gid); from a uid alone, the gid is the same."""
    expected = 'expected a uid, "uid:gid" or (uid, gid)'
    parts: tuple[object, ...]
    if isinstance(value, str):
        words = value.split(":")
        if not all(word.isascii() and word.isdecimal() for word in words):
            raise ValueError(expected)
        parts = tuple([int(word[:12]) for word in words])
    else:
        parts = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    ids = [part for part in parts if isinstance(part, int) and not isinstance(part, bool)]
    if len(ids) != len(parts) or len(ids) not in (1, 2):
        raise ValueError(expected)
    if not all(0 <= one <= _LAST_ID for one in ids):
        raise ValueError(f"out of range: ids go from 0 to {_LAST_ID}")
    return ids[0], ids[-1]


def hostname(value: object) -> str:
    found = text(value)
    if not 0 < len(found.encode()) <= _UTS_NAME:
        raise ValueError(f"expected 1 to {_UTS_NAME} bytes")
    return found


def variable(name: object) -> str:
    """The name of an environment variable."""
    found = text(name)
    if not found or "=" in found:
        raise ValueError("expected a name without =")
    return found


def rlimit(name: str, value: object) -> Rlimit:
    """getrlimit(2): one number for both limits, or (soft, hard); "unlimited" is one, too."""
    kind = name.upper() if name.upper().startswith("RLIMIT_") else "RLIMIT_" + name.upper()
    if kind not in RLIMITS:
        known = ", ".join(one.removeprefix("RLIMIT_").lower() for one in RLIMITS)
        raise ValueError(f"there is no such limit; there are {known}")
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    numbers = [_UNLIMITED if one == "unlimited" else one for one in pair]
    found = [one for one in numbers if isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= _UNLIMITED]
    if len(found) != 2 or len(numbers) != 2:
        raise ValueError('expected a number, (soft, hard) or "unlimited"')
    if found[0] > found[1]:
        raise ValueError("the soft limit is more than the hard one")
    return {"type": kind, "soft": found[0], "hard": found[1]}
