"""What ops do and how they fail: each by its effect on the process, as the kernel shows it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from pyrunc.plan.ops import CREATE_DIR, SLOT_FIFO, SLOT_PROC, SLOT_ROOT, Op
from tests.native.driver import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONED,
    CREATED,
    MS_PRIVATE,
    MS_REC,
    O_DIRECTORY,
    O_PATH,
    READY,
    STOPPED,
    SYNC,
    Message,
    Outcome,
    drive,
    ops,
)

if TYPE_CHECKING:
    from pathlib import Path

PATH = ("/nonexistent", "/usr/bin", "/bin")
MOUNT_ATTR_RDONLY = 1
OPEN_TREE_CLONE = 1


def shell(script: str, *env: str) -> tuple[tuple[object, ...], ...]:
    return (("find_executable", "sh", PATH), ("execve", ("sh", "-c", script), env))


def private(rootfs: Path) -> tuple[tuple[object, ...], ...]:
    """A mount namespace of its own, with the rootfs mounted."""
    return (
        ("unshare", CLONE_NEWNS),
        ("propagation", "/", MS_REC | MS_PRIVATE),
        ("open_proc", SLOT_PROC),
        ("open_tree", SLOT_ROOT, str(rootfs), OPEN_TREE_CLONE),
        ("attach_root", SLOT_ROOT, str(rootfs)),
    )


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    path = tmp_path / "rootfs"
    path.mkdir()
    return path


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


def test_clone_announces_the_new_process_before_it_speaks(init: Path) -> None:
    def answer(message: Message, outcome: Outcome) -> bool:
        if message.kind == CLONED:
            with open(f"/proc/self/fdinfo/{message.fds[0]}") as info:
                assert f"Pid:\t{message.value}\n" in info.read()
        return True

    outcome = drive(init, ops(("clone", CLONE_NEWUSER | CLONE_NEWPID, -1), ("ready",), ("sync",)), answer=answer)
    assert [message.kind for message in outcome.check().messages] == [CLONED, READY, SYNC]


@pytest.mark.parametrize("at", [CLONED, SYNC])
def test_when_the_runtime_goes_away_the_process_ends(init: Path, at: int) -> None:
    program = ops(("clone", CLONE_NEWUSER, -1), ("sync",), ("execve", ("/bin/true",), ()))
    outcome = drive(init, program, answer=lambda message, _: message.kind != at)
    assert outcome.statuses[outcome.messages[0].value] == 1


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


@pytest.mark.parametrize("at", range(3))
def test_an_injected_failure_names_its_op(init: Path, at: int) -> None:
    outcome = drive(init, ops(("umask", 0), ("ready",), ("umask", 0)), f"fail={at}:{errno.EXDEV}")
    assert outcome.failed(errno.EXDEV, at) == "injected failure"
    assert len(outcome.messages) == (1 if at < 2 else 2)


def test_stop_waits_before_the_op(init: Path) -> None:
    outcome = drive(init, ops(("ready",), ("ready",)), "stop=0", "stop=1")
    assert [(m.kind, m.op) for m in outcome.check().messages] == [
        (STOPPED, 0),
        (READY, 0),
        (STOPPED, 1),
        (READY, 1),
    ]


def test_proc_write_takes_no_symlink_and_no_mount(init: Path) -> None:
    base = (("open_proc", SLOT_PROC),)
    drive(init, ops(*base, ("proc_write", "self/comm", "renamed"))).check()
    drive(init, ops(*base, ("proc_write", "self/cwd/x", "x"))).failed(errno.ELOOP)
    drive(init, ops(*base, ("proc_write", "mounts", "x"))).failed(errno.ELOOP)
    drive(init, ops(*base, ("proc_write", "../etc/x", "x"))).failed(errno.EXDEV)


@pytest.mark.needs("root")
def test_proc_write_refuses_what_is_mounted_over(init: Path) -> None:
    program = (
        ("unshare", CLONE_NEWNS),
        ("propagation", "/", MS_REC | MS_PRIVATE),
        ("open_proc", SLOT_PROC),
        ("open", 8, "/proc/sys/kernel", O_PATH),
        ("fsmount", 9, "tmpfs", "x", (), 0, -1),
        ("attach", 9, 8),
        ("proc_write", "sys/kernel/x", "x"),
    )
    drive(init, ops(*program)).failed(errno.EXDEV)


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


@pytest.mark.needs("root")
def test_a_failed_file_system_says_why(init: Path, rootfs: Path) -> None:
    detail = drive(init, ops(("fsmount", 8, "tmpfs", "x", ("size=1x",), 0, -1))).failed(errno.EINVAL)
    assert detail.startswith("fsconfig size=1x for tmpfs: ")
    detail = drive(init, ops(("fsmount", 8, "no-such-fs", "x", (), 0, -1))).failed(errno.ENODEV)
    assert detail == "fsopen no-such-fs"


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    ("mode", "options", "wanted"),
    [(0o1777, (), 0o1777), (0o750, (), 0o750), (0, (), 0), (0o755, ("mode=700",), 0o700)],
)
def test_a_tmpfs_keeps_the_mode_of_what_it_covers(
    init: Path, rootfs: Path, mode: int, options: tuple[str, ...], wanted: int
) -> None:
    (rootfs / "d").mkdir()
    (rootfs / "d").chmod(mode)
    program = (
        *private(rootfs),
        ("target", 8, "/d", CREATE_DIR, 0o755, 0, -1),
        ("fsmount", 9, "tmpfs", "x", options, 0, 8),
        ("attach", 9, 8),
        ("find_executable", "stat", PATH),
        ("execve", ("stat", "-c", "%a", str(rootfs / "d")), ()),
    )
    assert drive(init, ops(*program)).check().stdout.strip() == f"{wanted:o}"


@pytest.mark.needs("root")
def test_copy_up_copies_everything_and_follows_nothing(init: Path, rootfs: Path, tmp_path: Path) -> None:
    source = rootfs / "d"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_bytes(os.urandom(300_000))
    (source / "sub" / "file").chmod(0o4751)
    os.chown(source / "sub" / "file", 12, 34)
    os.chmod(source / "sub" / "file", 0o4751)
    (source / "sub" / "absolute").symlink_to("/etc/passwd")
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "fifo", 0o600)
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (source / "sub").chmod(0o1733)
    for n in range(200):
        (source / f"{n}-{'x' * 60}").touch()
    program = (
        *private(rootfs),
        ("target", 8, "/d", CREATE_DIR, 0o755, 0, -1),
        ("fsmount", 9, "tmpfs", "x", (), 0, 8),
        ("copy_up", 8, 9),
        ("attach", 9, 8),
        ("find_executable", "cp", PATH),
        ("execve", ("cp", "-a", str(source), str(tmp_path / "copy")), ()),
    )
    drive(init, ops(*program)).check()

    def look(tree: Path) -> dict[str, tuple[object, ...]]:
        found: dict[str, tuple[object, ...]] = {}
        for path in tree.rglob("*"):
            info = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            to = str(path.readlink()) if path.is_symlink() else ""
            mtime = 0 if path.is_symlink() or not (path.is_file() or path.is_dir()) else info.st_mtime_ns
            owner = (info.st_uid, info.st_gid)
            found[str(path.relative_to(tree))] = (info.st_mode, owner, info.st_rdev, mtime, content, to)
        return found

    assert look(tmp_path / "copy") == look(source)


@pytest.mark.needs("root")
def test_copy_up_has_a_limit_of_depth(init: Path, rootfs: Path) -> None:
    (rootfs / "/".join("d" * 70)).mkdir(parents=True)
    program = (
        *private(rootfs),
        ("target", 8, "/d", CREATE_DIR, 0o755, 0, -1),
        ("fsmount", 9, "tmpfs", "x", (), 0, 8),
        ("copy_up", 8, 9),
    )
    assert drive(init, ops(*program)).failed(errno.ELOOP) == "directories too deep to copy"


@pytest.mark.needs("root")
def test_mask_and_readonly_path_hide_and_protect(init: Path, rootfs: Path) -> None:
    for name in ("dir", "dir2", "ro"):
        (rootfs / name).mkdir()
        (rootfs / name / "inside").touch()
    for name in ("file", "file2"):
        (rootfs / name).write_text("secret")
    program = (
        *private(rootfs),
        ("open_null", 2),
        ("fsmount", 3, "tmpfs", "mask", (), MOUNT_ATTR_RDONLY, -1),
        *(("mask", -1, f"/{name}") for name in ("dir", "file", "absent", "file/x", "dir2", "file2")),
        ("readonly_path", -1, "/ro"),
        ("readonly_path", -1, "/absent"),
        *shell(f"cd {rootfs}; ls -A dir dir2; cat file file2; touch ro/x || echo refused; touch dir/x || echo no"),
    )
    outcome = drive(init, ops(*program)).check()
    assert outcome.stdout.split() == ["dir:", "dir2:", "refused", "no"]
    assert (rootfs / "file").read_text() == "secret"


@pytest.mark.needs("root")
@pytest.mark.parametrize("enter", [("pivot_root",), ("move_root", "{rootfs}"), ("chroot",)])
def test_the_rootfs_becomes_the_root(init: Path, rootfs: Path, enter: tuple[str, ...]) -> None:
    (rootfs / "bin").mkdir()
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox")
    shutil.copy2(busybox, rootfs / "bin" / "busybox")
    op = tuple(part.format(rootfs=rootfs) for part in enter)
    program = (
        *private(rootfs),
        op,
        ("make_cwd", "/work/here"),
        ("chdir", "/work/here", 0),
        ("find_executable", "busybox", ("/bin",)),
        ("execve", ("busybox", "sh", "-c", "pwd; ls /; ls /../.."), ()),
    )
    outcome = drive(init, ops(*program)).check()
    assert outcome.stdout.split() == ["/work/here", "bin", "work", "bin", "work"]
    assert [detail.split(" ", 4)[4] for detail in outcome.details(CREATED)] == ["work", "work/here"]


@pytest.mark.needs("root")
def test_chdir_to_what_is_outside_of_the_root_is_refused(init: Path, rootfs: Path) -> None:
    """A leaked descriptor of a host directory is no way out (CVE-2024-21626)."""
    (rootfs / "proc").mkdir()
    program = (
        *private(rootfs),
        ("target", 8, "/proc", CREATE_DIR, 0o755, 1, -1),
        ("fsmount", 9, "proc", "proc", (), 0, -1),
        ("attach", 9, 8),
        ("pivot_root",),
        ("chdir", "/proc/self/fd/150", 0),
    )
    outside = os.open("/etc", O_PATH | O_DIRECTORY)
    try:
        outcome = drive(init, ops(*program), "10=150", inherit={150: outside})
    finally:
        os.close(outside)
    assert "/proc/self/fd/150" in outcome.failed(errno.ENOENT, len(program) - 1)


def test_userns_has_the_maps_and_leaves_no_process(init: Path) -> None:
    uid, gid = os.getuid(), os.getgid()
    program = ops(
        ("userns", 8, f"5 {uid} 1\n", f"6 {gid} 1\n"),
        ("join_namespaces", (8,), (CLONE_NEWUSER,)),
        ("find_executable", "cat", PATH),
        ("execve", ("cat", "/proc/self/uid_map", "/proc/self/gid_map"), ()),
    )
    assert drive(init, program).check().stdout.split() == ["5", str(uid), "1", "6", str(gid), "1"]


def hook(script: str, timeout: int = 0, env: tuple[str, ...] = ()) -> tuple[object, ...]:
    args = ("sh", "-c", script)
    return ("container_hook", "createContainer", "/bin/sh", args, env, timeout, ('{"pid":', ',"x":"y"}'))


def test_a_hook_gets_state_arguments_and_environment(init: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f'{{ cat; echo "$A"; ls /proc/self/fd; }} >{said}; echo noise'
    program = ops(("open", 8, "/", O_PATH), hook(script, env=("A=b", "PATH=/bin:/usr/bin")))
    outcome = drive(init, program).check()
    assert outcome.stdout == ""  # the container's stdout is not a hook's
    assert said.read_text().split() == [f'{{"pid":{outcome.pid},"x":"y"}}b', "0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("op", "error", "detail"),
    [
        (hook("echo said; echo bad >&2; exit 3"), 0, "hook /bin/sh: exit status 3, stdout: said, stderr: bad"),
        (hook("kill -9 $$"), 0, "hook /bin/sh: signal 9, stdout: , stderr: "),
        (hook("exec sleep 1000", 1, ("PATH=/bin:/usr/bin",)), errno.ETIMEDOUT, "hook /bin/sh: timed out"),
        (
            ("container_hook", "x", "/no/such", (), (), 0, ("", "")),
            errno.ENOENT,
            "hook /no/such: no such file or directory",
        ),
    ],
)
def test_a_hook_that_fails_is_reported_and_reaped(init: Path, op: tuple[object, ...], error: int, detail: str) -> None:
    outcome = drive(init, ops(("umask", 0o22), op))
    assert outcome.failed(error, 1) == detail


def test_a_state_larger_than_a_pipe_does_not_block(init: Path) -> None:
    program = ops(("container_hook", "x", "/bin/sh", ("sh", "-c", "exit 0"), (), 0, ("x" * 300_000, "")))
    drive(init, program).check()


class Fifo:
    """Plays `start`: reads the exec FIFO to its end once the init is ready."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "exec.fifo"
        os.mkfifo(self.path)
        self.data = b""

    def answer(self, message: Message, _: Outcome) -> bool:
        if message.kind == READY:
            with open(self.path, "rb") as reader:
                self.data = reader.read()
        return True


