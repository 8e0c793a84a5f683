"""One container under test, driven through the command line as a caller drives it.

Only driving and observing lives here: which command was given, what came of it, what the host shows.
Standard output and error of commands that leave a process behind go to files: a pipe would not end
before the container does.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import mount_table
from tests.support.canary import tree
from tests.support.command import Result, run
from tests.support.residue import cgroup_directories

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.bundles import Bundle

DEADLINE = 60.0


class Box:
    """``runtime --root root … id``; ``bundle`` is what create and run take unless told otherwise."""

    def __init__(self, runtime: Path, root: Path, id_: str, bundle: Bundle, scratch: Path) -> None:
        self.runtime = runtime
        self.root = root
        self.id = id_
        self.bundle = bundle
        self.out = scratch / f"{id_}.out"
        self.err = scratch / f"{id_}.err"

    def command(
        self,
        verb: str,
        *words: str | os.PathLike[str],
        flags: tuple[str, ...] = (),
        status: int | None = 0,
        **options: Any,
    ) -> Result:
        """``RUNTIME --root ROOT FLAGS VERB WORDS``; the word ``ID`` stands for the container's id."""
        named = [self.id if word == "ID" else os.fspath(word) for word in words]
        return run(self.runtime, "--root", self.root, *flags, verb, *named, status=status, **options)

    def leaving(
        self,
        verb: str,
        *words: str | os.PathLike[str],
        status: int | None = 0,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: tuple[int, ...] = (),
        flags: tuple[str, ...] = (),
        timeout: float = 60,
    ) -> Result:
        """Like `command`, for verbs that leave a process with the caller's stdio behind."""
        named = [self.id if word == "ID" else os.fspath(word) for word in words]
        command = (str(self.runtime), "--root", str(self.root), *flags, verb, *named)
        with self.out.open("ab") as out, self.err.open("ab") as err:
            before = out.tell(), err.tell()
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd, pass_fds=pass_fds,
                timeout=timeout,
                check=False,
            )  # fmt: skip
        said = [path.read_bytes()[at:].decode() for path, at in zip((self.out, self.err), before, strict=True)]
        result = Result(command, done.returncode, said[0], said[1])
        assert status is None or done.returncode == status, result
        return result

    def create(self, *options: str | os.PathLike[str], **keywords: Any) -> Result:
        return self.leaving("create", "--bundle", self.bundle, *options, "ID", **keywords)

    def start(self, **keywords: Any) -> Result:
        return self.command("start", "ID", **keywords)

    def started(self, *options: str | os.PathLike[str]) -> Box:
        """Create and start."""
        self.create(*options)
        self.start()
        return self

    def run(self, *options: str | os.PathLike[str], **keywords: Any) -> Result:
        """``run`` in the foreground."""
        return self.command("run", "--bundle", self.bundle, *options, "ID", **keywords)

    def sees(self, *arguments: str, **keywords: Any) -> Any:
        """Run the probe as the container's program: what it saw."""
        self.bundle.args("/bin/probe", *arguments)
        return json.loads(self.run(**keywords).stdout)

    def exec(self, *words: str, **keywords: Any) -> Result:
        """``exec``: options, ``ID``, the command."""
        return self.command("exec", *words, **keywords)

    def kill(self, *words: str, **keywords: Any) -> Result:
        return self.command("kill", "ID", *words, **keywords)

    def delete(self, *options: str, **keywords: Any) -> Result:
        return self.command("delete", *options, "ID", **keywords)

    def state(self) -> Any:
        return json.loads(self.command("state", "ID").stdout)

    def status(self) -> str:
        status = self.state()["status"]
        assert isinstance(status, str)
        return status

    def exists(self) -> bool:
        return (self.root / self.id).exists()

    def output(self) -> str:
        """What the container has written to its standard output so far."""
        return self.out.read_text()

    def until_output(self, text: str) -> None:
        """Wait for ``text`` in the container's output."""
        until(lambda: text in self.output(), lambda: f"{text!r} in {self.output()!r}")

    def until_stopped(self) -> None:
        """Wait for the end of the container's first process, then for the state to say so."""
        state = self.state()
        if state["status"] == "stopped":
            return
        wait_for_exit(state["pid"])
        until(lambda: self.status() == "stopped", lambda: "the state is stopped")

    def cgroups(self) -> list[Path]:
        """Directories in the cgroup hierarchies that carry the container's id."""
        return [Path(folder) for folder in cgroup_directories() if self.id in Path(folder).name]

    def processes(self) -> list[int]:
        """Processes in the container's cgroups."""
        found: set[int] = set()
        for folder in self.cgroups():
            found |= {int(word) for word in (folder / "cgroup.procs").read_text().split()}
        return sorted(found)

    def nothing_left(self) -> None:
        """Fail unless the container has left no state, cgroup, process or mount."""
        assert not self.exists(), list((self.root / self.id).iterdir())
        assert self.cgroups() == []
        assert [line for line in mount_table.lines() if str(self.bundle.path) in line or self.id in line] == []
        assert [entry.name for entry in Path("/proc").iterdir() if inside(entry, self.bundle)] == []

    def refused(self, verb: str, *words: str | os.PathLike[str], status: int = 1, **keywords: Any) -> str:
        """Give a command that must fail and change nothing; returns the last line of what it said.

        Nothing: no state, cgroup, process or mount, and every file of the bundle is as it was.
        """
        before = contents(self.bundle.path)
        result = self.leaving(verb, *words, status=status, **keywords)
        self.nothing_left()
        assert contents(self.bundle.path) == before
        assert result.stdout == ""
        return result.stderr.rstrip("\n").rpartition("\n")[2]

    def create_refused(self, *options: str | os.PathLike[str], **keywords: Any) -> str:
        """`refused`, of create with this box's bundle and id."""
        return self.refused("create", "--bundle", self.bundle, *options, "ID", **keywords)


def contents(path: Path) -> dict[str, str]:
    """Every entry below ``path`` without its times, which a mount point that came and went changes."""
    return {name: re.sub(r" (mtime|ctime|size)=\d+", "", line) for name, line in tree(path).items()}


def inside(process: Path, bundle: Bundle) -> bool:
    """Does the process have its root or its working directory below the bundle?"""
    if not process.name.isdigit():
        return False
    try:
        places = [os.readlink(process / name) for name in ("root", "cwd")]
    except OSError:  # it has ended, or is a kernel thread
        return False
    return any(f"{place}/".startswith(f"{bundle.path}/") for place in places)


def until(condition: Callable[[], bool], wanted: Callable[[], str]) -> None:
    """Poll ``condition`` to a deadline; fail with what was wanted."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"not in {DEADLINE:.0f} s: {wanted()}"
        select.select([], [], [], 0.01)


def wait_for_exit(pid: int) -> None:
    """Wait until process ``pid`` has ended; at once if there is none."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([pidfd], [], [], DEADLINE)[0], f"process {pid} does not end"
    finally:
        os.close(pidfd)
