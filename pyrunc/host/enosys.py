"""The prologue that answers ENOSYS to system calls newer than the profile.

A profile that denies by default would give EPERM to calls that its author could not know, and a C library
then does not fall back to the older call as it does for ENOSYS.  libseccomp has no word for this, so a few
instructions of classic BPF go in front of its program, as in runc: what is above the highest number that
the profile names for the architecture does not exist.  Engines rely on it.
"""

from __future__ import annotations

from _struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# linux/bpf_common.h
_LD_W_ABS = 0x20
_JA = 0x05
_JEQ_K = 0x15
_JGT_K = 0x25
_JSET_K = 0x45
_RET_K = 0x06

_OFFSET_NR = 0  # struct seccomp_data
_OFFSET_ARCH = 4
_RET_ENOSYS = 0x00050000 | 38
_X86_64 = 0xC000003E
_X32 = 0x4000003E
_X32_BIT = 0x40000000
_S390 = (0x16, 0x80000016)


def wanted(default_action: str) -> bool:
    """Not where the default lets unknown calls pass: then the kernel, or the tracer, answers."""
    return default_action not in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")


def stub(newest: Mapping[int, int]) -> bytes:
    """The prologue for {architecture of libseccomp: highest number}; falls through into the filter."""
    sections: list[tuple[int, list[bytes]]] = []
    for token, number in newest.items():
        if token == _X32:
            continue
        if token == _X86_64:
            sections.append((token, _x86_64(number, newest.get(_X32))))
        else:
            multiplexer = [_jump(_JEQ_K, 0, 1, 0)] if token in _S390 else []
            sections.append((token, [*multiplexer, _jump(_JGT_K, number, 0, 1)]))
    if _X32 in newest and _X86_64 not in newest:
        sections.append((_X86_64, _x86_64(None, newest[_X32])))
    return _join(sections)


def _x86_64(number: int | None, x32: int | None) -> list[bytes]:
    """Both ABIs have one AUDIT_ARCH; a bit of the number tells them apart (syscall(2) on x32)."""
    # The tests end in front of two instructions: return ENOSYS, go on with the filter.
    if number is None:
        return [_jump(_JSET_K, _X32_BIT, 0, 2), _jump(_JGT_K, x32 or 0, 0, 1)]
    if x32 is None:
        return [_jump(_JSET_K, _X32_BIT, 2, 0), _jump(_JGT_K, number, 0, 1)]
    return [_jump(_JSET_K, _X32_BIT, 1, 0), _jump(_JGT_K, number, 1, 2), _jump(_JGT_K, x32, 0, 1)]


def _join(sections: list[tuple[int, list[bytes]]]) -> bytes:
    if not sections:
        return b""
    program: list[bytes] = []
    for token, tests in reversed(sections):
        body = [_jump(_LD_W_ABS, _OFFSET_NR), *tests, _jump(_RET_K, _RET_ENOSYS), _jump(_JA, len(program))]
        program = [_jump(_JEQ_K, token, 0, len(body)), *body, *program]
    return b"".join([_jump(_LD_W_ABS, _OFFSET_ARCH), *program])


def _jump(code: int, k: int, true: int = 0, false: int = 0) -> bytes:
    """struct sock_filter (linux/filter.h)"""
    return pack("=HBBI", code, true, false, k)
