"""Runs a seccomp program (classic BPF) over invented system calls, and reads programs out of the kernel."""

from __future__ import annotations

import ctypes
import os
from struct import iter_unpack, pack, unpack_from

X86_64 = 0xC000003E
I386 = 0x40000003
X32_BIT = 0x40000000

_PTRACE_ATTACH, _PTRACE_DETACH, _PTRACE_SECCOMP_GET_FILTER = 16, 17, 0x420C
_WALL = 0x40000000


def run(program: bytes, number: int, args: tuple[int, ...] = (), arch: int = X86_64) -> int:
    """The SECCOMP_RET_* value of the program for one call (struct seccomp_data of seccomp(2))."""
    data = pack("=iIQ6Q", _signed(number), arch, 0, *args, *(0,) * (6 - len(args)))
    instructions = list(iter_unpack("=HBBI", program))
    accumulator = index = 0
    jumps = {0x10: int.__eq__, 0x20: int.__gt__, 0x30: int.__ge__, 0x40: int.__and__}
    while True:
        code, true, false, k = instructions[index]
        index += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            (accumulator,) = unpack_from("=I", data, k)
        elif code == 0x06:  # BPF_RET | BPF_K
            return int(k)
        elif code == 0x05:  # BPF_JMP | BPF_JA
            index += k
        elif code == 0x54:  # BPF_ALU | BPF_AND | BPF_K
            accumulator &= k
        elif code & 0x0F == 0x05:  # BPF_JMP | BPF_K
            index += true if jumps[code & 0xF0](accumulator, k) else false
        else:
            raise AssertionError(f"instruction {code:#x}")


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number


def of_process(pid: int) -> bytes:
    """The newest filter of a process, through ptrace(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long

    def ptrace(request: int, data: ctypes.Array[ctypes.c_char] | None = None) -> int:
        result: int = libc.ptrace(request, pid, None, data)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    ptrace(_PTRACE_ATTACH)
    try:
        os.waitpid(pid, _WALL)
        count = ptrace(_PTRACE_SECCOMP_GET_FILTER)
        buffer = ctypes.create_string_buffer(count * 8)
        ptrace(_PTRACE_SECCOMP_GET_FILTER, buffer)
        return buffer.raw
    finally:
        ptrace(_PTRACE_DETACH)
