"""The table of system calls: complete, without contradictions, and compiled into what it says."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.host import seccomp
from pyrunc.sandbox import profile
from tests.unit.host import bpf

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_libseccomp = pytest.mark.needs("libseccomp", "x86_64")

ALLOW, KILL = 0x7FFF0000, 0x00000000
EPERM, ENOSYS = 0x00050001, 0x00050026
X86_64, AARCH64 = 0xC000003E, 0xC00000B7

TABLES = (profile.ALLOWED, profile.DENIED, profile.ABSENT)


def names(groups: tuple[profile.Group, ...]) -> list[str]:
    return [name for _, group in groups for name in group]


def conditional() -> set[str]:
    return {rule["names"][0] for rule in profile.conditions()}


def library() -> Any:
    loaded = ctypes.CDLL("libseccomp.so.2")
    loaded.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    return loaded


def known(arch: int) -> Iterator[tuple[int, str]]:
    """Number and name of every call that libseccomp knows of an architecture."""
    loaded = library()
    for number in range(600):
        found = loaded.seccomp_syscall_resolve_num_arch(arch, number)
        if found:
            yield number, found.decode()


@pytest.fixture(scope="module")
def program() -> bytes:
    return seccomp.build(profile.default(), seccomp.library("x86_64"))


def number(name: str) -> int:
    found: int = library().seccomp_syscall_resolve_name(name.encode())
    return found


def test_every_group_has_a_reason_and_no_call_is_decided_twice() -> None:
    listed = [name for table in TABLES for name in names(table)]
    assert len(listed) == len(set(listed))
    assert not conditional() & set(listed)
    assert all(why and group for table in TABLES for why, group in table)


@needs_libseccomp
@pytest.mark.parametrize("arch", [X86_64, AARCH64])
def test_no_call_was_forgotten(arch: int) -> None:
    decided = {name for table in TABLES for name in names(table)} | conditional()
    assert [name for _, name in known(arch) if name not in decided] == []


@needs_libseccomp
def test_each_call_gets_what_the_table_says(program: bytes) -> None:
    wanted = {
        **dict.fromkeys(names(profile.ALLOWED), ALLOW),
        **dict.fromkeys(names(profile.DENIED), EPERM),
        **dict.fromkeys(names(profile.ABSENT), ENOSYS),
    }
    for at, name in known(X86_64):
        if name in wanted:
            assert bpf.run(program, at) == wanted[name], name


@needs_libseccomp
def test_a_call_newer_than_the_table_does_not_exist(program: bytes) -> None:
    newest = max(at for at, _ in known(X86_64))
    assert {bpf.run(program, at) for at in range(newest + 1, newest + 500)} == {ENOSYS}


@needs_libseccomp
def test_other_abis_are_killed(program: bytes) -> None:
    assert bpf.run(program, number("getpid") | bpf.X32_BIT) == KILL
    assert bpf.run(program, 20, arch=bpf.I386) == KILL
    assert bpf.run(program, 172, arch=AARCH64) == KILL


@needs_libseccomp
def test_debugging_moves_a_few_calls(program: bytes) -> None:
    debugged = seccomp.build(profile.default(debug=True), seccomp.library("x86_64"))
    changed = {name for at, name in known(X86_64) if bpf.run(program, at) != bpf.run(debugged, at)}
    assert changed == {"ptrace", "process_vm_readv", "process_vm_writev"}
    assert bpf.run(debugged, number("ptrace")) == ALLOW


def test_a_profile_is_made_once() -> None:
    assert profile.default() is profile.default()
    assert profile.default() is not profile.default(debug=True)


U64 = st.integers(0, (1 << 64) - 1)
NAMESPACES = 0x7E020000


@needs_libseccomp
@given(flags=U64 | st.sampled_from([1 << bit for bit in range(64)]))
def test_clone_and_unshare_make_no_namespaces(program: bytes, flags: int) -> None:
    assert bpf.run(program, number("clone"), (flags,)) == (EPERM if flags & NAMESPACES else ALLOW)
    assert bpf.run(program, number("unshare"), (flags,)) == (EPERM if flags & (NAMESPACES | 0x80) else ALLOW)


@needs_libseccomp
@given(
    request=U64
    | st.sampled_from(profile.TERMINAL_IOCTLS).flatmap(
        lambda value: st.sampled_from([value ^ (1 << bit) for bit in range(64)] + [value])
    )
)
def test_every_ioctl_but_those_of_terminals_passes(program: bytes, request: int) -> None:
    """The kernel reads 32 bits of the number, whatever else is in the register."""
    refused = request & 0xFFFFFFFF in profile.TERMINAL_IOCTLS
    assert bpf.run(program, number("ioctl"), (0, request)) == (EPERM if refused else ALLOW)


@needs_libseccomp
@given(command=U64 | st.sampled_from([1024, 1 << 32 | 1024, 1025, 1023, 0]))
def test_a_file_can_be_locked_but_not_leased(program: bytes, command: int) -> None:
    assert bpf.run(program, number("fcntl"), (0, command)) == (EPERM if command & 0xFFFFFFFF == 1024 else ALLOW)


@needs_libseccomp
@given(pid=U64 | st.sampled_from([0, 1, 2, 1 << 32, 1 << 32 | 1, 0xFFFFFFFF]), which=st.integers(0, 3))
def test_the_first_process_keeps_its_limits_and_its_place(program: bytes, pid: int, which: int) -> None:
    wanted = EPERM if pid & 0xFFFFFFFF == 1 else ALLOW
    for name in ("prlimit64", "sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity"):
        assert bpf.run(program, number(name), (pid, 7, 0)) == wanted
    assert bpf.run(program, number("setpriority"), (which, pid, 0)) == (wanted if which == 0 else EPERM)
    assert bpf.run(program, number("ioprio_set"), (which, pid, 0)) == (wanted if which == 1 else EPERM)


@given(st.sets(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=6), st.integers(0, 0xFFFFFFFF))
def test_what_parts_from_a_set_is_matched_once_and_the_set_never(values: set[int], probe: int) -> None:
    pairs = list(profile.parted(tuple(values)))
    for value in (*values, probe):
        hits = sum(value & mask == prefix for mask, prefix in pairs)
        assert hits == (0 if value in values else 1)


@needs_libseccomp
@given(family=st.integers(0, 50) | U64, kind=st.integers(0, 12), protocol=st.integers(0, 300) | U64)
def test_a_socket_is_local_or_tcp_udp_ping_or_asks_for_routes(
    program: bytes, family: int, kind: int, protocol: int
) -> None:
    inet = {(1, 0), (1, 6), (2, 0), (2, 17)}
    right = {
        1: True,
        2: (kind, protocol) in inet | {(2, 1)},
        10: (kind, protocol) in inet | {(2, 58)},
        16: protocol == 0,
    }.get(family, False)
    wanted = ALLOW if right else EPERM
    assert bpf.run(program, number("socket"), (family, kind, protocol)) == wanted
    assert bpf.run(program, number("socket"), (family, kind | 0o2004000, protocol)) == wanted
    assert bpf.run(program, number("socketpair"), (family, kind, protocol)) == (ALLOW if family == 1 else EPERM)


@needs_libseccomp
@given(kind=st.integers(0, 15), rest=st.integers(0, 0o7777), upper=st.integers(0, (1 << 48) - 1))
def test_nodes_of_devices_cannot_be_made(program: bytes, kind: int, rest: int, upper: int) -> None:
    """mode is 16 bits to the kernel; type 0 is a regular file."""
    mode = upper << 16 | kind << 12 | rest
    wanted = ALLOW if kind in (0o00, 0o01, 0o10, 0o14) else EPERM
    assert bpf.run(program, number("mknod"), (0, mode)) == wanted
    assert bpf.run(program, number("mknodat"), (0, 0, mode)) == wanted


@needs_libseccomp
@given(U64 | st.sampled_from([0, 8, 0x40000, 0x40008, 0xFFFFFFFF, 0x400000]))
def test_personalities_are_those_of_setarch(program: bytes, value: int) -> None:
    usual = value in (0, 8, 0x40000, 0x40008, 0xFFFFFFFF)
    assert bpf.run(program, number("personality"), (value,)) == (ALLOW if usual else EPERM)
