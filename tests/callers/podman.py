"""The real podman in an enclosure, run with runc and with the runtime under test.

Only podman's own configuration and command line live here.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.callers.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.callers.enclosure import Enclosure

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


class Podman(Engine):
    """One podman with its own storage; ``runtime`` is the path of the runtime under test.

    That of the ordinary user ``uid`` has XDG_RUNTIME_DIR, where podman and the runtime keep what goes with a boot, and
    no cgroups.
    """

    def __init__(self, enclosure: Enclosure, directory: Path, runtime: str, uid: int = 0) -> None:
        super().__init__(enclosure, directory, runtime, name="podman")
        self.uid = uid
        conf = directory / "containers.conf"
        conf.write_text(_CONTAINERS_CONF.format(directory=directory))
        self.env["CONTAINERS_CONF"] = os.fspath(conf)
        run, who = "/run", []
        if uid:
            run = self.env["XDG_RUNTIME_DIR"] = f"/run/user/{uid}"
            who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--"]
            for path in (directory, *directory.iterdir()):
                os.chown(path, uid, uid)
        self.base = [*who, "podman", "--root", f"{directory}/root", "--runroot", f"{run}/storage"]
        self.base += ["--tmpdir", f"{run}/libpod"]  # the enclosure's own /run; podman limits the length
        self.load(*self.base, "import")

    def command(self, runtime: str, *arguments: str, flags: Sequence[str] = ()) -> list[str]:
        """``podman --runtime RUNTIME FLAGS ARGUMENTS``"""
        verb, *others = arguments
        # In a pod it is the pod's, and without root podman uses none here.
        wanted = verb in {"run", "create"} and "--pod" not in others and not self.uid
        parent = ["--cgroup-parent", self.cgroup] if wanted else []
        return [*self.base, "--runtime", runtime, *flags, verb, *parent, *others]