def waiting(fifo: Fifo, *last: tuple[object, ...]) -> list[Op]:
    return ops(
        ("open_proc", SLOT_PROC),
        ("open", SLOT_FIFO, str(fifo.path), O_PATH),
        ("ready",),
        ("wait_start",),
        *last,
    )


def test_the_fifo_starts_the_program_and_ends_at_execve(init: Path, tmp_path: Path) -> None:
    fifo = Fifo(tmp_path)
    outcome = drive(init, waiting(fifo, *shell("echo started")), answer=fifo.answer).check()
    assert fifo.data == b"0"
    assert outcome.stdout == "started\n"


def test_a_failure_after_the_start_goes_to_the_fifo(init: Path, tmp_path: Path) -> None:
    import struct

    fifo = Fifo(tmp_path)
    outcome = drive(init, waiting(fifo, ("execve", ("/no/such",), ())), answer=fifo.answer)
    assert outcome.failure is None
    assert list(outcome.statuses.values()) == [1]
    assert fifo.data[:1] == b"0"
    assert struct.unpack_from("<IIiI", fifo.data, 1) == (4, 4, errno.ENOENT, 127)
    assert fifo.data[17:] == b"exec /no/such: no such file or directory"


def test_a_failure_that_nobody_hears_goes_to_stderr(init: Path) -> None:
    program = ops(("ready",), ("umask", 0), ("wait_start",))
    outcome = drive(init, program)
    assert outcome.stderr == "pyrunc-init: nothing in slot PROC: errno 9\n"


