"""What users of runc notice when a runtime differs: early signals, paused containers, hooks, umask, sockets."""

from __future__ import annotations

import array
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.requirements import cgroup_mounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.bundles import Bundle
    from tests.support.command import Result

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def p(pyrunc: Path, root: Path, run_command: Callable[..., Result]) -> Callable[..., Result]:
    """The runtime with its private root."""
    return lambda *words, **keywords: run_command(pyrunc, "--root", root, *words, **keywords)


@pytest.mark.parametrize("signal", ["TERM", "INT", "HUP", "QUIT"])
def test_a_created_container_ends_on_a_signal(
    signal: str, p: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    p("create", "--bundle", bundle(), container_id)
    pidfd = os.pidfd_open(json.loads(p("state", container_id).stdout)["pid"])
    p("kill", container_id, signal)
    import select

    assert select.select([pidfd], [], [], 60)[0]
    os.close(pidfd)
    assert json.loads(p("state", container_id).stdout)["status"] == "stopped"
    p("delete", container_id)


@pytest.mark.needs("cgroup1")
def test_kill_ends_what_is_paused(p: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str) -> None:
    made = bundle().args("sleep", "1000").edit(linux__cgroupsPath=f"/{container_id}")
    p("run", "--detach", "--bundle", made, container_id)
    Path(cgroup_mounts()["freezer"], container_id, "freezer.state").write_text("FROZEN")
    assert json.loads(p("state", container_id).stdout)["status"] == "paused"
    p("kill", container_id, "KILL")
    assert json.loads(p("state", container_id).stdout)["status"] == "stopped"
    p("delete", container_id)


def test_kill_all_of_a_stopped_container_is_no_error(
    p: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    p("create", "--bundle", bundle(), container_id)
    p("kill", container_id, "KILL")
    p("kill", "--all", container_id, "KILL")


def test_without_a_umask_in_the_config_it_is_022(
    p: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    old = os.umask(0o077)
    try:
        result = p("run", "--bundle", bundle().args("sh", "-c", "umask"), container_id)
    finally:
        os.umask(old)
    assert result.stdout == "0022\n"


def test_a_hook_in_the_container_runs_in_the_rootfs_and_is_heard_only_when_it_fails(
    p: Callable[..., Result], bundle: Callable[..., Bundle], ids: Callable[[], str]
) -> None:
    made = bundle().args("echo", "payload")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo noise; pwd >where"]}
    made.edit(hooks={"createContainer": [hook]})
    assert p("run", "--bundle", made, ids()).stdout == "payload\n"
    assert (made.rootfs / "where").read_text() == f"{made.rootfs}\n"
    made.edit(hooks={"createContainer": [{**hook, "args": ["sh", "-c", "echo out; echo bad >&2; exit 3"]}]})
    result = p("run", "--bundle", made, ids(), status=1)
    assert result.stdout == ""
    text = "hooks.createContainer[0]: hook /bin/sh: exit status 3, stdout: out, stderr: bad\n"
    assert result.stderr == f"pyrunc: {text}"


def test_sockets_of_somebody_else_are_not_passed_on(
    p: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    env = {**os.environ, "LISTEN_FDS": "2", "LISTEN_PID": "1"}
    assert "LISTEN" not in p("run", "--bundle", bundle().args("env"), container_id, env=env).stdout


def test_exec_wants_an_absolute_directory(
    p: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    p("run", "--detach", "--bundle", bundle().args("sleep", "1000"), container_id)
    result = p("exec", "--cwd", "tmp", container_id, "pwd", status=255)
    assert "cwd must be an absolute path" in result.stderr


@pytest.mark.needs("unshare")
def test_exec_enters_the_root_of_a_container_in_a_joined_mount_namespace(
    p: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
    try:
        assert holder.stdout
        holder.stdout.readline()
        made = bundle().namespace("mount", f"/proc/{holder.pid}/ns/mnt").args("sleep", "1000")
        p("run", "--detach", "--bundle", made, container_id)
        assert p("exec", container_id, "ls", "/").stdout.split() == sorted(os.listdir(made.rootfs))
        p("delete", "--force", container_id)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close() if holder.stdout else None


@pytest.mark.needs("seccomp", "libseccomp")
def test_a_filter_that_forbids_to_exec_and_to_exit_ends_the_container(
    p: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    allowed = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ALLOW"}]}
    made = bundle().edit(linux__seccomp=allowed, process__noNewPrivileges=True)
    assert p("run", "--bundle", made, container_id, status=None, timeout=60).status != 0


@pytest.mark.needs("seccomp", "libseccomp")
def test_exec_hands_its_listener_to_the_agent(
    p: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path)
        agent.listen()
        notify = [{"names": ["getcwd"], "action": "SCMP_ACT_NOTIFY"}]
        seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "m", "syscalls": notify}
        made = bundle().args("sleep", "1000").edit(linux__seccomp=seccomp)
        p("run", "--detach", "--bundle", made, container_id)
        p("exec", container_id, "true")
        seen = []
        for _ in range(2):
            peer, _ = agent.accept()
            with peer:
                data, ancillary, _, _ = peer.recvmsg(65536, socket.CMSG_SPACE(4))
                (fd,) = array.array("i", ancillary[0][2])
                os.close(fd)
                seen.append(json.loads(data))
        assert [one["state"]["status"] for one in seen] == ["creating", "running"]
        assert [one["metadata"] for one in seen] == ["m", "m"]
        assert seen[0]["pid"] == seen[1]["state"]["pid"] != seen[1]["pid"]
    p("delete", "--force", container_id)


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ({"destination": "/proc/sys", "type": "tmpfs", "source": "tmpfs"}, "is inside /proc"),
        ({"destination": "/x", "type": "proc", "source": "proc", "options": ["tmpcopyup"]}, "is for tmpfs"),
        ({"destination": "/x", "source": "/usr", "options": ["bind", "idmap=foo"]}, "expected uids="),
    ],
)
def test_validate_refuses_what_create_refuses(
    mount: dict[str, object], words: str, p: Callable[..., Result], bundle: Callable[..., Bundle], container_id: str
) -> None:
    made = bundle()
    made.config["mounts"].append(mount)
    made.write()
    validated = p("validate", "--bundle", made, status=1).stdout
    assert words in validated
    created = p("create", "--bundle", made, container_id, status=1).stderr
    assert created == "".join(f"pyrunc: {line}\n" for line in validated.splitlines())


def test_equal_bundles_have_equal_plans(p: Callable[..., Result], bundle: Callable[..., Bundle]) -> None:
    one, two = bundle(), bundle()
    for made in (one, two):
        made.edit(root__path=str(one.rootfs))
    assert p("plan", one, "--diff", two).stdout == ""
