"""The filters of pyrunc and of runc give the same answer for every system call."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.host import seccomp
from tests.unit.host import bpf, profile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.bundles import Bundle

ERRNO = {"names": ["mkdirat", "uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}
ARGUMENTS = [
    {"index": 0, "value": 7, "op": "SCMP_CMP_GE"},
    {"index": 1, "value": 0xF0, "valueTwo": 0x30, "op": "SCMP_CMP_MASKED_EQ"},
]
SAME_ARGUMENT = [
    {"index": 0, "value": 3, "op": "SCMP_CMP_EQ"},
    {"index": 0, "value": 5, "op": "SCMP_CMP_EQ"},
]
X86_64 = ["SCMP_ARCH_X86_64"]

PROFILES: dict[str, Callable[[], dict[str, Any]]] = {
    "default": profile.default,
    "deny list": lambda: {"defaultAction": "SCMP_ACT_ALLOW", "architectures": X86_64, "syscalls": [ERRNO]},
    "arguments": lambda: {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": X86_64,
        "syscalls": [
            {"names": ["mkdirat", "getpriority"], "action": "SCMP_ACT_ERRNO", "args": ARGUMENTS},
            {"names": ["setpriority"], "action": "SCMP_ACT_TRAP", "args": SAME_ARGUMENT},
            {"names": ["no_such_call"], "action": "SCMP_ACT_KILL"},
        ],
    },
    "allow list, one architecture": lambda: {
        **profile.default(),
        "defaultErrnoRet": 99,
        "architectures": X86_64,
    },
}

VALUES = (0, 1, 3, 5, 7, 8, 0x30, 0x33, 0x10000, 0x20000, 0x20008, 0xFFFFFFFF, 0x7E020000, 1 << 40)
#: Calls whose arguments some profile looks at, as x86-64 and i386 number them.
WITH_ARGUMENTS = {41, 56, 102, 120, 135, 136, 140, 141, 258, 296, 359}
ENOSYS = 0x00050026


@pytest.mark.needs("root", "runc", "busybox", "libseccomp", "x86_64", "seccomp-profile")
@pytest.mark.parametrize("name", PROFILES)
def test_a_filter_answers_every_call_as_runcs_does(
    name: str, tmp_path: Path, runc: Path, bundle: Callable[..., Bundle], container_id: str
) -> None:
    config = PROFILES[name]()
    ours = seccomp.compile(config, str(tmp_path / "cache"), "x86_64")
    theirs = runcs_filter(runc, tmp_path, bundle(), container_id, config)
    numbers = [*range(600), *(bpf.X32_BIT + n for n in range(600)), 0xFFFFFFFF]
    calls = [
        (number, args, arch)
        for arch in (bpf.X86_64, bpf.I386, 0x1234)
        for number in numbers
        for args in (variants() if number & ~bpf.X32_BIT in WITH_ARGUMENTS else [()])
    ]
    assert [call for call in calls if bpf.run(ours, *call) != bpf.run(theirs, *call)] == []
    if config["defaultAction"] == "SCMP_ACT_ERRNO":
        assert bpf.run(theirs, 599) == ENOSYS


def variants() -> list[tuple[int, ...]]:
    return [args for v in VALUES for args in ((v,), (v, v), (8, v), (v, 0x3F, v))]


def runcs_filter(runc: Path, tmp_path: Path, bundle: Bundle, name: str, config: dict[str, Any]) -> bytes:
    bundle.edit(linux__seccomp=config, process__terminal=False, ociVersion="1.0.2")
    bundle.args("sleep", "1000")
    command = [str(runc), "--root", str(tmp_path / "runc")]
    subprocess.run(
        [*command, "run", "-d", "-b", str(bundle.path), name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    try:
        state = json.loads(subprocess.check_output([*command, "state", name]))
        return bpf.of_process(state["pid"])
    finally:
        subprocess.run([*command, "delete", "--force", name], check=True)
