"""Private state over shared input for an ordinary user: its layers live in the container's own mount namespace."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import contents, until, wait_for_exit
from tests.root.isolated import snapshot
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rootless.conftest import User
    from tests.support.bundles import Bundle

pytestmark = pytest.mark.needs("userns", "setpriv", "busybox", "static")


def bundle(user: User, script: str, *mounts: tuple[str, Path | str], **wishes: str) -> Bundle:
    made = user.bundle().args("/bin/sh", "-c", script)
    made.edit(annotations={f"io.pyrunc.{name}": value for name, value in wishes.items()})
    for destination, source in mounts:
        made.mount(destination, "bind", source, "rbind")
    return made


def states(user: User) -> list[str]:
    """What is left below the root: its lock, and nothing of any container."""
    return [name for name in os.listdir(user.home / "run/pyrunc") if name != ".mounting"]


@pytest.fixture
def host(user: User) -> Path:
    """A directory of the user's."""
    path = user.home / "host"
    (path / "sub").mkdir(parents=True)
    (path / "file").write_text("of the host\n")
    (path / "file").chmod(0o640)
    os.setxattr(path / "file", "user.note", b"a note")
    user.give(path)
    return path


def test_tmp_and_workspace(user: User, container_id: str) -> None:
    script = (
        "stat -c '%a %u' /tmp /work; ls -A /tmp /work; echo a >/tmp/a; echo a >/work/a; "
        "dd if=/dev/zero of=/tmp/b bs=1k count=2000 2>/dev/null; wc -c </tmp/b"
    )
    made = bundle(user, script, tmp="private,size=1m", workspace="/work")
    before = contents(made.rootfs)
    for _ in range(2):
        said = user.run("run", "--bundle", made, container_id).stdout.splitlines()
        assert said[:2] == ["1777 0", "755 0"]
        assert int(said[-1]) < 1 << 20
        assert contents(made.rootfs) == before
    assert states(user) == []


@pytest.mark.needs("overlay")
def test_an_ephemeral_rootfs(user: User, ids: Callable[[], str]) -> None:
    script = "rm -r /etc /home; mkdir /etc; echo new >/etc/new; touch /bin/cat; ls -A /etc; stat -c %u /etc"
    made = bundle(user, script, rootfs="ephemeral")
    before = snapshot(made.rootfs)
    for _ in range(2):
        done = user.run("run", "--bundle", made, ids())
        assert done.stdout == "new\n0\n"
        assert snapshot(made.rootfs) == before
    assert states(user) == []


@pytest.mark.needs("overlay")
def test_copy_on_write(user: User, container_id: str, host: Path) -> None:
    script = "cat /f /d/file; echo more >>/f; chmod 777 /f; rm /d/file; rmdir /d/sub; mkdir /d/sub; echo >/d/sub/new"
    made = bundle(user, f"{script}; stat -c %a /f; ls /d", ("/f", host / "file"), ("/d", host), cow="/f:/d")
    before = snapshot(host), contents(made.rootfs)
    assert user.run("run", "--bundle", made, container_id).stdout == "of the host\n" * 2 + "777\nsub\n"
    assert (snapshot(host), contents(made.rootfs)) == before


@pytest.mark.needs("overlay")
def test_everything_at_once(user: User, container_id: str, host: Path) -> None:
    wishes = {"tmp": "private", "workspace": "cwd", "rootfs": "ephemeral,size=10m", "cow": "/in/f:/in/d"}
    script = "pwd; for f in /tmp/a ./a /in/f /in/d/a /etc/passwd; do echo a >$f; cat $f; done"
    made = bundle(user, script, ("/in/f", host / "file"), ("/in/d", host), **wishes).edit(process__cwd="/new/work")
    before = snapshot(host), snapshot(made.rootfs)
    assert user.run("run", "--bundle", made, container_id).stdout == "/new/work\n" + "a\n" * 5
    assert (snapshot(host), snapshot(made.rootfs)) == before


