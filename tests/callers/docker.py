"""A real dockerd in an enclosure, with its own containerd, and the docker client to drive it.

Only docker's own configuration and command line live here.  Whatever is left when the enclosure ends, ends with it: the
daemon, its shims, containers, bridges, firewall rules and mounts.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Self

from tests.callers.engine import Engine, eventually
from tests.callers.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.callers.enclosure import Enclosure

#: For the enclosure: a private /etc, as dockerd writes a key there; and what a volume needs to be shared with the host.
SETUP = """\
mkdir /run/etc /run/shared
cp -a /etc/. /run/etc
rm -rf /run/etc/docker
mount --bind /run/etc /etc
mount -t tmpfs tmpfs /run/shared
mount --make-shared /run/shared
"""
SHARED = "/run/shared"

_SOCKET = "unix:///run/docker-test.sock"
# Names of daemon.json that occur in no path and no text.
_TESTED, _REFERENCE = "tested", "reference"


class Docker(Engine):
    """One dockerd; use as a context manager.  The runtime under test, at ``path``, is its default.

    ``more`` are members of its daemon.json besides those that are here, or in their place.
    """

    force = ("-f", "-v")

    def __init__(
        self, enclosure: Enclosure, directory: Path, path: str, more: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(enclosure, directory, _TESTED, name="docker")
        runc, self.reference = self.reference, _REFERENCE
        self.path = path
        self.env |= {"DOCKER_HOST": _SOCKET, "DOCKER_CONFIG": os.fspath(directory / "config")}
        config = {
            "data-root": f"{directory}/data",
            "exec-root": "/run/docker",
            "pidfile": "/run/docker.pid",
            "hosts": [_SOCKET],
            "cgroup-parent": self.cgroup,
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "runtimes": {_TESTED: {"path": path}, _REFERENCE: {"path": runc}},
            "default-runtime": _TESTED,
            **(more or {}),
        }
        file = directory / "daemon.json"
        file.write_text(json.dumps(config))
        self._sweeper = Sweeper(self.cgroup)
        self._log = (directory / "log").open("wb")
        self._daemon = subprocess.Popen(
            enclosure.argv(["dockerd", "--config-file", str(file)]),
            env=self.env, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self) -> Self:
        def ready() -> bool:
            assert self._daemon.poll() is None, self.log()
            return self.do("", "version").returncode == 0

        eventually(ready, bool, said=self.log)
        self.load("docker", "import")
        return self

    def __exit__(self, *_: object) -> None:
        """Before the enclosure's end."""
        self._daemon.kill()  # nsenter; the daemon itself ends with the enclosure's first process
        self._daemon.wait(timeout=60)
        self._log.close()
        self._sweeper.__exit__()

    def log(self) -> str:
        """What the daemon has said."""
        return (self.directory / "log").read_text()

    def capabilities(self) -> int:
        """What the daemon may give at most; 20.10 knows none after CAP_AUDIT_READ."""
        status = self.enclosure.run(["sed", "-n", "s/^CapBnd:\t//p", "/proc/1/status"]).stdout
        return int(status, 16) & (1 << 38) - 1

    def command(self, runtime: str, *arguments: str, flags: Sequence[str] = ()) -> list[str]:
        """``docker FLAGS run --runtime RUNTIME ...``; other verbs find the runtime by the container."""
        verb, *others = arguments
        chosen = ["--runtime", runtime] if verb in {"run", "create"} else []
        return ["docker", *flags, verb, *chosen, *others]
