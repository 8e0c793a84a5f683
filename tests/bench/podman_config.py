"""podman's real default config.json, taken from podman itself through a runtime that copies it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support import programs

WRAPPER = """#!/bin/sh
# Called as a runtime: on create, keep the config of the bundle.
previous=
for word; do
    [ "$previous" != --bundle ] || cp "$word/config.json" '{copy}'
    previous=$word
done
exec '{runc}' "$@"
"""

CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class Podman:
    """A podman with a store of its own below ``scratch``."""

    def __init__(self, path: str, scratch: Path) -> None:
        folders = (("--root", "store"), ("--runroot", "runroot"), ("--tmpdir", "tmpdir"))
        self.settings = scratch / "containers.conf"
        self.settings.write_text(CONTAINERS_CONF)
        self.command = [
            path, *(word for option, name in folders for word in (option, str(scratch / name))),
            "--storage-driver", "vfs",
        ]  # fmt: skip

    @classmethod
    def find(cls, scratch: Path) -> Podman | None:
        path = shutil.which("podman", path=programs.PATH)
        return cls(path, scratch) if path else None

    def words(self, *command: str) -> tuple[str, ...]:
        return ("env", f"CONTAINERS_CONF={self.settings}", *self.command, *command)


def capture(scratch: Path, rootfs: Path) -> dict[str, Any] | None:
    """The config for ``podman run --network none`` of a rootfs, made independent of podman; None without
    podman."""
    podman, runc = (shutil.which(name, path=programs.PATH) for name in ("podman", "runc"))
    if podman is None or runc is None or os.geteuid() != 0:
        return None
    copy = scratch / "podman.json"
    wrapper = scratch / "copying-runtime"
    wrapper.write_text(WRAPPER.format(copy=copy, runc=runc))
    wrapper.chmod(0o755)
    wanted = ["run", "--rm", "--network", "none", "--rootfs", str(rootfs), "/bin/true"]
    words = Podman(podman, scratch).words("--runtime", str(wrapper), *wanted)
    subprocess.run(words, stdin=subprocess.DEVNULL, check=True, timeout=60)
    return independent(json.loads(copy.read_text()), scratch)


def independent(config: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Replace what lived only as long as podman's container: its files, its cgroup, its namespaces' paths,
    its hooks."""
    stand_in = scratch / "stand-in"
    stand_in.write_text("127.0.0.1 localhost\n")
    for mount in config["mounts"]:
        source = mount.get("source", "")
        if source.startswith("/") and not Path(source).exists():
            if mount["destination"] == "/dev/shm":
                mount.update(type="tmpfs", source="shm", options=["nosuid", "noexec", "nodev", "mode=1777"])
            else:
                mount["source"] = str(stand_in)
    config.pop("hooks", None)
    config["linux"].pop("cgroupsPath", None)
    for namespace in config["linux"]["namespaces"]:
        namespace.pop("path", None)
    return config
