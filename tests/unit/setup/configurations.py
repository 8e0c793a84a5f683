"""Configurations of engines that people have, with comments, odd layouts and without a last newline."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

#: What containerd calls its CRI plugin.
PLUGIN = "io.containerd.grpc.v1.cri"

DEBIAN = """\
version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"  # Debian's
"""
KUBEADM = """\
# by kubeadm
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc" # the usual one
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true

[metrics]
  address = ""
"""
TWO = """\
version = 3
[plugins.'io.containerd.cri.v1.runtime'.containerd]
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'"""
OTHERS: dict[str, list[str]] = {
    "podman": ["", "# mine\n[containers]\nlog_size_max = 1\n"],
    "containerd": ["", "\n", DEBIAN, KUBEADM, TWO, KUBEADM.replace("\n", "\r\n"), 'disabled_plugins = ["cri"]\n'],
    "docker": [
        "",
        "{}",
        "{ }\n",
        '{"debug": true}',
        '{\n    "debug" : true,\n\t"log-opts":{"max-size":"10m"}   \n}\n\n',
        '{\n\t"runtimes": {\n\t\t"kata": {"path": "/k"}\n\t}\n}',
        '{"runtimes": {}, "default-runtime": "crun", "x": 1.50e2, "y": "\\u00e4"}',
        '{\r\n  "runtimes": { "pyrunc": { "path": "/old", "runtimeArgs": ["--debug"] } }\r\n}\r\n',
    ],
    "crio": ["", '[crio.image]\npause_image = "p"'],
}


def toml(path: Path) -> Any:
    return tomllib.loads(path.read_text())
