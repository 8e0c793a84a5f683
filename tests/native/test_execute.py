"""What a program of the container gets: its arguments, environment, descriptors, signals and identity; and why it
cannot be executed."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from pyrunc.plan.ops import SLOT_ROOT
from tests.native.driver import (
    O_PATH,
    PATH,
    Message,
    Outcome,
    drive,
    ops,
)
from tests.support import programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_args_and_environment_arrive_as_they_are(init: Path) -> None:
    # The sanitizers' build has a libc, which looks at ASAN_OPTIONS only.
    show = 'printf "%s|" "$0" "$@"'
    program = ops(("find_executable", "sh", PATH), ("execve", ("sh", "-c", show, "", "é", " a\n"), ()))
    assert drive(init, program).check().stdout == "|é| a\n|"
    outcome = drive(
        init,
        ops(("find_executable", "cat", PATH), ("execve", ("cat", "/proc/self/environ"), ("A=1", "A=2", "x"))),
    )
    assert outcome.check().stdout == "A=1\0A=2\0x\0"


def test_only_stdio_reaches_the_program(init: Path) -> None:
    read, write = os.pipe()
    try:
        outcome = drive(
            init,
            ops(
                ("open", 8, "/", O_PATH),
                ("find_executable", "ls", PATH),
                ("execve", ("ls", "/proc/self/fd"), ()),
            ),
            inherit={3: read},
        )
    finally:
        os.close(read)
        os.close(write)
    assert outcome.check().stdout.split() == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


def test_preserved_descriptors_reach_the_program(init: Path) -> None:
    held = os.open("/", O_PATH)
    try:
        program = [("open", 8, "/", O_PATH), ("preserve_fds", 2), ("find_executable", "ls", PATH)]
        last = ("execve", ("ls", "/proc/self/fd"), ())
        outcome = drive(init, ops(*program, last), inherit={3: held, 4: held})
        assert outcome.check().stdout.split() == ["0", "1", "2", "3", "4", "5"]
        # Descriptor 5 is free, so that the executor's own `open` takes it: not the caller's to preserve.
        program[1] = ("preserve_fds", 3)
        detail = drive(init, ops(*program, last), inherit={3: held, 4: held}).failed(errno.EBADF, 1)
        assert detail == "preserve descriptor 5"
    finally:
        os.close(held)


@pytest.mark.parametrize(
    ("name", "error", "code", "text"),
    [
        ("nothing-like-it", errno.ENOENT, 127, 'exec: "nothing-like-it": executable file not found in $PATH'),
        ("", errno.ENOENT, 127, 'exec: "": executable file not found in $PATH'),
        ("/no/such", errno.ENOENT, 127, 'exec: "/no/such": stat /no/such: no such file or directory'),
        ("/usr", errno.EISDIR, 126, 'exec: "/usr": is a directory: permission denied'),
        ("/etc/passwd", errno.EACCES, 126, 'exec: "/etc/passwd": permission denied'),
        ("/etc/passwd/x", errno.ENOTDIR, 126, 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory'),
    ],
)
def test_a_missing_executable_is_reported_in_runcs_words(
    init: Path, name: str, error: int, code: int, text: str
) -> None:
    outcome = drive(init, ops(("find_executable", name, PATH)))
    assert outcome.failed(error) == text
    assert outcome.failure is not None
    assert outcome.failure.value == code


def test_an_executable_of_no_known_format_is_reported(init: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("no magic\n")
    script.chmod(0o755)
    outcome = drive(init, ops(("find_executable", str(script), ()), ("execve", (str(script),), ())))
    assert outcome.failed(errno.ENOEXEC) == f"exec {script}: exec format error"


def test_a_directory_in_the_path_is_passed_over(init: Path, tmp_path: Path) -> None:
    (tmp_path / "true").mkdir()
    drive(init, ops(("find_executable", "true", (str(tmp_path), *PATH)), ("execve", ("true",), ()))).check()


def test_signals_are_at_their_defaults(init: Path) -> None:
    import signal

    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        program = ops(("find_executable", "cat", PATH), ("execve", ("cat", "/proc/self/status"), ()))
        status = drive(init, program).check().stdout
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
    masks = {
        line.split()[0]: int(line.split()[1], 16)
        for line in status.splitlines()
        if line.startswith("Sig") and line.split()[0] != "SigQ:"
    }
    assert masks["SigBlk:"] == 0
    assert masks["SigIgn:"] == 0


@pytest.mark.parametrize(
    ("uid", "gid", "groups"),
    [(-1, 0, ()), (0, 0xFFFFFFFF, ()), (1 << 32, 0, ()), (0, 0, (-1,)), (0, 0, (1 << 32,))],
)
def test_ids_out_of_range_are_refused(init: Path, uid: int, gid: int, groups: tuple[int, ...]) -> None:
    assert "out of range" in drive(init, ops(("ids", uid, gid, groups, 1))).failed(errno.EINVAL)


@pytest.mark.needs("root")
def test_ids_and_capabilities_are_what_the_plan_says(init: Path) -> None:
    keep = 1 << 5 | 1 << 7 | 1 << 8
    program = ops(
        ("bounding", keep),
        ("ids", 1000, 1001, tuple(range(2000, 2400)), 1),
        ("caps", keep, keep, keep, 1 << 5),
        ("no_new_privs",),
        ("find_executable", "cat", PATH),
        ("execve", ("cat", "/proc/self/status"), ()),
    )
    status = dict(line.split(":", 1) for line in drive(init, program).check().stdout.splitlines())
    assert status["Uid"].split() == ["1000"] * 4
    assert status["Gid"].split() == ["1001"] * 4
    assert status["Groups"].split() == [str(n) for n in range(2000, 2400)]
    assert [int(status[name], 16) for name in ("CapInh", "CapBnd", "CapAmb", "CapEff", "CapPrm")] == [
        keep,
        keep,
        32,
        32,
        32,
    ]
    assert status["NoNewPrivs"].strip() == "1"


@pytest.mark.needs("root")
def test_a_capability_that_cannot_be_had_is_named(init: Path) -> None:
    program = ops(("caps", 0, 1 << 5 | 1 << 7, 0, 0), ("caps", 0, 1 << 5 | 1 << 12 | 1 << 21, 0, 0))
    assert drive(init, program).failed(errno.EPERM, 1) == "capset 12 21"
    outcome = drive(init, ops(("caps", 32, 32, 0, 32), ("ready",))).check()
    assert [(m.value, m.errno, m.detail) for m in outcome.messages[:1]] == [
        (5, errno.EPERM, "cannot raise ambient capability 5")
    ]


def test_seccomp_installs_the_filter(init: Path) -> None:
    import struct

    # BPF: a uname (by its number on this machine) fails with EXDEV, all else is allowed.
    number = {"x86_64": 63, "aarch64": 160}[os.uname().machine]
    code = struct.pack("<HBBI", 0x20, 0, 0, 0) + struct.pack("<HBBI", 0x15, 0, 1, number)
    code += struct.pack("<HBBI", 0x06, 0, 0, 0x50000 | errno.EXDEV) + struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000)
    program = ops(
        ("no_new_privs",),
        ("seccomp", code, 0, 0),
        ("find_executable", "uname", PATH),
        ("execve", ("uname",), ()),
    )
    outcome = drive(init, program)
    assert "cross-device link" in outcome.stderr.lower()
    drive(init, ops(("no_new_privs",), ("seccomp", code[:-1], 0, 0))).failed(errno.EINVAL)


def test_memory_policy_reads_no_further_than_its_mask(init: Path) -> None:
    drive(init, ops(("memory_policy", 2, b"\1", 64))).failed(errno.EINVAL)
    drive(init, ops(("memory_policy", 2, b"\1" + bytes(7), 128))).failed(errno.EINVAL)
    drive(init, ops(("memory_policy", 0, b"", 0))).check()


def test_the_process_has_a_name_and_little_memory(ordinary: Path) -> None:
    seen: list[str] = []

    def answer(message: Message, outcome: Outcome) -> bool:
        for name in ("comm", "status"):
            with open(f"/proc/{outcome.pid}/{name}") as file:
                seen.append(file.read())
        return True

    drive(ordinary, ops(("sync",)), answer=answer).check()
    assert seen[0] == "pyrunc-init\n"
    anonymous = next(line for line in seen[1].splitlines() if line.startswith("RssAnon:"))
    assert int(anonymous.split()[1]) <= 100


PASSWD = f"""\
root:x:0:0:root:/root:/bin/sh
broken
empty::::
number:x:1000x:1:no number:/no:/bin/sh
alice:x:1000:50:Alice,,,:/home/alice:/bin/sh
second:x:1000:1::/second:
nowhere:x:7:7:::
long:x:9:9:{"g" * 5000}:/after/the/gap:/bin/sh
last:x:4294967294:1::/last"""


@pytest.mark.needs("root", "busybox")
@pytest.mark.parametrize(
    ("uid", "home"),
    [(0, "/root"), (1000, "/home/alice"), (7, "/"), (8, "/"), (9, "/after/the/gap"), (4294967294, "/last")],
)
def test_home_is_that_of_the_containers_passwd(init: Path, tmp_path: Path, uid: int, home: str) -> None:
    assert home_of(init, tmp_path, uid, lambda path: path.write_text(PASSWD)) == home


@pytest.mark.needs("root", "busybox")
@pytest.mark.parametrize(
    "make",
    [
        os.fspath,
        lambda path: path.mkdir(),
        os.mkfifo,
        lambda path: os.mknod(path, 0o20666, os.makedev(1, 5)),
        lambda path: path.symlink_to("passwd"),
        lambda path: path.write_bytes(bytes(range(256)) * 4000),
    ],
    ids=["absent", "directory", "fifo", "zero", "loop", "garbage"],
)
def test_what_is_no_passwd_makes_no_difference(init: Path, tmp_path: Path, make: Callable[[Path], object]) -> None:
    assert home_of(init, tmp_path, 0, make) == "/"


def home_of(init: Path, tmp_path: Path, uid: int, make: Callable[[Path], object]) -> str:
    """HOME that `home` finds in a root directory whose etc/passwd ``make`` makes."""
    (tmp_path / "etc").mkdir()
    make(tmp_path / "etc/passwd")
    busybox = programs.busybox()
    assert busybox
    shutil.copy(busybox, tmp_path / "sh")
    program = (("open", SLOT_ROOT, str(tmp_path), O_PATH), ("chroot",), ("home", uid), ("find_executable", "/sh", ()))
    shown = ("sh", "-c", 'echo "$A $HOME"')
    return drive(init, ops(*program, ("execve", shown, ("A=1",)))).check().stdout.strip().removeprefix("1 ")
