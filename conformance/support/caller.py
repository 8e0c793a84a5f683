"""Who calls the runtime: a program that changes what its process has, and then becomes the command that follows.

    python -IS caller.py umask=37 nice=5 policy=batch -- COMMAND [WORD...]

What can be changed:

    umask=OCTAL            groups=GID,…          nice=NUMBER       policy=other|batch|idle
    personality=HEX        without=CAPABILITY    (its number, out of the bounding set and the others)
    cpus=CPU,…             oom=NUMBER            (oom_score_adj)
    soft=LIMIT:VALUE       (the number of a resource limit)
    inheritable=CAPABILITY (its number, which must be permitted)
    user=UID               (with the group of that number, and no other)
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

_PR_CAPBSET_DROP = 24
_CAPABILITY_VERSION_3 = 0x20080522


def command(**changes: object) -> list[str]:
    """What is put before a command line, so that it is called so."""
    return [sys.executable, "-IS", __file__, *(f"{name}={value}" for name, value in changes.items()), "--"]


def policy(name: str) -> None:
    number = {"other": os.SCHED_OTHER, "batch": os.SCHED_BATCH, "idle": os.SCHED_IDLE}[name]
    os.sched_setscheduler(0, number, os.sched_param(0))


def call(name: str, *arguments: int) -> None:
    """A function of the C library that says -1 when it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc[name](*map(ctypes.c_ulong, arguments)) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)


def oom(value: str) -> None:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(value)


def user(uid: int) -> None:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def inheritable(value: str) -> None:
    """Add a capability to those that are passed on (capset(2))."""
    number = int(value)
    header, data = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    call("capget", ctypes.addressof(header), ctypes.addressof(data))
    data[3 * (number // 32) + 2] |= 1 << number % 32
    call("capset", ctypes.addressof(header), ctypes.addressof(data))


def soft(value: str) -> None:
    number, limit = map(int, value.split(":"))
    resource.setrlimit(number, (limit, resource.getrlimit(number)[1]))


CHANGES = {
    "umask": lambda value: os.umask(int(value, 8)),
    "groups": lambda value: os.setgroups([int(gid) for gid in value.split(",")]),
    "nice": lambda value: os.nice(int(value)),
    "policy": policy,
    "personality": lambda value: call("personality", int(value, 16)),
    "without": lambda value: call("prctl", _PR_CAPBSET_DROP, int(value), 0, 0, 0),
    "cpus": lambda value: os.sched_setaffinity(0, {int(cpu) for cpu in value.split(",")}),
    "oom": oom,
    "user": lambda value: user(int(value)),
    "soft": soft,
    "inheritable": inheritable,
}


def main(words: list[str]) -> None:
    end = words.index("--")
    for word in words[:end]:
        name, _, value = word.partition("=")
        CHANGES[name](value)
    os.execv(words[end + 1], words[end + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
