"""The real podman in an enclosure, run with runc and with the runtime under test.

Only what every podman test needs lives here: the image, the configuration, one command line with a
chosen runtime, and the comparison of two observations against the table of known differences.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.callers import observation
from tests.callers.differences import KNOWN
from tests.callers.enclosure import Enclosure

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence

    Both = Callable[..., tuple["running", "running"]]

IMAGE = "localhost/probe:latest"

# default_ulimits: the machine's root may lack CAP_SYS_RESOURCE, and cannot raise a hard limit then.
# file locks: the default is one segment in /dev/shm for all podmans of the machine.
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime_supports_json = ["runc", "crun", "pyrunc"]
runtime_supports_nocgroup = ["crun", "pyrunc"]
[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"
"""

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


class Podman:
    """One podman with its own storage; ``runtime`` is the path of the runtime under test."""

    def __init__(self, enclosure: Enclosure, directory: Path, runtime: str) -> None:
        self.enclosure = enclosure
        self.runtime = runtime
        self.directory = directory
        self.reference = shutil.which("runc") or "runc"
        self.cgroup = f"/pyrunc-test-podman-{uuid.uuid4().hex[:12]}"
        conf = directory / "containers.conf"
        conf.write_text(_CONTAINERS_CONF.format(directory=directory))
        (directory / "tmp").mkdir()
        self.env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": os.fspath(directory),
            "TMPDIR": os.fspath(directory / "tmp"),
            "CONTAINERS_CONF": os.fspath(conf),
            "TERM": "xterm",
        }
        self.base = ["podman", "--root", f"{directory}/root", "--runroot", "/run/storage"]
        self.base += ["--tmpdir", "/run/libpod"]  # the enclosure's own /run; podman limits the length
        busybox = shutil.which("busybox")
        assert busybox is not None, "busybox-static is not installed"
        (directory / "image.tar").write_bytes(image(Path(busybox), Path(__file__).with_name("look.sh")))
        changes = ["-c", 'CMD ["/bin/sh"]', "-c", "ENV PATH=/bin:/srv"]
        done = enclosure.run([*self.base, "import", *changes, f"{directory}/image.tar", IMAGE], env=self.env)
        assert done.returncode == 0, done.stderr.decode()

    def do(
        self, runtime: str, *arguments: str, stdin: bytes = b"", flags: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """``podman --runtime RUNTIME FLAGS ARGUMENTS``, whatever comes of it."""
        command = [*self.base, "--runtime", runtime, *flags, *arguments]
        if arguments[0] in {"run", "create"}:
            at = len(command) - len(arguments) + 1
            command[at:at] = ["--cgroup-parent", self.cgroup]
        return self.enclosure.run(command, env=self.env, stdin=stdin)

    def run(self, runtime: str, *arguments: str, name: str = "", stdin: bytes = b"") -> Seen:
        """``podman run --rm`` of a container of a fresh name; names are replaced in what it said."""
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


def unique() -> str:
    return f"box-{uuid.uuid4().hex[:12]}"


class running:  # noqa: N801  (reads as a verb at its uses)
    """``podman run -d`` for the length of a with block; removed by force at its end."""

    def __init__(self, podman: Podman, runtime: str, name: str, *arguments: str) -> None:
        self.podman, self.runtime, self.name = podman, runtime, name
        done = podman.do(runtime, "run", "-d", "--name", name, *arguments)
        assert done.returncode == 0, done.stderr.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.podman.do(self.runtime, "rm", "-f", "-t", "0", self.name)

    def do(self, verb: str, *arguments: str, stdin: bytes = b"") -> Seen:
        """``podman VERB [options] NAME [arguments]``: options are those up to the word NAME."""
        words = [self.name if word == "NAME" else word for word in arguments]
        done = self.podman.do(self.runtime, verb, *words, stdin=stdin)
        return Seen(done, {self.name: "<NAME>", self.podman.cgroup: "<PARENT>", self.runtime: "<RUNTIME>"})

    def logs_hold(self, text: str) -> None:
        """Wait until the container has printed ``text``."""
        deadline = time.monotonic() + 60
        while text not in (seen := self.do("logs", "NAME")).out:
            assert time.monotonic() < deadline, seen


def remove_cgroups(name: str) -> None:
    """Remove the cgroups below ``/NAME`` in every hierarchy of the machine."""
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        for directory, _, _ in os.walk(hierarchy / name.lstrip("/"), topdown=False):
            os.rmdir(directory)
