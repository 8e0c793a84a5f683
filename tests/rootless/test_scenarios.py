"""The example bundles with private state, made for an ordinary user: nothing of them needs root."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.canary import tree
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rootless.conftest import User

pytestmark = pytest.mark.needs("userns", "overlay", "setpriv")

BUNDLES = Path(__file__).parents[2] / "bundles"


@pytest.fixture
def started(user: User, ids: Callable[[], str]) -> Callable[[Path], str]:
    """Start a container of a bundle that sleeps; its id.  The user's fixture deletes it."""

    def start(bundle: Path) -> str:
        name = ids()
        command = user.argv("run", "--detach", "--bundle", bundle, name)
        # Not with the test's pipes: the container holds what it gets.
        null = subprocess.DEVNULL
        subprocess.run(command, env=user.env, stdin=null, stdout=null, stderr=null, check=True)
        return name

    return start


def built(user: User, name: str) -> Path:
    path = user.home / name
    run(*user.prefix, sys.executable, BUNDLES / "rootfs.py", BUNDLES / name, "--output", path, "--rootless")
    return path


def test_a_private_tmp(user: User, started: Callable[[Path], str]) -> None:
    bundle = built(user, "private-tmp")
    before = tree(bundle)
    one, other = started(bundle), started(bundle)
    assert user.run("exec", one, "sh", "-c", "touch /tmp/note; stat -c %a /tmp").stdout == "1777\n"
    assert user.run("exec", other, "ls", "-A", "/tmp").stdout == ""
    assert tree(bundle / "rootfs/tmp") == {}
    for name in (one, other):
        user.run("delete", "--force", name)
    assert tree(bundle) == before


def test_a_workspace_of_a_user_who_is_not_root_inside(user: User, started: Callable[[Path], str]) -> None:
    bundle = built(user, "workspace")
    before = tree(bundle)
    name = started(bundle)
    assert user.run("exec", name, "sh", "-c", "touch sentinel.txt; ls -A; stat -c '%a %u' .").stdout == (
        "sentinel.txt\n755 1000\n"
    )
    user.run("delete", "--force", name)
    assert user.run("exec", started(bundle), "ls", "-A").stdout == ""
    assert tree(bundle) == before


def test_one_file_as_a_private_copy_and_read_only(user: User, started: Callable[[Path], str]) -> None:
    bundle = built(user, "one-file")
    before = tree(bundle)
    name = started(bundle)
    assert user.run("exec", name, "ls", "-A", "/data").stdout == "fixed\nown\n"
    user.run("exec", name, "sh", "-c", "chmod 777 /data/own && echo more >>/data/own")
    assert "Read-only file system" in user.run("exec", name, "chmod", "777", "/data/fixed", status=1).stderr
    user.run("delete", "--force", name)
    assert tree(bundle) == before


def test_tasks_over_one_rootfs(user: User, started: Callable[[Path], str]) -> None:
    bundle = built(user, "tasks")
    before = tree(bundle)
    tasks = [started(bundle) for _ in range(4)]
    for number, name in enumerate(tasks):
        user.run("exec", name, "sh", "-c", f"echo {number} >/work/result; echo {number} >/etc/result")
    for number, name in enumerate(tasks):
        assert user.run("exec", name, "cat", "/work/result", "/etc/result", "/input").stdout == (
            f"{number}\n{number}\nthe same for all tasks\n"
        )
        user.run("delete", "--force", name)
    assert tree(bundle) == before


def test_a_user_that_is_not_mapped_cannot_own_a_workspace(user: User, container_id: str) -> None:
    bundle = built(user, "workspace")
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["user"]["uid"] = 1001
    (bundle / "config.json").write_text(json.dumps(config))
    said = user.run("create", "--bundle", bundle, container_id, status=1).stderr
    assert "process.user.uid: 1001 is not mapped in linux.uidMappings" in said
