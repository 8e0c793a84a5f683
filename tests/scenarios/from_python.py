"""pyrunc.Sandbox: the same wishes as arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyrunc
from tests.scenarios.task import Said

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenarios.task import Task


def arguments(task: Task, rootfs: Path) -> dict[str, Any]:
    """What Sandbox takes."""
    given: dict[str, Any] = {
        "rootfs": rootfs,
        "tmp": None if task.tmp is None else task.tmp or True,
        "writable": task.ephemeral or task.image,
        "user": (task.user, task.user),
        "cwd": task.cwd,
        "hostname": "box",
    }
    if task.workspace is not None:
        path = task.cwd if task.workspace == "cwd" else task.workspace
        given["workspace"] = (path, task.size) if task.size else path
    for bind in task.binds:
        kind = "mounts" if bind.source.is_dir() else "files"
        given.setdefault(kind, {})[bind.source] = (bind.destination, bind.mode)
    return given


class Container:
    def __init__(self, box: pyrunc.Sandbox) -> None:
        self.box = box

    def do(self, script: str) -> Said:
        done = self.box.run(["/bin/sh", "-c", script], text=True)
        return Said(done.returncode, done.stdout, done.stderr)

    def remove(self) -> None:
        self.box.close()


class Caller:
    def __init__(self, root: Path, rootfs: Path) -> None:
        self.root = root
        self.rootfs = rootfs
        self.started: list[Container] = []

    def start(self, task: Task) -> Container:
        made = Container(pyrunc.Sandbox(root=self.root, **arguments(task, self.rootfs)))
        self.started.append(made)
        return made

    def close(self) -> None:
        for container in self.started:
            container.remove()
