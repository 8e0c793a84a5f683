"""All annotations at once, whatever else the config and the caller want."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.root.box import until
from tests.root.isolated import isolate, layer_mounts, shell, snapshot
from tests.root.test_exec import reachable
from tests.support import mount_table
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.root.box import Box

pytestmark = pytest.mark.needs("root", "busybox", "static", "overlay")

PROPAGATIONS = ("shared", "rshared", "slave", "private", "rprivate", "unbindable", "runbindable")

WRITES = "for f in /tmp/a /new/work/a /etc/passwd /in/file /in/directory/a; do echo mine >>$f && tail -1 $f; done"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    path = tmp_path / "host"
    (path / "inner").mkdir(parents=True)
    (path / "file").write_text("of the host\n")
    return path


@pytest.fixture
def full(box: Box, host: Path) -> Box:
    """A container with all four annotations."""
    box.bundle.mount("/in/file", "bind", host / "file", "bind").mount("/in/directory", "bind", host / "inner", "rbind")
    box.bundle.args("/bin/sh", "-c", WRITES)
    return isolate(box, tmp="private", workspace="/new/work", rootfs="ephemeral", cow="/in/file:/in/directory")


@pytest.fixture
def untouched(full: Box, host: Path) -> Iterator[None]:
    """Neither the rootfs nor the host's directory changes."""
    before = snapshot(full.bundle.rootfs), snapshot(host)
    yield
    assert (snapshot(full.bundle.rootfs), snapshot(host)) == before


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "propagation", ["shared", "rshared", "slave", "private", "rprivate", "unbindable", "runbindable"]
)
def test_with_every_propagation(full: Box, propagation: str) -> None:
    full.bundle.edit(linux__rootfsPropagation=propagation)
    assert full.run().stdout == "mine\n" * 5
    full.nothing_left()


@pytest.mark.usefixtures("untouched")
def test_without_pivot_root(full: Box) -> None:
    assert full.run("--no-pivot").stdout == "mine\n" * 5
    full.nothing_left()


@pytest.mark.usefixtures("untouched")
@pytest.mark.needs("unshare")
def test_in_a_mount_namespace_that_it_joins(full: Box) -> None:
    with namespace("-m", "--propagation", "private") as pid:
        full.bundle.namespace("mount", f"/proc/{pid}/ns/mnt")
        assert full.run().stdout == "mine\n" * 5
        table = "\n".join(mount_table.lines(pid))
        assert str(full.bundle.path) not in table
        assert full.id not in table
    full.nothing_left()


@contextlib.contextmanager
def namespace(*options: str) -> Iterator[int]:
    """A process in namespaces of its own."""
    with subprocess.Popen(["unshare", *options, "sleep", "1000"]) as child:
        try:
            until(lambda: b"sleep" in Path(f"/proc/{child.pid}/cmdline").read_bytes()[:6], lambda: "it sleeps")
            yield child.pid
        finally:
            child.kill()


@pytest.mark.usefixtures("untouched")
@pytest.mark.needs("unshare", "nsenter", "userns")
def test_by_root_of_a_user_namespace_with_a_mount_namespace(full: Box, tmp_path: Path) -> None:
    # As in podman unshare: layers are mounted in the caller's mount namespace.
    reachable(full.bundle.path)
    full.bundle.edit(linux__resources=None)
    with namespace("-U", "-m", "--propagation", "private") as pid:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{name}").write_text("0 0 65536\n")
        enter = ["nsenter", "-t", str(pid), "-U", "-m", "--setuid", "0", "--setgid", "0"]
        command = [*enter, str(full.runtime), "--root", str(full.root), "--cgroup-manager", "disabled"]
        done = run(*command, "run", "--bundle", full.bundle, full.id)
        assert done.stdout == "mine\n" * 5
        table = "\n".join(mount_table.lines(pid))
        assert full.id not in table
    full.nothing_left()


@pytest.mark.usefixtures("untouched")
def test_as_a_user_in_the_container(full: Box, host: Path) -> None:
    full.bundle.edit(process__user={"uid": 1000, "gid": 1000}, process__capabilities=None)
    said = shell(full, f"{WRITES}; cat /in/file; :", status=None)
    assert said == "mine\nmine\nof the host\n", "what is copied belongs to whom it belonged to"


@pytest.mark.usefixtures("untouched")
def test_with_flags_of_the_command_line(full: Box) -> None:
    full.bundle.edit(annotations=None)
    flags = ("--private-tmp", "--workspace", "/new/work", "--ephemeral-rootfs", "--cow", "/in/file:/in/directory")
    assert full.run(flags=flags).stdout == "mine\n" * 5
    full.nothing_left()


@pytest.mark.usefixtures("untouched")
def test_several_at_the_same_time_see_nothing_of_one_another(full: Box, new_box: Callable[..., Box]) -> None:
    others = [new_box() for _ in range(7)]
    full.bundle.args("/bin/sh", "-c", f"{WRITES.replace('mine', '$$-$HOSTNAME')}; exec sleep 10000")
    for each in others:
        each.bundle = full.bundle
        each.create()
    full.create()
    for each in (full, *others):
        each.start()
    for each in (full, *others):
        each.until_output("\n")
    for each in (full, *others):
        found = each.exec("ID", "/bin/sh", "-c", "wc -l /tmp/a /new/work/a /in/directory/a | head -3").stdout
        assert [line.split()[0] for line in found.splitlines()] == ["1", "1", "1"]
        assert len(layer_mounts(each)) == 4
    for each in (full, *others):
        each.delete("--force")
        each.nothing_left()


def test_what_a_failed_creation_could_not_take_back_is_added_to_the_error(box: Box, host: Path) -> None:
    box.bundle.mount("/data", "bind", host, "rbind").mount("/data/stays", "tmpfs", "tmpfs")
    box.bundle.edit(hooks={"createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", f"chattr +i {host}; exit 7"]}]})
    try:
        said = box.create(status=1).stderr
    finally:
        run("chattr", "-i", host)
    assert "hooks.createContainer[0]" in said.split(" [also: ")[0]
    assert f"cannot remove {host}/stays: operation not permitted" in said
    assert not box.exists()
    assert box.cgroups() == []
    assert sorted(os.listdir(host)) == ["file", "inner", "stays"]
