"""deploy/install-node.sh puts pyrunc onto a node, from wheels alone, and into the configuration of its engine.

The node is an enclosure whose /etc is a copy and whose /opt is empty.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from tests.callers.containerd import cri_of
from tests.callers.enclosure import Enclosure
from tests.support import programs
from tests.support.command import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs("root", "nsenter", "unshare", "containerd")

SCRIPT = Path(__file__).resolve().parents[2] / "deploy/install-node.sh"
PYRUNC = "/opt/pyrunc/bin/pyrunc"
CONFIG = "/etc/containerd/config.toml"

PRIVATE = f"""\
mkdir /run/etc
cp -a /etc/. /run/etc
rm -rf /run/etc/containerd /run/etc/crio
mkdir -p /run/etc/containerd /run/bin
mount --bind /run/etc /etc
mount -t tmpfs -o mode=755 tmpfs /opt
printf '#!/bin/sh\\necho "$@" >>/run/asked\\n' >/run/bin/systemctl
chmod 755 /run/bin/systemctl
printf 'version = 2\\n' >{CONFIG}
"""


def wheels(name: str, folder: Path) -> None:
    """Wheels of an installed distribution and of what it needs, made of its files."""
    found = importlib.metadata.distribution(name)
    wheel = found.read_text("WHEEL") or ""
    tag = next(line for line in wheel.splitlines() if line.startswith("Tag: ")).removeprefix("Tag: ")
    path = folder / f"{name.replace('-', '_')}-{found.version}-{tag}.whl"
    if path.exists():
        return
    with zipfile.ZipFile(path, "w") as archive:
        for file in found.files or ():
            if ".." not in file.parts and file.suffix != ".pyc" and file.name not in {"INSTALLER", "REQUESTED"}:
                archive.write(Path(str(file.locate())), str(file))
    needed(found.requires, folder)


def needed(requires: list[str] | None, folder: Path) -> None:
    for requirement in map(Requirement, requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            wheels(requirement.name, folder)


class Node:
    def __init__(self, enclosure: Enclosure, folder: Path) -> None:
        self.enclosure = enclosure
        self.folder = folder

    def run(self, *words: str | Path, status: int | None = 0) -> Result:
        command = tuple(str(word) for word in words)
        env = {"PATH": f"/run/bin:{programs.PATH}", "HOME": "/root"}
        done = self.enclosure.run(command, env=env, timeout=180)
        result = Result(command, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert status is None or done.returncode == status, result
        return result

    def install(self, *words: str | Path, status: int | None = 0) -> str:
        result = self.run(SCRIPT, *words, status=status)
        return result.stdout + result.stderr

    def restarted(self) -> str:
        return self.run("sh", "-c", "cat /run/asked; rm -f /run/asked", status=None).stdout


@pytest.fixture
def node(tmp_path: Path, wheel: Path) -> Iterator[Node]:
    folder = tmp_path / "wheels"
    folder.mkdir()
    shutil.copy(wheel, folder)
    needed(importlib.metadata.distribution("pyrunc").requires, folder)
    with Enclosure(tmp_path, setup=PRIVATE) as enclosure:
        yield Node(enclosure, folder)


def test_a_node_gets_it_and_its_engine_knows_it(node: Node) -> None:
    for words, told in (
        (("docker", node.folder), "docker is neither containerd nor crio"),
        (("containerd", "/no/such"), "/no/such does not exist"),
        (("--prefix", "relative", "containerd", node.folder), "is not absolute"),
        (("--prefix", "/etc", "containerd", node.folder), "/etc is there"),
    ):
        assert told in node.install(*words, status=1)
    assert "usage: " in node.install("containerd", status=2)
    assert node.run("ls", "-A", "/opt").stdout == ""

    assert "+BinaryName" in node.install("--no-restart", "containerd", node.folder).replace(" ", "")
    assert node.restarted() == ""
    section = cri_of(node.run("containerd", "config", "dump").stdout)
    assert section["containerd"]["runtimes"]["pyrunc"]["options"]["BinaryName"] == PYRUNC
    assert node.run("env", "-i", PYRUNC, "--version").stdout.startswith("pyrunc version ")

    # Again, with a change of mind, and a restart where doctor has no objection.
    told = node.install("--systemd-cgroup", "containerd", node.folder, status=None)
    section = cri_of(node.run("containerd", "config", "dump").stdout)
    assert section["containerd"]["runtimes"]["pyrunc"]["options"]["SystemdCgroup"] is True
    fine = node.run(PYRUNC, "doctor", status=None).status == 0
    assert node.restarted() == ("restart containerd\n" if fine else "")
    assert fine or "containerd was not restarted: do first what pyrunc doctor says" in told

    node.run(PYRUNC, "setup", "containerd", "--remove")
    assert node.run("cat", CONFIG).stdout == "version = 2\n"
