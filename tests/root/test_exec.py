"""exec: a process joins a running container."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.callers.enclosure import on_a_terminal
from tests.root.box import until
from tests.root.test_terminal import ConsoleSocket, read_all
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static")

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def seen(box: Box, *options: str) -> Any:
    """What the probe sees when exec runs it."""
    return json.loads(box.exec(*options, "ID", "/bin/probe").stdout)


def test_the_process_is_in_every_namespace_and_cgroup_of_the_container(sleeper: Box) -> None:
    inside = seen(sleeper)
    first = sleeper.state()["pid"]
    for name, link in inside["namespaces"].items():
        assert os.readlink(f"/proc/{first}/ns/{name}") == link, name
    with open(f"/proc/{first}/cgroup") as file:
        assert inside["cgroup"] == file.read().splitlines()
    assert inside["root"].keys() >= {"bin", "etc"}
    assert inside["hostname"] == "container"


def test_the_process_is_confined_like_the_first_one(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.bundle.edit(process__oomScoreAdj=321, process__apparmorProfile=None)
    box.started()
    inside = seen(box)
    with open(f"/proc/{box.state()['pid']}/status") as file:
        first = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Umask", "SigIgn"):
        assert inside["status"][field] == first[field].strip(), field
    assert inside["rlimits"]["NOFILE"] == [1024, 1024]
    assert inside["oom_score_adj"] == "321\n"
    assert inside["env"][:2] == [PATH, "TERM=xterm"]


def test_only_standard_descriptors_reach_the_process(sleeper: Box) -> None:
    assert sorted(seen(sleeper)["fds"]) == ["0", "1", "2"]


def test_preserved_descriptors_reach_the_process(sleeper: Box, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    command = [str(sleeper.runtime), "--root", str(sleeper.root), "exec", "--preserve-fds", "1", sleeper.id]
    script = 'exec 3<"$1" 4<"$1"; shift; exec "$@"'
    result = run("sh", "-c", script, "sh", tmp_path / "kept", *command, "/bin/probe", "print=fds")
    fds = json.loads(result.stdout)["fds"]
    assert sorted(fds) == ["0", "1", "2", "3"]
    assert fds["3"]["target"] == str(tmp_path / "kept")


@pytest.mark.parametrize("code", [0, 1, 7, 126, 255])
def test_exec_ends_with_the_processs_code(sleeper: Box, code: int) -> None:
    sleeper.exec("ID", "/bin/sh", "-c", f"exit {code}", status=code)


def test_exec_ends_with_128_and_the_signal(sleeper: Box) -> None:
    sleeper.exec("ID", "/bin/sh", "-c", "kill -TERM $$", status=128 + 15)


def test_exec_passes_standard_streams(sleeper: Box) -> None:
    result = sleeper.exec("ID", "/bin/sh", "-c", "cat; echo err >&2", stdin="typed\n")
    assert (result.stdout, result.stderr) == ("typed\n", "err\n")


def test_what_follows_the_id_is_the_command(sleeper: Box) -> None:
    assert sleeper.exec("ID", "/bin/echo", "-n", "--tty", "-e", "x").stdout == "--tty -e x"


@pytest.mark.parametrize("option", ["--cwd=/tmp", "--cwd"])
def test_the_working_directory(sleeper: Box, option: str) -> None:
    words = [option] if "=" in option else [option, "/tmp"]
    assert sleeper.exec(*words, "ID", "/bin/pwd").stdout == "/tmp\n"


def test_environment_is_added(sleeper: Box) -> None:
    env = seen(sleeper, "--env", "A=b", "-e", "C=d e=f", "-e", "TERM=dumb")["env"]
    assert {"A=b", "C=d e=f"} <= set(env)
    assert env[0] == PATH


@pytest.mark.parametrize(
    ("user", "numbers"),
    [("1000", (1000, 0)), ("1000:50", (1000, 50)), ("0:5", (0, 5)), ("4000000000:3", (4000000000, 3))],
)
def test_the_user(sleeper: Box, user: str, numbers: tuple[int, int]) -> None:
    inside = seen(sleeper, "--user", user)
    assert (inside["ids"]["uid"], inside["ids"]["gid"]) == ([numbers[0]] * 3, [numbers[1]] * 3)
    assert inside["ids"]["groups"] == []


@pytest.mark.parametrize(
    "user",
    ["abc", "1a", "-1", "1000:x", "4294967295", "4294967296", "18446744073709551616", "1:-1", "1:2:3", ":1", "0x0"],
)
def test_a_user_that_is_no_number_in_range(sleeper: Box, user: str) -> None:
    # CVE-2026-30892: what cannot be parsed must never run as root.
    result = sleeper.exec(f"--user={user}", "ID", "/bin/echo", "it ran", status=255)
    assert result.stdout == ""
    assert user in result.stderr or "user" in result.stderr


def test_additional_groups(sleeper: Box) -> None:
    assert seen(sleeper, "--additional-gids", "77", "--additional-gids=88")["ids"]["groups"] == [77, 88]


def test_capabilities_are_added(sleeper: Box) -> None:
    status = seen(sleeper, "--cap", "CAP_NET_ADMIN", "-c", "CAP_CHOWN")["status"]
    for field in ("CapEff", "CapPrm", "CapBnd"):
        assert int(status[field], 16) & (1 << 12 | 1 << 0) == (1 << 12 | 1 << 0), field
    assert int(status["CapInh"], 16) == 0  # CVE-2022-29162
    assert int(status["CapAmb"], 16) == 0


def test_an_unknown_capability_is_a_warning(sleeper: Box) -> None:
    result = sleeper.exec("--cap", "CAP_NOPE", "ID", "/bin/true")
    assert "CAP_NOPE" in result.stderr


def test_no_new_privileges(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.bundle.edit(process__noNewPrivileges=False)
    box.started()
    assert seen(box)["status"]["NoNewPrivs"] == "0"
    assert seen(box, "--no-new-privs")["status"]["NoNewPrivs"] == "1"


def test_a_process_from_a_file(sleeper: Box, tmp_path: Path) -> None:
    process = {
        "terminal": False,
        "user": {"uid": 1000, "gid": 50, "additionalGids": [60, 61], "umask": 0o027},
        "args": ["/bin/probe"],
        "env": ["ONLY=this"],
        "cwd": "/tmp",
        "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "inheritable": ["CAP_KILL"],
                         "ambient": ["CAP_KILL"], "effective": ["CAP_KILL"]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
        "noNewPrivileges": True,
        "oomScoreAdj": 444,
    }  # fmt: skip
    (tmp_path / "process.json").write_text(json.dumps(process))
    inside = json.loads(sleeper.exec("--process", str(tmp_path / "process.json"), "ID").stdout)
    assert inside["ids"] == {"uid": [1000] * 3, "gid": [50] * 3, "groups": [60, 61]}
    assert inside["cwd"] == "/tmp"
    assert "ONLY=this" in inside["env"]
    assert inside["umask"] == "0027"
    assert inside["rlimits"]["NOFILE"] == [100, 200]
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(inside["status"][field], 16) == 1 << 5, field
    assert inside["oom_score_adj"] == "444\n"


def test_a_process_from_a_descriptor(sleeper: Box, tmp_path: Path) -> None:
    process = {"user": {"uid": 0, "gid": 0}, "args": ["/bin/echo", "from fd"], "cwd": "/", "env": []}
    (tmp_path / "process.json").write_text(json.dumps(process))
    fd = os.open(tmp_path / "process.json", os.O_RDONLY)
    result = sleeper.command("exec", "-p", f"/dev/fd/{fd}", "ID", pass_fds=(fd,))
    os.close(fd)
    assert result.stdout == "from fd\n"


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        ({"args": "x"}, "args"),
        ({"cwd": "relative"}, "cwd"),
        ({"args": []}, "args"),
        ({"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 1}]}, "rlimits[0]"),
        ({"user": {"uid": -1, "gid": 0}}, "user.uid"),
    ],
)
def test_a_bad_process_file_is_refused_with_its_path(
    sleeper: Box, tmp_path: Path, edit: dict[str, object], text: str
) -> None:
    process = {"user": {"uid": 0, "gid": 0}, "args": ["/bin/echo", "it ran"], "cwd": "/", "env": []} | edit
    (tmp_path / "process.json").write_text(json.dumps(process))
    result = sleeper.exec("--process", str(tmp_path / "process.json"), "ID", status=255)
    assert text in result.stderr
    assert result.stdout == ""


def test_a_detached_process_lives_on(sleeper: Box, tmp_path: Path) -> None:
    sleeper.leaving("exec", "--detach", "--pid-file", tmp_path / "pid", "ID", "/bin/sleep", "1000")
    data = (tmp_path / "pid").read_bytes()
    assert data.isdigit()
    assert int(data) in sleeper.processes()
    first = sleeper.state()["pid"]
    assert os.readlink(f"/proc/{int(data)}/ns/mnt") == os.readlink(f"/proc/{first}/ns/mnt")


def test_a_failed_exec_writes_no_pid_file(sleeper: Box, tmp_path: Path) -> None:
    sleeper.leaving("exec", "-d", "--pid-file", tmp_path / "pid", "ID", "/no/such/file", status=255)
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("/no/such/file", 'exec: "/no/such/file": stat /no/such/file: no such file or directory'),
        ("no-such-name", 'exec: "no-such-name": executable file not found in $PATH'),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied'),
    ],
)
def test_a_command_that_cannot_be_run(sleeper: Box, command: str, text: str) -> None:
    result = sleeper.exec("ID", command, status=255)
    assert text in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_directory_is_no_command(sleeper: Box) -> None:
    # podman takes "permission denied" for its exit code 126.
    said = sleeper.exec("ID", "/etc", status=255).stderr
    assert "permission denied" in said


def test_exec_needs_a_command(sleeper: Box) -> None:
    assert sleeper.exec("ID", status=255).stderr != ""


def test_a_terminal_of_the_callers_size(sleeper: Box) -> None:
    command = [str(sleeper.runtime), "--root", str(sleeper.root), "exec", "--tty", sleeper.id]
    code, screen = on_a_terminal(
        [
            *command,
            "/bin/sh",
            "-c",
            "until stty size 2>&1 | grep -q '29 77'; do :; done; tty; stty size; [ -t 2 ] && echo yes; exit 5",
        ],
        size=(29, 77),
    )
    assert code == 5, screen
    assert b"/dev/pts/" in screen
    assert b"29 77" in screen
    assert b"yes" in screen


def test_a_detached_terminal_goes_to_the_console_socket(sleeper: Box, tmp_path: Path) -> None:
    console = ConsoleSocket(tmp_path / "console")
    sleeper.leaving(
        "exec", "-d", "-t", "--console-socket", tmp_path / "console", "ID", "/bin/sh", "-c", "tty; echo end"
    )
    master, _ = console.receive()
    console.close()
    try:
        assert b"end" in read_all(master)
    finally:
        os.close(master)


def test_exec_runs_in_a_created_container(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    box.create()
    assert box.exec("ID", "/bin/echo", "before start").stdout == "before start\n"
    assert box.status() == "created"


def test_exec_in_a_user_namespace(new_box: Callable[..., Box]) -> None:
    box = new_box("/bin/sleep", "1000")
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    box.bundle.namespace("user").edit(linux__uidMappings=mapping, linux__gidMappings=mapping)
    for folder, _, _ in os.walk(box.bundle.rootfs):
        os.chown(folder, 100000, 100000)
    reachable(box.bundle.path)
    box.started()
    inside = seen(box, "--user", "7:8")
    assert inside["ids"] == {"uid": [7] * 3, "gid": [8] * 3, "groups": []}
    assert inside["uid_map"][0].split() == ["0", "100000", "65536"]


def reachable(path: Path) -> None:
    """Let everybody search the temporary directories above ``path``, which pytest keeps closed."""
    for parent in (path, *path.parents):
        if parent.name.startswith(("pytest-", "popen-", "test_", "bundle")):
            parent.chmod(0o755)


def test_many_at_once(sleeper: Box) -> None:
    command = [str(sleeper.runtime), "--root", str(sleeper.root), "exec", sleeper.id, "/bin/sh", "-c"]
    started = [
        subprocess.Popen([*command, f"echo {number}; exit {number}"], stdout=subprocess.PIPE) for number in range(8)
    ]
    for number, process in enumerate(started):
        assert process.communicate(timeout=60)[0] == f"{number}\n".encode()
        assert process.returncode == number
    until(lambda: len(sleeper.processes()) == 1, lambda: "only the first process is left")
    assert sleeper.status() == "running"


def test_the_runtimes_program_cannot_be_reached_through_proc(sleeper: Box) -> None:
    # CVE-2019-5736: what stands behind /proc/PID/exe of a joining process must be no file of the host.
    with open(sleeper.runtime, "rb") as file:
        before = file.read()
    result = sleeper.exec("ID", "/proc/self/exe", "-c", "exit 0", status=None)
    assert result.status != 0
    with open(sleeper.runtime, "rb") as file:
        assert file.read() == before
