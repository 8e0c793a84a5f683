"""The real containerd, through ctr: annotations by ``--annotation``, or a whole config.json by ``--config``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.callers.engine import unique
from tests.scenarios import by_hand
from tests.scenarios.task import FOREVER, USER, Said

if TYPE_CHECKING:
    from pathlib import Path

    from tests.callers.containerd import Containerd
    from tests.scenarios.task import Task


class Container:
    def __init__(self, caller: Caller, name: str) -> None:
        self.caller = caller
        self.name = name
        self.removed = False

    def do(self, script: str) -> Said:
        done = self.caller.engine.script(self.name, script)
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    def remove(self) -> None:
        if not self.removed:
            self.removed = True
            self.caller.engine.ctr("task", "rm", "--force", self.name)
            self.caller.engine.ctr("container", "rm", self.name)


class Caller:
    """``image`` is what ``rootfs`` was imported as, for the user USER."""

    def __init__(self, engine: Containerd, image: str, rootfs: Path, scratch: Path) -> None:
        self.engine = engine
        self.image = image
        self.rootfs = rootfs
        self.scratch = scratch
        self.started: list[Container] = []

    def start(self, task: Task) -> Container:
        made = Container(self, unique())
        cgroup = f"{self.engine.cgroup}/{made.name}"
        words = ["--detach", "--null-io", "--runc-binary", self.engine.runtime]
        if task.image:
            assert task.user == USER, "the image says who runs"
            words += [*self._options(task, cgroup), self.image, made.name, *FOREVER]
        elif task.user == 0:
            words += [*self._options(task, cgroup), "--rootfs", str(self.rootfs), made.name, *FOREVER]
        else:  # ctr 1.6 has no option for it
            path = self.scratch / f"{made.name}.json"
            path.write_text(json.dumps(by_hand.config(task, self.rootfs, cgroup=cgroup)))
            words += ["--config", str(path), made.name]
        self.engine.ctr("run", *words)
        self.started.append(made)
        return made

    def _options(self, task: Task, cgroup: str) -> list[str]:
        words = ["--cgroup", cgroup, "--cwd", task.cwd]
        for key, value in task.wishes().items():
            words += ["--annotation", f"{key}={value}"]
        for bind in task.binds:
            access = "ro" if bind.mode == "ro" else "rw"
            words += ["--mount", f"type=bind,src={bind.source},dst={bind.destination},options=rbind:{access}"]
        return words

    def close(self) -> None:
        for container in self.started:
            container.remove()
