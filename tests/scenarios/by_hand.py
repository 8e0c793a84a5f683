"""pyrunc on the command line, with a bundle per container over the one rootfs."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from tests.scenarios.task import FOREVER, Said
from tests.support.command import run
from tests.support.config import default_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.scenarios.task import Task
    from tests.support.command import Result


def config(task: Task, rootfs: Path, *, cgroup: str = "") -> dict[str, Any]:
    """The config.json of a task."""
    made = default_config()
    made["root"]["path"] = str(rootfs)
    made["hostname"] = "box"
    made["process"].update(args=list(FOREVER), cwd=task.cwd, user={"uid": task.user, "gid": task.user})
    for bind in task.binds:
        options = ["rbind", "ro" if bind.mode == "ro" else "rw"]
        made["mounts"].append(
            {"destination": bind.destination, "type": "bind", "source": str(bind.source), "options": options}
        )
    made["annotations"] = task.wishes()
    if cgroup:
        made["linux"]["cgroupsPath"] = cgroup
    return made


class Container:
    def __init__(self, caller: Caller, id_: str) -> None:
        self.caller = caller
        self.id = id_
        self.removed = False

    def do(self, script: str) -> Said:
        done = self.caller.pyrunc("exec", self.id, "/bin/sh", "-c", script, status=None)
        return Said(done.status, done.stdout, done.stderr)

    def remove(self) -> None:
        if not self.removed:
            self.removed = True
            self.caller.pyrunc("delete", "--force", self.id)


class Caller:
    """``runtime --root root``; ``ids`` cleans up behind it."""

    def __init__(self, runtime: Path, root: Path, rootfs: Path, scratch: Path, ids: Callable[[], str]) -> None:
        self.runtime = runtime
        self.root = root
        self.rootfs = rootfs
        self.scratch = scratch
        self.ids = ids

    def pyrunc(self, *words: str, status: int | None = 0) -> Result:
        return run(self.runtime, "--root", self.root, *words, status=status)

    def start(self, task: Task) -> Container:
        if task.image:
            task = dataclasses.replace(task, ephemeral=True)  # a directory is all that there is of an image
        name = self.ids()
        bundle = self.scratch / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(config(task, self.rootfs), indent=1))
        self.pyrunc("run", "--detach", "--bundle", str(bundle), name)
        return Container(self, name)
