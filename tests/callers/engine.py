"""A container engine that is run with runc and with the runtime under test, whichever engine it is.

Only what the tests of every engine need lives here: the image, what came of one command, and the comparison of two
observations against the table of known differences.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import tarfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from tests.callers import observation
from tests.callers.differences import KNOWN
from tests.support import programs

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.callers.enclosure import Enclosure

    Both = Callable[..., tuple["running", "running"]]

IMAGE = "localhost/probe:latest"


_PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
_GROUP = "root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n"
_DIRECTORIES = ("bin", "dev", "etc", "home/alice", "proc", "root", "run", "srv", "sys", "tmp")


def image(busybox: Path, look: Path) -> bytes:
    """A rootfs as tar: busybox, look, a user, and files that cannot be executed for one reason each."""
    out = io.BytesIO()

    def add(tar: tarfile.TarFile, name: str, data: bytes, mode: int, owner: int = 0) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.uid, info.gid = len(data), mode, owner, owner
        tar.addfile(info, io.BytesIO(data))

    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in _DIRECTORIES:
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            info.uid = info.gid = 1000 if name == "home/alice" else 0
            tar.addfile(info)
        add(tar, "bin/busybox", busybox.read_bytes(), 0o755)
        for applet in ("sh", "sleep", "true", "cat"):
            info = tarfile.TarInfo(f"bin/{applet}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        add(tar, "bin/look", look.read_bytes(), 0o755)
        add(tar, "etc/passwd", _PASSWD.encode(), 0o644)
        add(tar, "etc/group", _GROUP.encode(), 0o644)
        add(tar, "srv/not-executable", b"#!/bin/sh\n", 0o644)
        add(tar, "srv/bad-format", b"this is neither ELF nor a script\n", 0o755)
        add(tar, "srv/no-interpreter", b"#!/no/such/interpreter\n", 0o755)
    return out.getvalue()


class Seen:
    """What came of one podman command with one runtime."""

    def __init__(self, done: subprocess.CompletedProcess[bytes], names: Mapping[str, str]) -> None:
        self.code = done.returncode
        self.raw = done.stdout.decode(errors="replace")
        self.out = observation.names_replaced(self.raw, names)
        self.err = observation.names_replaced(done.stderr.decode(errors="replace"), names)
        self.sections = (
            observation.normalised(self.raw, names) if self.raw.startswith("== ") else {"stdout": [self.out]}
        )

    def __repr__(self) -> str:
        return f"Seen(code={self.code}, out={self.out!r}, err={self.err!r})"

    def status(self, field: str) -> str:
        """One field of /proc/self/status."""
        return next(line.split(": ")[1] for line in self.sections["status"] if line.startswith(field + ":"))

    def mount(self, point: str) -> str:
        """The normalised line of the mount that is visible at ``point``."""
        lines = [line for line in self.sections["mountinfo"] if line.split(" ")[0].rstrip("+") == point]
        assert lines, f"nothing is mounted on {point}"
        return lines[-1]


class Engine:
    """One engine with its own storage; ``runtime`` is the runtime under test, ``reference`` is runc.

    Both are what the engine's option ``--runtime`` takes, and ``cgroup`` what its containers are put below.
    """

    #: Options of its ``rm`` for a container that runs.
    force: Sequence[str] = ("-f", "-t", "0")

    def __init__(self, enclosure: Enclosure, directory: Path, runtime: str, *, name: str) -> None:
        self.enclosure = enclosure
        self.directory = directory
        self.runtime = runtime
        self.reference = shutil.which("runc") or "runc"
        self.cgroup = f"/pyrunc-test-{name}-{uuid.uuid4().hex[:12]}"
        (directory / "tmp").mkdir()
        self.env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": os.fspath(directory),
            "TMPDIR": os.fspath(directory / "tmp"),
            "TERM": "xterm",
        }

    def command(self, runtime: str, *arguments: str, flags: Sequence[str] = ()) -> list[str]:
        """The engine's command line for a verb and its arguments, with ``runtime`` and the test's cgroup."""
        raise NotImplementedError

    def do(
        self, runtime: str, *arguments: str, stdin: bytes = b"", flags: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `command` inside, whatever comes of it."""
        return self.enclosure.run(self.command(runtime, *arguments, flags=flags), env=self.env, stdin=stdin)

    def image(self) -> bytes:
        """The tests' image as a tar of its files."""
        busybox = programs.busybox()
        assert busybox is not None, "busybox-static is not installed"
        return image(busybox, Path(__file__).with_name("look.sh"))

    def load(self, *importing: str) -> None:
        """Make the image with the engine's command ``importing``, which is told the changes, the tar and the name."""
        path = self.directory / "image.tar"
        path.write_bytes(self.image())
        changes = ["-c", 'CMD ["/bin/sh"]', "-c", "ENV PATH=/bin:/srv"]
        done = self.enclosure.run([*importing, *changes, str(path), IMAGE], env=self.env)
        assert done.returncode == 0, done.stderr.decode()

    def run(self, runtime: str, *arguments: str, name: str = "", stdin: bytes = b"") -> Seen:
        """``ENGINE run --rm`` of a container of a fresh name; names are replaced in what it said."""
        name = name or f"box-{uuid.uuid4().hex[:12]}"
        done = self.do(runtime, "run", "--rm", "--name", name, *arguments, stdin=stdin)
        return Seen(done, {name: "<NAME>", self.cgroup: "<PARENT>", runtime: "<RUNTIME>"})

    def same(self, *arguments: str, stdin: bytes = b"") -> Seen:
        """Run with runc, then with the runtime under test; fails on a difference that is not in KNOWN.

        Returns what was seen under the runtime under test.
        """
        theirs = self.run(self.reference, *arguments, stdin=stdin)
        ours = self.run(self.runtime, *arguments, stdin=stdin)
        self.equal(theirs, ours)
        return ours

    def equal(self, theirs: Seen, ours: Seen) -> None:
        """Fail unless both saw the same; the message lists every line that differs."""
        assert ours.code == theirs.code, f"runc ended with {theirs!r}, this runtime with {ours!r}"
        found = unexplained(observation.difference(theirs.sections, ours.sections))
        assert not found, "- is runc, + is this runtime:\n" + "\n".join(found)

    def looks_same(self, *options: str) -> Seen:
        """As `same`, of a container without network that runs look."""
        if not any(option.startswith(("--net", "--pod")) for option in options):
            options = ("--net=none", *options)
        hostname = () if any(option.startswith(("--hostname", "--uts")) for option in options) else ("--hostname=box",)
        seen = self.same(*hostname, *options, IMAGE, "/bin/look")
        assert seen.code == 0, seen
        return seen


