"""A real containerd in an enclosure, with its own root, state and socket, and ctr to drive it.

Only what all tests with a containerd need lives here: the daemon, ctr, and images made without a registry.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import select
import subprocess
import tarfile
import time
import tomllib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.callers.engine import PATIENCE, remove_cgroups
from tests.callers.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.callers.enclosure import Enclosure

IMAGE = "localhost/box:latest"

# The state directory's path is part of sockets' paths, whose length is limited: it is in the enclosure's own /run.
_CONFIG = """\
version = 2
root = "{directory}/root"
state = "/run/containerd"
disabled_plugins = [{disabled}]
[grpc]
address = "{socket}"
"""
_SOCKET = "/run/containerd/test.sock"
_CRI = "io.containerd.grpc.v1.cri"

_END = b"\4end\4"
_STAYS = """\
/bin/sh -c "$0" </dev/null; status=$?; printf '\\4end\\4'; printf '\\4end\\4' >&2; read line; exit $status"""


def cri_of(dumped: str) -> dict[str, Any]:
    """What `containerd config dump` or `default` says of the runtimes of its CRI plugin, as of 1.6, 1.7 or 2."""
    plugins = tomllib.loads(dumped)["plugins"]
    found: dict[str, Any] = plugins.get("io.containerd.cri.v1.runtime") or plugins[_CRI]
    return found


class Containerd:
    """``ctr`` runs a command of ctr; use as a context manager, which starts the daemon.

    ``cri`` is the configuration of its CRI plugin, without which it has none.  Whatever is left when the enclosure
    ends, ends with it: the daemon, its shims, containers and mounts.
    """

    def __init__(self, enclosure: Enclosure, directory: Path, runtime: str, *, cri: str = "") -> None:
        self.enclosure = enclosure
        self.directory = directory
        self.runtime = runtime
        self.socket = _SOCKET
        self.cgroup = f"/pyrunc-test-containerd-{uuid.uuid4().hex[:12]}"
        self.config = directory / "config.toml"
        disabled = ["io.containerd.internal.v1.opt", *([] if cri else [_CRI])]
        plain = _CONFIG.format(directory=directory, socket=_SOCKET, disabled=", ".join(map(json.dumps, disabled)))
        self.config.write_text(plain + cri)
        self.env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin",
            "TMPDIR": os.fspath(directory),
        }

    def __enter__(self) -> Self:
        self._sweeper = Sweeper(self.cgroup)
        self._log = (self.directory / "log").open("wb")
        self._daemon = subprocess.Popen(
            self.enclosure.argv(["containerd", "--config", str(self.config)]),
            env=self.env, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        # Where there is no socket yet, ctr looks for it again only after ten seconds.
        socket = Path(f"/proc/{self.enclosure.pid}/root{_SOCKET}")
        while not (socket.exists() and self.do("version").returncode == 0):
            log = (self.directory / "log").read_text()
            assert self._daemon.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        """Before the enclosure's end."""
        self._daemon.kill()  # nsenter; the daemon itself ends with the enclosure's first process
        self._daemon.wait(timeout=60)
        self._log.close()
        self._sweeper.__exit__()

    def do(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """``ctr WORDS``, whatever comes of it."""
        return self.enclosure.run(["ctr", "--address", _SOCKET, *words], env=self.env)

    def script(self, container: str, script: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        """A shell script in a container's task; ``options`` are those of ``ctr task exec``."""
        return self.stays("task", "exec", *options, "--exec-id", uuid.uuid4().hex, container, script=script)

    def stays(self, *words: str, script: str) -> subprocess.CompletedProcess[bytes]:
        """``ctr WORDS`` with a shell script as the program.

        ctr 1.6 loses what a program prints that ends at once, now and then and with runc, too: this one stays until
        all of it has been heard.  It is told so by a line, not by the end of standard input: where ctr's comes before
        the shim has opened its FIFO for reading, the shim waits in open() for ever.
        """
        words = ("ctr", "--address", _SOCKET, *words, "/bin/sh", "-c", _STAYS, script)
        with subprocess.Popen(
            self.enclosure.argv(words), env=self.env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as running:  # fmt: skip
            assert running.stdin
            said = heard(running)
            running.stdin.write(b"\n")
            running.stdin.flush()
            return subprocess.CompletedProcess(
                words, running.wait(PATIENCE), *(text.removesuffix(_END) for text in said)
            )

    def ctr(self, *words: str) -> str:
        """``ctr WORDS``, which must succeed; what it printed."""
        done = self.do(*words)
        log = (self.directory / "log").read_text()[-2000:]
        assert done.returncode == 0, f"ctr {' '.join(words)}\n{done.stderr.decode()}\n{log}"
        return done.stdout.decode()

    def load(self, rootfs: Path, *, user: str) -> str:
        """Import a directory as an image that runs as ``user``; its name."""
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            tar.add(rootfs, arcname=".")
        self.import_(archive(layer.getvalue(), IMAGE, {"User": user, "Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]}))
        return IMAGE

    def import_(self, image: bytes, *, namespace: str = "default") -> None:
        """``ctr image import`` of a docker-archive."""
        path = self.directory / "image.tar"
        path.write_bytes(image)
        self.ctr("--namespace", namespace, "image", "import", str(path))

    def remove_cgroups(self) -> None:
        """After the enclosure's end."""
        remove_cgroups(self.cgroup)


def heard(running: subprocess.Popen[bytes]) -> list[bytes]:
    """What a program has printed on standard output and error, up to its end or _END on both."""
    streams = [stream for stream in (running.stdout, running.stderr) if stream]
    found = [b"" for _ in streams]
    open_ = dict(enumerate(streams))
    while open_:
        ready = select.select(list(open_.values()), [], [], PATIENCE)[0]
        assert ready, f"it is silent after {found}"
        for at, stream in list(open_.items()):
            if stream in ready:
                part = os.read(stream.fileno(), 1 << 16)
                found[at] += part
                if not part or found[at].endswith(_END):
                    del open_[at]
    return found


def archive(layer: bytes, name: str, config: Mapping[str, object]) -> bytes:
    """A docker-archive of one layer, a tar, which ctr imports like an OCI one; ``config`` is that of image-spec."""
    image = {
        "architecture": "arm64" if os.uname().machine == "aarch64" else "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in (
            ("layer.tar", layer),
            ("config.json", json.dumps(image).encode()),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
