"""Bundles for tests: a directory with a config.json that can be edited and a small rootfs of static
programs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from tests.support import programs
from tests.support.config import default_config

DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr/bin", "var/tmp", "home/user")

APPLETS = (
    "cat", "chmod", "chown", "cp", "dd", "df", "echo", "env", "false", "find", "grep", "head", "hostname",
    "id", "kill", "ln", "ls", "mkdir", "mkfifo", "mknod", "mount", "mv", "nc", "ps", "pwd", "readlink", "rm",
    "rmdir", "sed", "sh", "sleep", "sort", "stat", "stty", "su", "tail", "test", "touch", "true", "tty",
    "umount", "uname", "wc", "yes",
)  # fmt: skip


def make_rootfs(path: Path) -> None:
    """A rootfs with /bin/probe, /etc/passwd and group, and busybox with its applets where the host has a
    static one."""
    for name in DIRECTORIES:
        (path / name).mkdir(parents=True, exist_ok=True)
    (path / "tmp").chmod(0o1777)
    (path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n")
    (path / "etc/group").write_text("root:x:0:\ntty:x:5:\nuser:x:1000:\nextra:x:2000:user\n")
    shutil.copy(programs.static("probe"), path / "bin/probe")
    busybox = programs.busybox()
    if busybox is None:
        return
    shutil.copy(busybox, path / "bin/busybox")
    (path / "bin/busybox").chmod(0o755)
    for name in APPLETS:
        (path / "bin" / name).symlink_to("busybox")


class Bundle:
    """A bundle directory: ``path``, ``rootfs``, and ``config``, which ``write()`` puts into config.json."""

    def __init__(self, path: Path, config: dict[str, Any] | None = None) -> None:
        self.path = path
        self.rootfs = path / "rootfs"
        self.config = config if config is not None else default_config(user_namespace=os.geteuid() != 0)
        self.path.mkdir(parents=True, exist_ok=True)
        make_rootfs(self.rootfs)
        self.write()

    def __fspath__(self) -> str:
        return str(self.path)

    def write(self) -> Bundle:
        (self.path / "config.json").write_text(json.dumps(self.config, indent=1))
        return self

    def args(self, *args: str) -> Bundle:
        """Set process.args and write."""
        self.config["process"]["args"] = list(args)
        return self.write()

    def edit(self, **edits: Any) -> Bundle:
        """Set values by dotted path, dots written as ``__``: ``edit(process__user__uid=1, hostname=None)``.

        None removes the key; missing objects on the way are made.  Writes.
        """
        for dotted, value in edits.items():
            *parents, key = dotted.split("__")
            node = self.config
            for parent in parents:
                node = node.setdefault(parent, {})
            if value is None:
                node.pop(key, None)
            else:
                node[key] = value
        return self.write()

    def mount(self, destination: str, kind: str, source: str | os.PathLike[str], *options: str) -> Bundle:
        """Append a mount and write."""
        self.config["mounts"].append(
            {"destination": destination, "type": kind, "source": os.fspath(source), "options": list(options)}
        )
        return self.write()

    def without_namespace(self, kind: str) -> Bundle:
        namespaces = self.config["linux"]["namespaces"]
        self.config["linux"]["namespaces"] = [entry for entry in namespaces if entry["type"] != kind]
        return self.write()

    def namespace(self, kind: str, path: str | None = None) -> Bundle:
        """Add (or replace) a namespace, new or joined by path."""
        self.without_namespace(kind)
        entry = {"type": kind} if path is None else {"type": kind, "path": path}
        self.config["linux"]["namespaces"].append(entry)
        return self.write()
