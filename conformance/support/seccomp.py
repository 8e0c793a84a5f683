"""Filters for tests, the numbers of the calls that they are about, and the listener of SCMP_ACT_NOTIFY."""

from __future__ import annotations

import array
import fcntl
import json
import os
import platform
import select
import socket
import struct
from typing import TYPE_CHECKING, Any, Self

from conformance.verdict import Failed

if TYPE_CHECKING:
    from pathlib import Path

#: Calls that neither the probe nor a runtime needs: their numbers here.
NUMBERS: dict[str, int] = {
    "x86_64": {"getpriority": 140, "getpgid": 121},
    "aarch64": {"getpriority": 141, "getpgid": 155},
    "riscv64": {"getpriority": 141, "getpgid": 155},
}.get(platform.machine(), {})
#: That of getpriority for i386.
I386_GETPRIORITY = 96

#: An error that no call of the tests ends with by itself.
DENIED = 97

#: What a program, and a runtime between the filter and the program, may call: everything but what the tests are about.
_COMMON = """
access arch_prctl brk capget capset chdir chmod chown clock_getres clock_gettime clock_nanosleep clone clone3 close
close_range connect dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 execve
execveat exit exit_group faccessat faccessat2 fchdir fchmod fchmodat fchown fchownat fcntl flock fork fstat fstatfs
fsync ftruncate futex get_mempolicy get_robust_list getcwd getdents getdents64 getegid geteuid getgid getgroups
getpgrp getpid getppid getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
gettimeofday getuid ioctl ioprio_get kill lchown link linkat listen lseek lstat madvise membarrier memfd_create
mkdir mkdirat mknod mknodat mlock mmap mprotect mremap munlock munmap nanosleep newfstatat open openat openat2
pause personality pidfd_open pipe pipe2 poll ppoll prctl pread64 prlimit64 pselect6 pwrite64 read readlink
readlinkat readv recvfrom recvmsg rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_getaffinity sched_getattr sched_getparam
sched_getscheduler sched_setaffinity sched_yield seccomp select sendmsg sendto set_robust_list set_tid_address
setgid setgroups setitimer setpgid setresgid setresuid setrlimit setsid setsockopt setuid shutdown sigaltstack
signalfd4 socket socketpair stat statfs statx symlink symlinkat sysinfo tgkill time timer_create timer_delete
timer_settime tkill umask uname unlink unlinkat utimensat vfork wait4 waitid write writev
"""
COMMON = _COMMON.split()


def policy(default: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A linux.seccomp; where the default denies, what the programs need is allowed."""
    own = [] if default in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG") else [{"names": COMMON, "action": "SCMP_ACT_ALLOW"}]
    return {"defaultAction": default, "syscalls": [*own, *rules], **more}


def rule(action: str = "SCMP_ACT_ERRNO", *names: str, **more: Any) -> dict[str, Any]:
    """A rule for "getpriority", by default to end with DENIED."""
    number = {"errnoRet": DENIED} if action == "SCMP_ACT_ERRNO" else {}
    return {"names": list(names or ("getpriority",)), "action": action, **number, **more}


def call(name: str = "getpriority", *arguments: int, way: str = "syscall") -> tuple[str, str]:
    """The kind and the value of the probe's question that makes this call."""
    return way, ":".join(map(str, (NUMBERS[name], *arguments)))


_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV and _SEND of linux/seccomp.h
PATIENCE = 10.0


class Message:
    """What came on one connection: ``texts`` and the count of descriptors, one each for every message."""

    def __init__(self, connection: socket.socket) -> None:
        self.texts: list[bytes] = []
        self.counts: list[int] = []
        self.fds: list[int] = []
        connection.settimeout(PATIENCE)
        while True:
            try:
                text, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(64 * 4), socket.MSG_CMSG_CLOEXEC)
            except TimeoutError:
                raise Failed("the runtime does not close the connection to the seccomp listener") from None
            found = array.array("i")
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    found.frombytes(data[: len(data) - len(data) % found.itemsize])
            self.fds += found
            if not text:
                return
            self.texts.append(text)
            self.counts.append(len(found))

    def state(self) -> dict[str, Any]:
        """The container process state; Failed unless the payload is one JSON object."""
        text = b"".join(self.texts).decode(errors="replace")
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Failed(f"what the seccomp listener is sent is no JSON object: {text[:1000]!r}")
        return found

    def fd(self) -> int:
        """The one called seccompFd."""
        names = self.state().get("fds", [])
        if "seccompFd" not in names or len(names) != len(self.fds):
            raise Failed(f"the descriptors are called {names!r}, and there are {len(self.fds)}")
        place: int = names.index("seccompFd")
        return self.fds[place]

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


class Listener:
    """A socket at ``path`` until the end of its body."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.messages: list[Message] = []

    def __enter__(self) -> Self:
        self.socket.bind(str(self.path))
        self.socket.listen()
        self.socket.settimeout(PATIENCE)
        return self

    def receive(self) -> Message:
        """Everything of the next connection; Failed when there is none."""
        try:
            connection, _ = self.socket.accept()
        except TimeoutError:
            raise Failed("the runtime does not connect to the seccomp listener") from None
        with connection:
            self.messages.append(Message(connection))
        return self.messages[-1]

    def __exit__(self, *_: object) -> None:
        for message in self.messages:
            message.close()
        self.socket.close()


def answer(fd: int, value: int = 0, error: int = 0) -> int:
    """Wait for a notification and end the call with ``value``, or with ``error``; the call's number."""
    if not select.select([fd], [], [], PATIENCE)[0]:
        raise Failed("the descriptor of the filter has no notification")
    notification = bytearray(80)
    fcntl.ioctl(fd, _RECEIVE, notification)
    id, _, _, number = struct.unpack_from("=QIIi", notification)
    fcntl.ioctl(fd, _SEND, struct.pack("=QqiI", id, value, -error, 0))
    return int(number)