@pytest.mark.needs("root")
def test_the_pty_is_made_from_its_master(init: Path, rootfs: Path) -> None:
    (rootfs / "dev").mkdir()
    sizes: list[os.terminal_size] = []

    def answer(message: Message, outcome: Outcome) -> bool:
        if message.fds and message.kind != CLONED:
            sizes.append(os.get_terminal_size(message.fds[0]))
        return True

    program = (
        *private(rootfs),
        ("clone", 0, -1),
        ("setsid",),
        ("target", 8, "/dev/pts", CREATE_DIR, 0o755, 0, -1),
        ("fsmount", 9, "devpts", "devpts", ("newinstance", "ptmxmode=0666", "mode=0620"), 0, -1),
        ("attach", 9, 8),
        ("open_pty", 24, 81, 1, 0),
        ("find_executable", "stat", PATH),
        ("execve", ("stat", "-c", "%t:%T", str(rootfs / "dev/console")), ()),
    )
    outcome = drive(init, ops(*program), answer=answer).check()
    assert sizes == [os.terminal_size((81, 24))]
    assert outcome.stdout.split() == ["88:0"]


@pytest.mark.needs("root")
def test_a_pty_without_a_devpts_is_refused(init: Path, rootfs: Path) -> None:
    (rootfs / "dev" / "pts").mkdir(parents=True)
    (rootfs / "dev" / "pts" / "ptmx").touch()
    assert "devpts" in drive(init, ops(*private(rootfs), ("open_pty", 0, 0, 1, 1))).failed(errno.ENODEV)
    (rootfs / "dev").rename(rootfs / "dev2")
    (rootfs / "dev").symlink_to("/dev2")
    drive(init, ops(*private(rootfs), ("open_pty", 0, 0, 1, 1))).failed(errno.ELOOP)


