"""Filters as the kernel obeys them, and the cache that keeps them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyrunc.errors import HostError
from pyrunc.host import enosys, seccomp
from tests.support import programs
from tests.unit.host import bpf

MACHINE = os.uname().machine
UNAME, GETPRIORITY, GETSID = 63, 140, 124
HERE = Path(__file__).parent


def attempt(tmp_path: Path, config: dict[str, Any], *call: int) -> str:
    """What the call gives under the filter: "result errno", or the name of the signal that it dies of."""
    program = tmp_path / "program"
    program.write_bytes(seccomp.compile(config, str(tmp_path / "cache"), MACHINE))
    probe = programs.static("filter_probe", HERE)
    done = subprocess.run(
        [probe, program, *map(str, call)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode < 0:
        return signal.Signals(-done.returncode).name
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def rule(action: str, **more: Any) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["getpriority"], "action": action, **more}],
    }


needs_kernel = pytest.mark.needs("seccomp", "libseccomp", "static", "x86_64")


@needs_kernel
@pytest.mark.parametrize(
    ("action", "more", "expected"),
    [
        ("SCMP_ACT_ERRNO", {}, "-1 1"),
        ("SCMP_ACT_ERRNO", {"errnoRet": 77}, "-1 77"),
        ("SCMP_ACT_ERRNO", {"errnoRet": 0}, "0 0"),
        ("SCMP_ACT_KILL", {}, "SIGSYS"),
        ("SCMP_ACT_KILL_THREAD", {}, "SIGSYS"),
        ("SCMP_ACT_KILL_PROCESS", {}, "SIGSYS"),
        ("SCMP_ACT_TRAP", {}, "SIGSYS"),
        ("SCMP_ACT_TRACE", {}, "-1 38"),  # without a tracer
        ("SCMP_ACT_NOTIFY", {}, "-1 38"),  # without a listener
        ("SCMP_ACT_LOG", {}, "20 0"),
        ("SCMP_ACT_ALLOW", {}, "20 0"),
    ],
)
def test_the_kernel_does_what_the_action_says(action: str, more: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert attempt(tmp_path, rule(action, **more), GETPRIORITY, 0, 0) == expected


@needs_kernel
@pytest.mark.parametrize(
    ("operator", "value", "second", "hit", "miss"),
    [
        ("SCMP_CMP_NE", 5, 0, (4, 6), (5,)),
        ("SCMP_CMP_LT", 5, 0, (4,), (5, 6)),
        ("SCMP_CMP_LE", 5, 0, (4, 5), (6,)),
        ("SCMP_CMP_EQ", 5, 0, (5,), (4, 6)),
        ("SCMP_CMP_GE", 5, 0, (5, 6), (4,)),
        ("SCMP_CMP_GT", 5, 0, (6,), (4, 5)),
        ("SCMP_CMP_MASKED_EQ", 0xF0, 0x30, (0x30, 0x3F), (0x40, 0x130 ^ 0x10)),
        ("SCMP_CMP_EQ", 1 << 40, 0, (1 << 40,), (0, (1 << 40) + 1)),
    ],
)
def test_a_comparison_decides_by_the_argument(
    operator: str, value: int, second: int, hit: tuple[int, ...], miss: tuple[int, ...], tmp_path: Path
) -> None:
    args = [{"index": 2, "value": value, "valueTwo": second, "op": operator}]
    config = rule("SCMP_ACT_ERRNO", args=args)
    for argument in hit:
        assert attempt(tmp_path, config, GETPRIORITY, 0, 0, argument) == "-1 1", argument
    for argument in miss:
        assert attempt(tmp_path, config, GETPRIORITY, 0, 0, argument) == "20 0", argument


@needs_kernel
def test_a_call_newer_than_an_allow_list_does_not_exist(tmp_path: Path) -> None:
    config = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {
                "names": ["write", "exit_group", "fstat", "newfstatat", "pidfd_open"],
                "action": "SCMP_ACT_ALLOW",
            }
        ],
    }
    assert attempt(tmp_path, config, GETSID) == "-1 1"
    assert attempt(tmp_path, config, 450) == "-1 38"


@pytest.mark.needs("libseccomp", "x86_64")
def test_the_default_errno_is_the_configs(tmp_path: Path) -> None:
    config = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 99,
        "syscalls": [{"names": ["seccomp"], "action": "SCMP_ACT_ALLOW"}],
    }
    program = seccomp.compile(config, str(tmp_path / "cache"), MACHINE)
    assert bpf.run(program, UNAME) == 0x00050000 | 99


@pytest.mark.needs("libseccomp")
def test_what_libseccomp_refuses_is_named_by_its_place(tmp_path: Path) -> None:
    config = rule("SCMP_ACT_ERRNO", args=[{"index": 9, "value": 0, "op": "SCMP_CMP_EQ"}])
    with pytest.raises(HostError) as caught:
        seccomp.compile(config, str(tmp_path / "cache"), MACHINE)
    assert str(caught.value) == (
        "linux.seccomp.syscalls[0]: libseccomp refuses the rule for getpriority: invalid argument"
    )


@pytest.mark.needs("libseccomp")
def test_a_hit_imports_nothing_heavy_and_gives_the_same_program(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pyrunc.host import seccomp\n"
        "rule = {'names': ['uname'], 'action': 'SCMP_ACT_LOG'}\n"
        "config = {'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [rule]}\n"
        "program = seccomp.compile(config, sys.argv[2], sys.argv[3])\n"
        "heavy = {'ctypes', 're', 'typing', 'enum', 'hashlib', 'struct'}\n"
        "print(program.hex(), *sorted(heavy & set(sys.modules)))\n"
    )
    root = Path(seccomp.__file__).parents[2]
    command = [sys.executable, "-I", "-S", "-c", code, str(root), str(tmp_path / "cache"), MACHINE]
    miss, hit = (subprocess.check_output(command, text=True).split() for _ in range(2))
    assert "ctypes" in miss
    assert hit == miss[:1]


@pytest.mark.needs("libseccomp")
def test_another_filter_gets_another_file_and_nothing_else_is_left(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for errno in (1, 2, 1):
        seccomp.compile(rule("SCMP_ACT_ERRNO", errnoRet=errno), str(cache), MACHINE)
    assert [path.suffix for path in cache.iterdir()] == [".bpf", ".bpf"]
    assert cache.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in cache.iterdir()} == {0o600}


@pytest.mark.needs("libseccomp")
@pytest.mark.parametrize("mode", [0o755, 0o770, 0o702])
def test_a_cache_that_others_can_reach_is_refused(mode: int, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(mode)
    with pytest.raises(HostError, match="not a directory of this user's alone"):
        seccomp.compile(rule("SCMP_ACT_ERRNO"), str(cache), MACHINE)


@pytest.mark.needs("libseccomp")
def test_a_cache_that_is_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "cache").symlink_to("elsewhere")
    with pytest.raises(HostError, match="not a directory of this user's alone"):
        seccomp.compile(rule("SCMP_ACT_ERRNO"), str(tmp_path / "cache"), MACHINE)


@pytest.mark.needs("libseccomp", "root")
def test_a_cache_of_another_user_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    os.chown(cache, 12345, 12345)
    with pytest.raises(HostError, match="owner 12345"):
        seccomp.compile(rule("SCMP_ACT_ERRNO"), str(cache), MACHINE)


def test_a_missing_library_is_named_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "_LIBRARY", "libnothing.so.9")
    with pytest.raises(HostError, match=r"libnothing.so.9 is not in .*/usr/lib.* \(Debian and Ubuntu"):
        seccomp.library(MACHINE)


ALLOW = bytes.fromhex("060000000000ff7f")
X32 = 0x4000003E


@pytest.mark.parametrize(
    "newest", [{}, {bpf.X86_64: 300}, {bpf.X86_64: 300, X32: bpf.X32_BIT + 500}, {X32: bpf.X32_BIT + 500}]
)
def test_the_prologue_answers_enosys_above_the_newest_number_only(newest: dict[int, int]) -> None:
    program = enosys.stub({**newest, bpf.I386: 400, 0x80000016: 350}) + ALLOW
    limits = {
        (bpf.X86_64, 0): newest.get(bpf.X86_64),
        (bpf.X86_64, bpf.X32_BIT): newest.get(X32, 0) & ~bpf.X32_BIT or None,
        (bpf.I386, 0): 400,
        (0x80000016, 0): 350,
        (0x1234, 0): None,
    }
    for (arch, bit), limit in limits.items():
        for number in (1, 300, 301, 350, 351, 400, 401, 500, 501):
            expected = 0x00050026 if limit is not None and number > limit else 0x7FFF0000
            assert bpf.run(program, number | bit, arch=arch) == expected, (hex(arch), number)
    # setup(2) on s390 stands for every number that the kernel does not know.
    assert bpf.run(program, 0, arch=0x80000016) == 0x00050026


def test_the_tables_hold_what_the_spec_names() -> None:
    assert len(seccomp.OPERATORS) == 7
    assert seccomp.ARCHITECTURES["SCMP_ARCH_AARCH64"] == 0xC00000B7
    assert seccomp.ARCHITECTURES["SCMP_ARCH_X32"] == X32
