"""The real podman: annotations by ``--annotation``, or the flags of the same meaning by ``--runtime-flag``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.callers.engine import unique
from tests.scenarios.task import FOREVER, Said

if TYPE_CHECKING:
    from pathlib import Path

    from tests.callers.podman import Podman
    from tests.scenarios.task import Task

#: The annotation -> the global flag that stands for it; tmp and rootfs have no word before their size there.
FLAGS = {
    "io.pyrunc.tmp": ("private-tmp", "private"),
    "io.pyrunc.workspace": ("workspace", ""),
    "io.pyrunc.rootfs": ("ephemeral-rootfs", "ephemeral"),
    "io.pyrunc.cow": ("cow", ""),
}


def annotation(key: str, value: str) -> str:
    """podman 4 cuts the value of --annotation at commas as in a CSV file, unless it is in double quotes."""
    return f'"{key}={value}"' if "," in value else f"{key}={value}"


def flag(key: str, value: str) -> str:
    """The flag without its dashes, as --runtime-flag wants it."""
    name, word = FLAGS[key]
    value = value.removeprefix(word).removeprefix(",") if word else value
    return f"{name}={value}" if value else name


class Container:
    def __init__(self, caller: Caller, name: str) -> None:
        self.caller = caller
        self.name = name
        self.removed = False

    def do(self, script: str) -> Said:
        engine = self.caller.engine
        done = engine.do(engine.runtime, "exec", self.name, "/bin/sh", "-c", script)
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    def remove(self) -> None:
        if not self.removed:
            self.removed = True
            engine = self.caller.engine
            done = engine.do(engine.runtime, "rm", "-f", "-t", "0", self.name)
            assert done.returncode == 0, done.stderr.decode()


class Caller:
    """``image`` is the name of what ``rootfs`` was imported as."""

    def __init__(self, engine: Podman, image: str, rootfs: Path, *, flags: bool) -> None:
        self.engine = engine
        self.image = image
        self.rootfs = rootfs
        self.flags = flags
        self.started: list[Container] = []

    def start(self, task: Task) -> Container:
        made = Container(self, unique())
        self.started.append(made)
        asked = task.wishes().items()
        words = [] if self.flags else [f"--annotation={annotation(*wish)}" for wish in asked]
        before = [f"--runtime-flag={flag(*wish)}" for wish in asked] if self.flags else []
        words += [f"--workdir={task.cwd}", f"--user={task.user}:{task.user}", "--net=none", "--hostname=box"]
        for bind in task.binds:
            words.append(f"--volume={bind.source}:{bind.destination}:{'ro' if bind.mode == 'ro' else 'rw'}")
        words += [self.image] if task.image else ["--rootfs", str(self.rootfs)]
        done = self.engine.do(
            self.engine.runtime, "run", "-d", "--name", made.name, *words, *FOREVER, flags=tuple(before)
        )
        assert done.returncode == 0, done.stderr.decode()
        return made

    def close(self) -> None:
        for container in self.started:
            container.remove()
