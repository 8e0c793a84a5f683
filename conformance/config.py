"""Configs: the smallest that every runtime accepts, and small changes to one.

A config is the plain dict that config.json holds; tests change it where they look at it.
"""

from __future__ import annotations

import os
from typing import Any

from conformance.processes import COOKIE

Config = dict[str, Any]

#: The probe in every rootfs.
PROBE = "/probe"

#: What a first process needs no more than; it is what the probe in the smallest config has.
CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")

PROC = {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}
DEV = {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]}


def rootless() -> bool:
    """Must a container have a user namespace, because we are not root?"""
    return os.geteuid() != 0


def minimal(*command: str, token: str = "") -> Config:
    """A config whose process is the probe with ``command``, "wait" by default.

    It has a root, /proc, a /dev of its own, and namespaces for pids, mounts, IPC and the host name; without root a user
    namespace as well, with one id.  ``token`` is put into the environment, so that the processes of a container are
    known as its own.
    """
    config: Config = {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": [PROBE, *(command or ("wait",))],
            "env": ["PATH=/", *([f"{COOKIE}={token}"] if token else [])],
            "cwd": "/",
            "capabilities": {kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")},
        },
        "mounts": [dict(PROC), dict(DEV)],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }
    if rootless():
        user_namespace(config)
    return config


def user_namespace(config: Config, first: int | None = None, count: int = 1) -> Config:
    """Give it a user namespace in which 0 is ``first`` of the host, by default who we are, and ``count`` ids."""
    config["linux"]["namespaces"].append({"type": "user"})
    for kind, own in (("uidMappings", os.geteuid()), ("gidMappings", os.getegid())):
        host = own if first is None else first
        config["linux"][kind] = [{"containerID": 0, "hostID": host, "size": count}]
    return config


def add_namespace(config: Config, kind: str, path: str | None = None) -> Config:
    """A new one of this kind in place of any that is there; with ``path``, that one is joined."""
    drop_namespace(config, kind)
    config["linux"]["namespaces"].append({"type": kind, **({"path": path} if path else {})})
    return config


def drop_namespace(config: Config, kind: str) -> Config:
    kept = [each for each in config["linux"]["namespaces"] if each["type"] != kind]
    config["linux"]["namespaces"] = kept
    return config


def add_mount(config: Config, destination: str, type: str, source: str, *options: str) -> Config:
    mount = {"destination": destination, "type": type, "source": source, "options": list(options)}
    config["mounts"].append(mount)
    return config


def without_mount(config: Config, destination: str) -> Config:
    """What is mounted there is not: the directory of the root file system is seen."""
    config["mounts"] = [each for each in config["mounts"] if each["destination"] != destination]
    return config


def add_hook(config: Config, kind: str, path: str, *args: str, **more: Any) -> Config:
    """One more hook; ``args`` are all of them, with the name first."""
    config.setdefault("hooks", {}).setdefault(kind, []).append({"path": path, "args": list(args), **more})
    return config


def set_path(config: Config, path: str, value: Any) -> Config:
    """``set_path(config, "process.user.uid", 5)``; objects on the way are made."""
    *parents, last = path.split(".")
    place = config
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    return config


#: In ``change``: the property is taken out.
ABSENT = object()


def change(config: Config, changes: dict[str, Any]) -> Config:
    """``change(config, {"process.cwd": "/tmp", "process.user.umask": ABSENT})``."""
    for path, value in changes.items():
        if value is ABSENT:
            drop_path(config, path)
        else:
            set_path(config, path, value)
    return config


def drop_path(config: Config, path: str) -> Config:
    *parents, last = path.split(".")
    place = config
    for name in parents:
        place = place[name]
    del place[last]
    return config
