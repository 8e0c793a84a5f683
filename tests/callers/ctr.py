"""ctr with runc and with the runtime under test: containers and tasks, as with ``ctr run --runc-binary``.

Only ctr's command lines live here, and what came of them.
"""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.callers import observation
from tests.callers.containerd import archive
from tests.callers.engine import IMAGE, PATIENCE, Seen, image, unexplained, unique
from tests.support import programs

if TYPE_CHECKING:
    from tests.callers.containerd import Containerd

#: The config of the image, by image-spec.
CONFIG = {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin:/srv"]}
LOOK = ("/bin/look",)


def probe(name: str) -> bytes:
    """The image of all engines' tests as a docker-archive."""
    busybox = programs.busybox()
    assert busybox is not None, "busybox-static is not installed"
    return archive(image(busybox, Path(__file__).with_name("look.sh")), name, CONFIG)


class Ctr:
    """``runtime`` is the path of the runtime under test, ``reference`` that of runc."""

    def __init__(self, containerd: Containerd) -> None:
        self.containerd = containerd
        self.runtime = containerd.runtime
        self.reference = shutil.which("runc", path=programs.PATH) or "runc"
        containerd.import_(probe(IMAGE))

    def seen(self, done: subprocess.CompletedProcess[bytes], runtime: str, name: str) -> Seen:
        return Seen(done, {name: "<NAME>", self.containerd.cgroup: "<PARENT>", runtime: "<RUNTIME>"})

    def options(self, runtime: str, name: str) -> list[str]:
        """What every container is made with."""
        return ["--runc-binary", runtime, "--cgroup", f"{self.containerd.cgroup}/{name}"]

    def run(self, runtime: str, *options: str, script: str, image: str = IMAGE) -> Seen:
        """``ctr run --rm`` of a shell script in a container of a fresh name."""
        name = unique()
        words = ["run", "--rm", *self.options(runtime, name), *options, image, name]
        return self.seen(self.containerd.stays(*words, script=script), runtime, name)

    def fails(self, runtime: str, *options: str, command: tuple[str, ...]) -> Seen:
        """``ctr run --rm`` of a program that does not start."""
        name = unique()
        done = self.containerd.do("run", "--rm", *self.options(runtime, name), *options, IMAGE, name, *command)
        if self.containerd.do("container", "info", name).returncode == 0:  # it stays where it could not start
            self.containerd.ctr("container", "rm", name)
        return self.seen(done, runtime, name)

    def same(self, *options: str, script: str, image: str = IMAGE) -> Seen:
        """Run with runc, then with the runtime under test; fails on a difference that is not in KNOWN.

        Returns what was seen under the runtime under test.
        """
        theirs = self.run(self.reference, *options, script=script, image=image)
        ours = self.run(self.runtime, *options, script=script, image=image)
        equal(theirs, ours)
        return ours

    def looks_same(self, *options: str, image: str = IMAGE) -> Seen:
        """As `same`, of a container that runs look."""
        seen = self.same(*options, script="/bin/look", image=image)
        assert seen.code == 0, seen
        return seen


def equal(theirs: Seen, ours: Seen) -> None:
    """Fail unless both saw the same; the message lists every line that differs."""
    assert ours.code == theirs.code, f"runc ended with {theirs!r}, this runtime with {ours!r}"
    found = unexplained(observation.difference(theirs.sections, ours.sections))
    assert not found, "- is runc, + is this runtime:\n" + "\n".join(found)


class task:  # noqa: N801  (reads as a verb at its uses)
    """``ctr run --detach`` for the length of a with block; removed by force at its end.

    What it prints goes to a file: ctr is not there to hear it.
    """

    def __init__(self, ctr: Ctr, runtime: str, *options: str, script: str) -> None:
        self.ctr, self.runtime, self.name = ctr, runtime, unique()
        self.containerd = ctr.containerd
        self.log = self.containerd.directory / f"{self.name}.log"
        words = ["--detach", "--log-uri", f"file://{self.log}", *ctr.options(runtime, self.name), *options]
        self.containerd.ctr("run", *words, IMAGE, self.name, "/bin/sh", "-c", script)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.containerd.do("task", "rm", "--force", self.name)
        self.containerd.ctr("container", "rm", self.name)

    def do(self, verb: str, *arguments: str) -> Seen:
        """``ctr task VERB [options] NAME [arguments]``: options are those up to the word NAME."""
        words = [self.name if word == "NAME" else word for word in arguments]
        return self.ctr.seen(self.containerd.do("task", verb, *words), self.runtime, self.name)

    def exec(self, script: str, *options: str) -> Seen:
        """``ctr task exec`` of a shell script."""
        return self.ctr.seen(self.containerd.script(self.name, script, *options), self.runtime, self.name)

    def exec_fails(self, *command: str, options: tuple[str, ...] = ()) -> Seen:
        """``ctr task exec`` of a program that does not start."""
        return self.do("exec", *options, "--exec-id", uuid.uuid4().hex, "NAME", *command)

    def status(self) -> str:
        """RUNNING, PAUSED or STOPPED."""
        for line in self.containerd.ctr("task", "ls").splitlines():
            if line.startswith(self.name):
                return line.split()[2]
        raise AssertionError(f"{self.name} is no task")

    def says(self, text: str) -> None:
        """Wait until the container has printed ``text``."""
        deadline = time.monotonic() + PATIENCE
        while not self.log.exists() or text not in self.log.read_text():
            assert time.monotonic() < deadline, f"{self.name} has not said {text!r}"
            time.sleep(0.01)

    def ends(self) -> None:
        """Wait until the task has stopped."""
        deadline = time.monotonic() + PATIENCE
        while self.status() != "STOPPED":
            assert time.monotonic() < deadline, f"{self.name} goes on"
