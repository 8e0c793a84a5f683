"""From linux.seccomp to a BPF program, through a cache (runtime-spec 1.3, config-linux.md, Seccomp).

Here are the tables of what pyrunc implements and the cache.  A hit reads one file; only a miss imports
``libseccomp`` (ctypes) and ``enosys``.
"""

from __future__ import annotations

import posix
import stat

from pyrunc.errors import HostError
from pyrunc.host import failure, files
from pyrunc.spec.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: OCI action -> value of SECCOMP_RET_*; the lower 16 bits are for errnoRet (linux/seccomp.h)
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}

#: OCI operator -> enum scmp_compare (seccomp_rule_add(3))
OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}

_64 = 0x80000000
_LE = 0x40000000
_N32 = 0x20000000

#: OCI architecture -> token of libseccomp, which is AUDIT_ARCH_* of linux/audit.h but for x32
ARCHITECTURES = {
    "SCMP_ARCH_X86": 3 | _LE,
    "SCMP_ARCH_X86_64": 62 | _64 | _LE,
    "SCMP_ARCH_X32": 62 | _LE,
    "SCMP_ARCH_ARM": 40 | _LE,
    "SCMP_ARCH_AARCH64": 183 | _64 | _LE,
    "SCMP_ARCH_LOONGARCH64": 258 | _64 | _LE,
    "SCMP_ARCH_M68K": 4,
    "SCMP_ARCH_MIPS": 8,
    "SCMP_ARCH_MIPS64": 8 | _64,
    "SCMP_ARCH_MIPS64N32": 8 | _64 | _N32,
    "SCMP_ARCH_MIPSEL": 8 | _LE,
    "SCMP_ARCH_MIPSEL64": 8 | _64 | _LE,
    "SCMP_ARCH_MIPSEL64N32": 8 | _64 | _LE | _N32,
    "SCMP_ARCH_PARISC": 15,
    "SCMP_ARCH_PARISC64": 15 | _64,
    "SCMP_ARCH_PPC": 20,
    "SCMP_ARCH_PPC64": 21 | _64,
    "SCMP_ARCH_PPC64LE": 21 | _64 | _LE,
    "SCMP_ARCH_RISCV64": 243 | _64 | _LE,
    "SCMP_ARCH_S390": 22,
    "SCMP_ARCH_S390X": 22 | _64,
    "SCMP_ARCH_SH": 42 | _LE,
    "SCMP_ARCH_SHEB": 42,
}

#: Increase when the same config gives another program than before.
_GENERATION = 1

_LIBRARY = "libseccomp.so.2"
#: machine of uname(2) -> Debian's multiarch directory; others have lib64 or lib.
_MULTIARCH = {
    "x86_64": "x86_64-linux-gnu",
    "i686": "i386-linux-gnu",
    "aarch64": "aarch64-linux-gnu",
    "armv7l": "arm-linux-gnueabihf",
    "ppc64le": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "loongarch64": "loongarch64-linux-gnu",
}


def library(machine: str) -> str:
    """Path of libseccomp for this machine; HostError if it is not installed.

    ctypes.util would ask ldconfig and the compiler, in child processes.
    """
    multiarch = _MULTIARCH.get(machine, "")
    names = (f"lib/{multiarch}", "lib64", "lib") if multiarch else ("lib64", "lib")
    directories = [f"{prefix}/{name}" for prefix in ("/usr/local", "/usr", "") for name in names]
    for directory in directories:
        path = f"{directory}/{_LIBRARY}"
        if files.exists(path):
            return path
    raise HostError(
        f"{_LIBRARY} is not in {', '.join(directories)}",
        where="linux.seccomp",
        hint="Debian and Ubuntu have it in the package libseccomp2, Fedora in libseccomp",
    )


def compile(seccomp: Mapping[str, object], cache_dir: str, machine: str) -> bytes:
    """The filter as an array of struct sock_filter.  HostError when libseccomp refuses it, or the cache.

    ``cache_dir`` is made if absent; it must be the caller's own and closed to others, since whoever writes
    there decides what containers may do.
    """
    path_of_library = library(machine)
    _own_directory(cache_dir)
    path = f"{cache_dir}/{_key(seccomp, machine, path_of_library)}.bpf"
    program = _read(path)
    if program is None:
        program = build(seccomp, path_of_library)
        _store(cache_dir, path, program)
    return program


def build(seccomp: Mapping[str, object], path_of_library: str) -> bytes:
    """Compile without the cache."""
    from pyrunc.host.libseccomp import Library

    return Library(path_of_library).compile(seccomp)


def _key(seccomp: Mapping[str, object], machine: str, path_of_library: str) -> str:
    """Everything that the program depends on; the kernel, since libseccomp asks what it supports."""
    from _blake2 import blake2b

    found = posix.stat(path_of_library)
    identity = (path_of_library, found.st_size, found.st_mtime_ns, machine, posix.uname().release, _GENERATION)
    digest: str = blake2b(dumps([identity, seccomp]).encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()
    return digest


def _own_directory(path: str) -> None:
    try:
        files.make_directories(path, 0o700)
        found = posix.lstat(path)
    except OSError as error:
        raise HostError(f"seccomp cache {path}: {failure.reason(error)}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != posix.geteuid() or found.st_mode & 0o077:
        raise HostError(
            f"seccomp cache {path}: not a directory of this user's alone",
            hint=f"owner {found.st_uid}, mode {found.st_mode & 0o7777:04o}; remove it",
        )


def _read(path: str) -> bytes | None:
    try:
        fd = files.held(posix.open, path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"seccomp cache {path}: {failure.reason(error)}") from error
    try:
        return posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)


def _store(cache_dir: str, path: str, program: bytes) -> None:
    """One at a time, so that what one that was killed has left is taken over.  What is not stored for that is compiled
    once more when it is needed."""
    import fcntl

    try:
        directory = files.held(posix.open, cache_dir, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            files.replace(path, program, 0o600, aside=cache_dir + "/.new")
        except BlockingIOError:
            return
        finally:
            posix.close(directory)
    except OSError as error:
        raise HostError(f"seccomp cache {path}: {failure.reason(error)}") from error
