"""What a scenario asks of a caller, and what it sees of the container: the same words for all callers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

USER = 1000
#: In names and texts of the host that no container may find.
MARK = "canary-of-the-host"
#: What the first process of each container is, where the caller needs one: it waits to be removed.
FOREVER = ("/bin/sleep", "100000")


@dataclass(frozen=True)
class Bind:
    """``source`` on the host at ``destination``; ``mode`` is ro, rw, or cow (rw, and copy-on-write by annotation)."""

    source: Path
    destination: str
    mode: str = "ro"


@dataclass(frozen=True)
class Task:
    """A container over the directory or image that all share; sizes are tmpfs(5)'s, "" is the default.

    ``image``: from the caller's image store, where it has one.  ``workspace`` is a path or ``cwd``.
    """

    tmp: str | None = None
    workspace: str | None = None
    size: str = ""
    ephemeral: bool = False
    binds: tuple[Bind, ...] = ()
    cwd: str = "/"
    user: int = 0
    image: bool = False

    def wishes(self) -> dict[str, str]:
        """The annotations that say it."""
        found = {}
        if self.tmp is not None:
            found["io.pyrunc.tmp"] = "private" + _option(self.tmp)
        if self.workspace is not None:
            found["io.pyrunc.workspace"] = self.workspace + _option(self.size)
        if self.ephemeral:
            found["io.pyrunc.rootfs"] = "ephemeral"
        copied = [bind.destination for bind in self.binds if bind.mode == "cow"]
        if copied:
            found["io.pyrunc.cow"] = ":".join(copied)
        return found


def _option(size: str) -> str:
    return f",size={size}" if size else ""


@dataclass(frozen=True)
class Said:
    """How a shell command in a container ended, and what it printed."""

    status: int
    out: str
    err: str


class Container(Protocol):
    """A running one."""

    def do(self, script: str) -> Said:
        """Run a shell command in it to its end, whatever comes of it."""
        ...

    def remove(self) -> None:
        """End and delete it; once more does nothing."""
        ...


class Caller(Protocol):
    """Makes containers over the directory ``rootfs``; removes those that are left when its test ends."""

    rootfs: Path

    def start(self, task: Task) -> Container: ...


def sees(container: Container, script: str) -> str:
    """What a shell command that must succeed prints."""
    said = container.do(script)
    assert said.status == 0, said
    return said.out


def fails(container: Container, script: str) -> str:
    """What a shell command that must fail prints as its error."""
    said = container.do(script)
    assert said.status != 0, said
    return said.err


def search(word: str) -> str:
    """The command that prints all paths with ``word`` in their name or their text; the kernel's own are left out."""
    kernel = r"\( -path /proc -o -path /sys \) -prune"
    return rf"find / {kernel} -o \( -name '*{word}*' -o -type f -exec grep -qe '{word}' {{}} \; \) -print 2>/dev/null"


def finds(container: Container, word: str) -> list[str]:
    """What ``search`` prints."""
    return sorted(container.do(search(word)).out.splitlines())  # its status says whether it could look everywhere