def unexplained(lines: Sequence[str]) -> list[str]:
    """The lines of a difference that no entry of the table accounts for."""
    return [line for line in lines if not any(re.search(pattern, line) for pattern, _ in KNOWN)]


def sh(script: str) -> list[str]:
    """The image and a shell command."""
    return [IMAGE, "/bin/sh", "-c", script]


SLEEP = [IMAGE, "/bin/sleep", "1000"]


T = TypeVar("T")

#: Seconds to wait for anything: the machine may be emulated, and busy.
PATIENCE = 200.0


def eventually(look: Callable[[], T], good: Callable[[T], object], said: Callable[[], object] = str) -> T:
    """Look until what is seen is good, which it is to be in the end; ``said`` tells more if it is not."""
    deadline = time.monotonic() + PATIENCE
    while not good(seen := look()):
        assert time.monotonic() < deadline, f"{seen!r} {said()}"
        time.sleep(0.05)
    return seen


def unique() -> str:
    return f"box-{uuid.uuid4().hex[:12]}"


@contextlib.contextmanager
def pairs(engine: Engine) -> Iterator[Both]:
    """What starts the same detached container with runc and with the runtime under test; both go at the end."""
    with contextlib.ExitStack() as started:

        def start(*arguments: str) -> tuple[running, running]:
            theirs = started.enter_context(running(engine, engine.reference, unique(), *arguments))
            return theirs, started.enter_context(running(engine, engine.runtime, unique(), *arguments))

        yield start


class running:  # noqa: N801  (reads as a verb at its uses)
    """``ENGINE run -d`` for the length of a with block; removed by force at its end."""

    def __init__(self, engine: Engine, runtime: str, name: str, *arguments: str) -> None:
        self.engine, self.runtime, self.name = engine, runtime, name
        done = engine.do(runtime, "run", "-d", "--name", name, *arguments)
        assert done.returncode == 0, done.stderr.decode()

    @classmethod
    def adopted(cls, engine: Engine, runtime: str, name: str) -> Self:
        """A container that was made by another command."""
        self = cls.__new__(cls)
        self.engine, self.runtime, self.name = engine, runtime, name
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.do(self.runtime, "rm", *self.engine.force, self.name)

    def do(self, verb: str, *arguments: str, stdin: bytes = b"") -> Seen:
        """``ENGINE VERB [options] NAME [arguments]``: options are those up to the word NAME."""
        words = [self.name if word == "NAME" else word for word in arguments]
        done = self.engine.do(self.runtime, verb, *words, stdin=stdin)
        return Seen(done, {self.name: "<NAME>", self.engine.cgroup: "<PARENT>", self.runtime: "<RUNTIME>"})

    def logs_hold(self, text: str) -> None:
        """Wait until the container has printed ``text``."""
        self.until(lambda seen: text in seen.out, "logs", "NAME")

    def until(self, good: Callable[[Seen], object], verb: str, *arguments: str) -> Seen:
        """Repeat a command until what came of it is good."""
        return eventually(lambda: self.do(verb, *arguments), good)

    def inspect(self, template: str) -> str:
        """What ``inspect`` shows of the container."""
        seen = self.do("inspect", "-f", template, "NAME")
        assert seen.code == 0, seen
        return seen.raw.rstrip("\n")

    def becomes(self, template: str, value: str) -> None:
        """Wait until ``inspect`` shows ``value``."""
        eventually(lambda: self.inspect(template), lambda seen: seen == value)


def remove_cgroups(name: str) -> None:
    """Remove the cgroups below ``/NAME`` in every hierarchy of the machine."""
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        for directory, _, _ in os.walk(hierarchy / name.lstrip("/"), topdown=False):
            os.rmdir(directory)
