"""pyrunc diff and pyrunc commit for an ordinary user: of what a running container of its own has written."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.root.box import until, wait_for_exit
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rootless.conftest import User

pytestmark = pytest.mark.needs("userns", "setpriv", "busybox", "static", "overlay")

WORK = (
    "echo a >/work/a; rm /in/file; echo new >>/in/sub/g; mkdir /in/n; rm /etc/passwd; echo x >/etc/x; chmod 700 /root; "
    "ln -s a /in/l; mkdir -p /var/new/deep; ln /var/new/one /var/new/two 2>/dev/null; echo not >/tmp/kept"
)
CHANGES = [
    "D /etc/passwd", "A /etc/x", "D /in/file", "A /in/l", "A /in/n", "C /in/sub/g", "C /root", "A /var/new",
    "A /var/new/deep", "A /work/a",
]  # fmt: skip


class Running:
    """A container that sleeps, with a layer of each kind."""

    def __init__(self, user: User, id_: str) -> None:
        self.user = user
        self.id = id_
        self.host = user.home / "host"
        (self.host / "sub").mkdir(parents=True)
        (self.host / "file").write_text("of the host\n")
        (self.host / "sub/g").write_text("g\n")
        user.give(self.host)
        self.bundle = user.bundle().args("/bin/sleep", "100000")
        wishes = {"tmp": "private", "workspace": "/work", "rootfs": "ephemeral", "cow": "/in"}
        self.bundle.edit(annotations={f"io.pyrunc.{name}": value for name, value in wishes.items()})
        self.bundle.mount("/in", "bind", self.host, "rbind")

    def create(self) -> Running:
        self._detached("create")
        return self

    def run(self) -> Running:
        self._detached("run", "-d")
        return self

    def _detached(self, *verb: str) -> None:
        command = self.user.argv(*verb, "--bundle", self.bundle, self.id)
        with open(os.devnull, "wb") as null:
            subprocess.run(command, env=self.user.env, stdin=null, stdout=null, stderr=null, check=True)

    def __call__(self, verb: str, *words: Any, **options: Any) -> str:
        done = self.user.run(verb, self.id, *words, **options)
        return done.stderr if options.get("status") else done.stdout

    def within(self, script: str, *flags: str) -> None:
        self.user.run("exec", *flags, self.id, "/bin/sh", "-c", script)


@pytest.fixture
def container(user: User, container_id: str) -> Running:
    return Running(user, container_id)


def test_a_running_container_is_read(container: Running) -> None:
    container.run()
    assert container("diff") == ""
    container.within(WORK)
    assert container("diff").splitlines() == CHANGES
    as_json = json.loads(container("diff", "--format", "json"))
    assert as_json["deleted"] == ["/etc/passwd", "/in/file"]
    assert (container.host / "file").read_text() == "of the host\n"
    assert os.listdir(container.user.home / "run/pyrunc" / container.id / "layers/0") == []


def test_what_it_has_written_becomes_an_image_layer(container: Running) -> None:
    container.run().within(WORK)
    dest = container.user.home / "run/layer.tar"
    container("commit", dest)
    with tarfile.open(dest) as opened:
        members = {member.name: member for member in opened}
    assert {"etc/.wh.passwd", "etc/x", "in/.wh.file", "in/sub/g", "root", "work/a"} <= members.keys()
    assert not any(name.startswith("tmp") for name in members), "/tmp is not kept"
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}, "ids are the container's"
    assert members["root"].mode == 0o700
    assert members["in/l"].linkname == "a"
    container("commit", "--layer", "/work", dest)
    with tarfile.open(dest) as opened:
        assert sorted(opened.getnames()) == ["a"]


def test_what_it_has_written_is_applied_to_a_directory(container: Running) -> None:
    container.run().within(WORK)
    dest = container.user.home / "run/made"
    (dest / "etc").mkdir(parents=True)
    (dest / "etc/passwd").write_text("goes\n")
    (dest / "etc/group").write_text("stays\n")
    container.user.give(dest)
    container("commit", dest)
    assert sorted(os.listdir(dest / "etc")) == ["group", "x"]
    assert (dest / "in/sub/g").read_text() == "g\nnew\n"
    assert {entry.lstat().st_uid for entry in dest.rglob("*")} == {container.user.uid}


@pytest.mark.parametrize("status", ["created", "stopped"])
def test_when_it_is_not_running_that_is_said(container: Running, status: str) -> None:
    if status == "created":
        container.create()
    else:
        container.run()
        pid = json.loads(container("state"))["pid"]
        container("kill", "KILL")
        wait_for_exit(pid)
        until(lambda: json.loads(container("state"))["status"] == "stopped", lambda: "stopped")
    for words in (["diff"], ["commit", "-"]):
        said = container(*words, status=1)
        assert f"what the container has written below / cannot be reached: it is {status} (without root it is" in said


def test_what_the_user_may_not_read_is_named_and_no_archive_is_made(container: Running) -> None:
    container.run().within("echo x >/work/closed; chmod 0 /work/closed; mkdir -m 0 /work/locked")
    dest = container.user.home / "run/layer.tar"
    before = os.listdir(dest.parent)
    said = container("commit", dest, status=1)
    assert "/work/closed: permission denied (it is closed to you: only root can, or a program in the container)" in said
    assert os.listdir(dest.parent) == before


@pytest.mark.needs("root")
def test_root_reads_all_of_it(container: Running, pyrunc: Path) -> None:
    container.run().within(f"{WORK}; chmod 0 /work/a")
    root = container.user.home / "run/pyrunc"
    assert run(pyrunc, "--root", root, "diff", container.id).stdout.splitlines() == CHANGES
    dest = container.user.home / "of-root.tar"
    run(pyrunc, "--root", root, "commit", container.id, dest)
    with tarfile.open(dest) as opened:
        file = opened.extractfile("work/a")
        assert file is not None
        assert file.read() == b"a\n"
        assert opened.getmember("work/a").uid == 0


@pytest.mark.parametrize(
    ("change", "what"),
    [("umount /work", "/work"), ("mount -t tmpfs tmpfs /in", "/in"), ("mount -t tmpfs tmpfs /work", None)],
)
def test_a_container_that_mounts_hides_only_its_own(container: Running, change: str, what: str | None) -> None:
    container.bundle.edit(process__capabilities={"bounding": ["CAP_SYS_ADMIN"]})
    container.run().within("echo a >/work/a")
    container.within(change, "--cap", "CAP_SYS_ADMIN")
    if what is None:
        assert container("diff") == "", "another tmpfs cannot be told from the first one"
    else:
        assert f"something else is mounted at {what} by now" in container("diff", status=1)


def test_two_containers_of_one_rootfs_are_told_apart(container: Running, ids: Callable[[], str]) -> None:
    container.run()
    first, container.id = container.id, ids()
    container.run().within("echo b >/etc/b")
    assert container("diff") == "A /etc/b\n"
    container.id = first
    assert container("diff") == ""