@pytest.mark.needs("root")
def test_copy_symlink_copies_a_link_and_binds_anything_else(init: Path, rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/some where")
    (tmp_path / "file").write_text("content")
    program = (
        *private(rootfs),
        ("copy_symlink", 8, str(tmp_path / "link"), "/a/link"),
        ("attach", 8, 9),
        ("copy_symlink", 8, str(tmp_path / "file"), "/file"),
        ("target", 9, "/file", 3, 0o644, 0, 8),
        ("attach", 8, 9),
        ("find_executable", "cat", PATH),
        ("execve", ("cat", str(rootfs / "file")), ()),
    )
    assert drive(init, ops(*program)).check().stdout == "content"
    assert (rootfs / "a" / "link").readlink().as_posix() == "/some where"


@pytest.mark.needs("root")
def test_a_mount_with_long_options_goes_the_old_way(init: Path, rootfs: Path) -> None:
    lower = [rootfs / f"{n}{'x' * 100}" for n in range(4)]
    for path in lower:
        path.mkdir()
        (path / path.name[:1]).touch()
    data = "lowerdir=" + ":".join(map(str, lower))
    assert len(data) > 400
    program = (
        *private(rootfs),
        ("target", 8, "/m", CREATE_DIR, 0o755, 0, -1),
        ("legacy_mount", 8, "overlay", "overlay", 0, data),
        ("find_executable", "ls", PATH),
        ("execve", ("ls", str(rootfs / "m")), ()),
    )
    assert drive(init, ops(*program)).check().stdout.split() == ["0", "1", "2", "3"]


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
