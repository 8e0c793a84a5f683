"""Translates linux.seccomp into calls of libseccomp, through ctypes.

Imported only where the cache has no program.  Where the spec leaves room, the rules are read as runc reads
them, because profiles are written against it.
"""

from __future__ import annotations

import ctypes
import os

from pyrunc.errors import HostError
from pyrunc.host import enosys
from pyrunc.host.seccomp import ACTIONS, ARCHITECTURES, OPERATORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_ATTRIBUTE_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE
_BINARY_TREE = 2
_UNKNOWN_SYSCALL = -1  # __NR_SCMP_ERROR
_EEXIST = 17
_EPERM = 1


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class _Version(ctypes.Structure):
    """struct scmp_version"""

    _fields_ = (("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint))


class Library:
    """A loaded libseccomp."""

    def __init__(self, path: str) -> None:
        try:
            c = ctypes.CDLL(path)
        except OSError as error:
            raise HostError(str(error), where="linux.seccomp") from error
        c.seccomp_init.restype = ctypes.c_void_p
        c.seccomp_init.argtypes = [ctypes.c_uint32]
        c.seccomp_release.restype = None
        c.seccomp_release.argtypes = [ctypes.c_void_p]
        c.seccomp_arch_native.restype = ctypes.c_uint32
        c.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
        c.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
        c.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
        c.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
        c.seccomp_rule_add_array.argtypes = [
            ctypes.c_void_p,
            ctypes.c_uint32,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.POINTER(_Comparison),
        ]
        c.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
        c.seccomp_version.restype = ctypes.POINTER(_Version)
        self._c = c

    def compile(self, seccomp: Mapping[str, Any]) -> bytes:
        """The program as bytes; HostError with the config path of what libseccomp refuses."""
        default = action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
        filter_ = self._c.seccomp_init(default)
        if not filter_:
            raise HostError(f"libseccomp refuses {seccomp['defaultAction']}", where="linux.seccomp.defaultAction")
        try:
            self._add_architectures(filter_, seccomp)
            rules = sum(self._add_rule(filter_, *rule) for rule in _rules(seccomp, default))
            # Up to 2.5.4 the tree of no rules at all is a program without an end.
            version = self._c.seccomp_version().contents
            if rules > 32 and (version.major, version.minor) >= (2, 5):
                _check(
                    self._c.seccomp_attr_set(filter_, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE),
                    "optimization by a binary tree",
                    "linux.seccomp",
                )
            program = self._export(filter_)
        finally:
            self._c.seccomp_release(filter_)
        if enosys.wanted(seccomp["defaultAction"]):
            return enosys.stub(self._newest(seccomp)) + program
        return program

    def _add_architectures(self, filter_: int, seccomp: Mapping[str, Any]) -> None:
        """The native one is there from the start."""
        for index, name in enumerate(seccomp.get("architectures") or ()):
            result = self._c.seccomp_arch_add(filter_, ARCHITECTURES[name])
            if result != -_EEXIST:
                _check(result, name, f"linux.seccomp.architectures[{index}]")

    def _add_rule(self, filter_: int, name: str, value: int, comparisons: list[Mapping[str, Any]], where: str) -> bool:
        """False for a name that libseccomp does not know: the kernel cannot have it, either."""
        number = self._c.seccomp_syscall_resolve_name(name.encode())
        if number == _UNKNOWN_SYSCALL:
            return False
        array = (_Comparison * len(comparisons))()
        for place, one in zip(array, comparisons, strict=True):
            place.arg, place.op = one["index"], OPERATORS[one["op"]]
            # For MASKED_EQ the spec's value is the mask, and valueTwo what is compared with.
            place.datum_a, place.datum_b = one["value"], one.get("valueTwo", 0)
        result = self._c.seccomp_rule_add_array(filter_, value, number, len(comparisons), array)
        _check(result, f"the rule for {name}", where)
        return True

    def _export(self, filter_: int) -> bytes:
        fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        try:
            _check(self._c.seccomp_export_bpf(filter_, fd), "the export", "linux.seccomp")
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)

    def _newest(self, seccomp: Mapping[str, Any]) -> dict[int, int]:
        """Architecture -> the highest system call number that the profile names, for the ENOSYS stub."""
        tokens = [ARCHITECTURES[name] for name in seccomp.get("architectures") or ()]
        tokens.append(self._c.seccomp_arch_native())
        names = [name.encode() for rule in seccomp.get("syscalls") or () for name in rule["names"]]
        resolve = self._c.seccomp_syscall_resolve_name_arch
        newest = {token: max((resolve(token, name) for name in names), default=0) for token in tokens}
        # Below 0 are libseccomp's own numbers of calls that the architecture does not have.
        return {token: number for token, number in newest.items() if number > 0}


def action(name: str, errno: int | None) -> int:
    """SECCOMP_RET_* with its data; the spec's default for errnoRet is EPERM."""
    value = ACTIONS[name]
    if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        value |= (_EPERM if errno is None else errno) & 0xFFFF
    return value


def _rules(seccomp: Mapping[str, Any], default: int) -> Iterator[tuple[str, int, list[Mapping[str, Any]], str]]:
    """(name, action, comparisons, config path) of each rule for libseccomp.

    A rule with the default's action is one that libseccomp refuses as needless.  Several comparisons of one
    argument cannot be one rule; as in runc, then, and only then, each is a rule of its own.
    """
    for index, rule in enumerate(seccomp.get("syscalls") or ()):
        value = action(rule["action"], rule.get("errnoRet"))
        if value == default:
            continue
        where = f"linux.seccomp.syscalls[{index}]"
        comparisons = list(rule.get("args") or ())
        indices = [one["index"] for one in comparisons]
        together = len(set(indices)) == len(indices)
        for name in rule["names"]:
            for group in [comparisons] if together else [[one] for one in comparisons]:
                yield name, value, group, where


def _check(result: int, what: str, where: str) -> None:
    if result:
        reason = os.strerror(-result)
        raise HostError(f"libseccomp refuses {what}: {reason[:1].lower()}{reason[1:]}", where=where)
