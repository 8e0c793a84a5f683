"""Namespaces of a test's own: a process that sits in new ones, for containers to join.

A namespace is called as the config calls it ("network"), and as /proc/PID/ns does ("net").
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from conformance import config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.container import Container

#: Type in the config -> name in /proc/PID/ns, and the flag of unshare(2).
KINDS = {
    "pid": ("pid", 0x20000000),
    "network": ("net", 0x40000000),
    "mount": ("mnt", 0x00020000),
    "ipc": ("ipc", 0x08000000),
    "uts": ("uts", 0x04000000),
    "user": ("user", 0x10000000),
    "cgroup": ("cgroup", 0x02000000),
    "time": ("time", 0x00000080),
}

#: Unshares, forks (new pid and time namespaces are those of children) and says who the child is; both end with us.
#: Mounts are made private, so that nothing that is mounted there is seen outside.
_PROGRAM = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
flags = int(sys.argv[1])
if libc.unshare(flags):
    sys.exit(os.strerror(ctypes.get_errno()))
if flags & 0x20000 and libc.mount(b"none", b"/", None, 0x44000, None):
    sys.exit(os.strerror(ctypes.get_errno()))
child = os.fork()
if child == 0:
    libc.prctl(1, signal.SIGKILL)
    while True:
        signal.pause()
print(child, flush=True)
sys.stdin.read()
os.kill(child, signal.SIGKILL)
"""


def own(kind: str) -> str:
    """The namespace of that type that this process is in."""
    return os.readlink(f"/proc/self/ns/{KINDS[kind][0]}")


class Holder:
    """A process in new namespaces of these types, until the end of its body.

    In a user namespace the ids are mapped as they are.
    """

    def __init__(self, *kinds: str) -> None:
        flags = sum(KINDS[kind][1] for kind in kinds)
        command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(flags)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline())
        if "user" in kinds:
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{self.pid}/{name}").write_text("0 0 65536\n")

    def path(self, kind: str) -> str:
        return f"/proc/{self.pid}/ns/{KINDS[kind][0]}"

    def link(self, kind: str) -> str:
        return os.readlink(self.path(kind))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


def map_ids(box: Container, first: int = 100000, count: int = 65536) -> None:
    """Give it a user namespace in which 0 is ``first`` of the host, and the directories of its rootfs to that."""
    config.user_namespace(box.config, first, count)
    for place in (box.rootfs, *(entry for entry in box.rootfs.iterdir() if entry.is_dir())):
        os.chown(place, first, first)


@contextmanager
def inside(path: str, kind: str) -> Iterator[None]:
    """The body runs in the namespace at ``path``, and so does what it starts; this thread alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    name, flag = KINDS[kind]
    before = os.open(f"/proc/thread-self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    wanted = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(libc, wanted, flag)
        try:
            yield
        finally:
            enter(libc, before, flag)
    finally:
        os.close(before)
        os.close(wanted)


def enter(libc: ctypes.CDLL, fd: int, flag: int) -> None:
    if libc.setns(fd, flag):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
