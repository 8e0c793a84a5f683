"""A path of the rootfs that becomes a link to the host while a container is created."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.root.box import Box
    from tests.support.canary import Canary

pytestmark = pytest.mark.needs("root", "busybox", "static")

REPOSITORY = Path(__file__).parents[3]

#: The runtime with a pyrunc-init that stops before op N: then the shell command ``swap`` runs.
PROGRAM = """\
import posix, sys
sys.path.insert(0, sys.argv.pop(1))
from pyrunc.host import helper
from pyrunc.host import message as messages
init, stop, swap = sys.argv[1:4]
helper.INIT = init
helper.TEST_ARGS = ("stop=" + stop,)
receive = helper.Init.receive
def receiving(self):
    while True:
        message = receive(self)
        if message is None or message.kind != messages.STOPPED:
            return message
        assert posix.system(swap) == 0
        self.go_on()
helper.Init.receive = receiving
from pyrunc.cli.lean import main
posix._exit(main(sys.argv[4:]))
"""


@pytest.fixture(scope="module")
def test_init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pyrunc-init with sync points."""
    from pyrunc.native import build

    return Path(build.build(tmp_path_factory.mktemp("native"), test=True))


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("kind", ["bind directory", "bind file", "tmpfs", "device", "cwd"])
def test_a_path_that_becomes_a_symlink_before_any_op(
    new_box: Callable[..., Box], canary: Canary, test_init: Path, tmp_path: Path, kind: str
) -> None:
    # The directory /race of the rootfs is exchanged for a link to the host before op N, for every N.
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").touch()
    (tmp_path / "program.py").write_text(PROGRAM)
    count = 0
    index = 0
    while index == 0 or index < count:
        box = new_box("/bin/true")
        (box.bundle.rootfs / "race/deep").mkdir(parents=True)
        if kind == "tmpfs":
            box.bundle.mount("/race/deep/new", "tmpfs", "tmpfs")
        elif kind == "device":
            box.bundle.edit(linux__devices=[{"path": "/race/deep/new", "type": "c", "major": 1, "minor": 3}])
        elif kind == "cwd":
            box.bundle.edit(process__cwd="/race/deep/new")
        else:
            source = tmp_path / "source" / ("file" if kind == "bind file" else "")
            box.bundle.mount("/race/deep/new", "bind", source, "bind")
        if not count:
            plan = json.loads(run(box.runtime, "plan", "--format", "json", "--bundle", box.bundle).stdout)
            count = [op["op"] for op in plan["ops"] if op["stage"] != "runtime"].index("ready")
        race = box.bundle.rootfs / "race"
        swap = f"mv {race} {race}-before && ln -s {canary.path} {race}"
        command = [sys.executable, "-I", "-S", "-X", "utf8", str(tmp_path / "program.py"), str(REPOSITORY)]
        command += [str(test_init), str(index), swap, "--root", str(box.root), "create", "--bundle"]
        done = subprocess.run(
            [*command, str(box.bundle.path), box.id],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=60,
        )  # fmt: skip
        canary.check()
        assert os.listdir(canary.path / "directory") == ["below"]
        if done.returncode == 0:
            box.delete("--force")
        canary.check()
        box.nothing_left()
        index += 1
    assert count > 30