@pytest.mark.needs("overlay")
def test_the_layers_end_with_the_container_and_deletion_needs_no_privilege(user: User, container_id: str) -> None:
    made = bundle(user, "exec sleep 1000", rootfs="ephemeral", workspace="/work")
    with open(os.devnull, "wb") as null:
        command = user.argv("run", "-d", "--bundle", made, container_id)
        subprocess.run(command, env=user.env, stdin=null, stdout=null, stderr=null, check=True)
    state: Any = json.loads(user.run("state", container_id).stdout)
    layers = user.home / "run/pyrunc" / container_id / "layers"
    assert [os.listdir(layers / name) for name in os.listdir(layers)] == [[], []], "nothing is mounted on the host"
    assert user.run("exec", container_id, "/bin/sh", "-c", "echo a >/work/a; cat /work/a").stdout == "a\n"
    user.run("kill", container_id, "KILL")
    wait_for_exit(state["pid"])
    until(lambda: json.loads(user.run("state", container_id).stdout)["status"] == "stopped", lambda: "stopped")
    user.run("delete", container_id)
    assert states(user) == []


def test_mount_points_in_the_users_directories_are_removed(user: User, ids: Callable[[], str], host: Path) -> None:
    made = bundle(user, "exec sleep 1000", ("/data", host), workspace="/data/in/work")
    before = contents(host), contents(made.rootfs)
    names = [ids(), ids()]
    with open(os.devnull, "wb") as null:
        for name in names:
            command = user.argv("run", "-d", "--bundle", made, name)
            subprocess.run(command, env=user.env, stdin=null, stdout=null, stderr=null, check=True)
    user.run("delete", "--force", names[0])
    said = user.run("exec", names[1], "/bin/grep", "-c", " /data/in/work ", "/proc/self/mountinfo").stdout
    assert said == "1\n", "the other one keeps its mount"
    user.run("delete", "--force", names[1])
    assert (contents(host), contents(made.rootfs)) == before
    assert states(user) == []


@pytest.mark.needs("root")
def test_a_source_whose_owner_is_not_mapped_is_refused(user: User, container_id: str, host: Path) -> None:
    (host / "of-root").write_text("")
    (host / "directory").mkdir()
    run("chown", "0:0", host / "of-root", host / "directory")
    for name in ("of-root", "directory"):
        made = bundle(user, "true", ("/c", host / name), cow="/c")
        before = contents(made.rootfs)
        said = user.run("run", "--bundle", made, container_id, status=1).stderr
        assert f"{host}/{name}: its owner is not mapped in the user namespace (EOVERFLOW)" in said
        assert contents(made.rootfs) == before
        assert states(user) == []


def test_a_failure_leaves_nothing(user: User, container_id: str, host: Path) -> None:
    wishes = {"tmp": "private", "workspace": "/data/new/work", "cow": "/in/f"}
    made = bundle(user, "true", ("/data", host), ("/in/f", host / "file"), **wishes)
    made.args("/no/such/program")
    before = contents(host), contents(made.rootfs)
    user.run("run", "--bundle", made, container_id, status=1)
    assert (contents(host), contents(made.rootfs)) == before
    assert states(user) == []


@pytest.mark.needs("overlay")
@pytest.mark.parametrize("umask", [0, 0o777])
def test_a_umask_changes_no_mode_and_stops_nothing(user: User, container_id: str, host: Path, umask: int) -> None:
    modes = "stat -c '%a' /tmp /data/made /data/made/work /new/file"
    wishes = {"tmp": "private", "workspace": "/data/made/work", "cow": "/new/file", "rootfs": "ephemeral"}
    made = bundle(user, f"{modes}; umask; echo a >/tmp/a; echo a >>/new/file; touch /etc/new", **wishes)
    made.mount("/data", "bind", host, "rbind").mount("/new/file", "bind", host / "file", "bind")
    before = contents(host), contents(made.rootfs)
    old = os.umask(umask)
    try:
        said = user.run("run", "--bundle", made, container_id).stdout
    finally:
        os.umask(old)
    assert said == "1777\n755\n755\n640\n0022\n"
    assert (contents(host), contents(made.rootfs)) == before
    assert states(user) == []


@pytest.mark.parametrize("umask", [0, 0o777])
def test_under_any_umask_a_creation_that_is_killed_can_be_deleted(
    user: User, container_id: str, host: Path, umask: int
) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "kill -KILL $PPID"]}
    made = bundle(user, "true", tmp="private", workspace="/data/made/work").mount("/data", "bind", host, "rbind")
    made.edit(hooks={"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "kill -KILL 1"]}]})
    made.edit(hooks={"createRuntime": [hook]})
    before = contents(host), contents(made.rootfs)
    old = os.umask(umask)
    try:
        user.run("create", "--bundle", made, container_id, status=None)
        user.run("delete", "--force", container_id)
    finally:
        os.umask(old)
    assert (contents(host), contents(made.rootfs)) == before
    assert states(user) == []
