"""containerd's CRI plugin, as a kubelet uses it: pods, and containers in them, of the handlers runc and pyrunc.

Only what all tests of the plugin need lives here: the daemon's configuration, calls, and what came of a container.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.callers import observation
from tests.callers.containerd import Containerd, archive
from tests.callers.ctr import equal, probe
from tests.callers.engine import IMAGE, Seen, image, unique
from tests.support import programs
from tests.support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.callers.enclosure import Enclosure

HANDLERS = ("runc", "pyrunc")
PAUSE = "localhost/pause:latest"
#: What a process of the host has mounted below it reaches containers that ask for it, and the other way round.
SHARED = "/run/shared"

# libcni keeps its results in /var/lib/cni.
SETUP = f"""\
mkdir /run/upper /run/work
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/upper,workdir=/run/work overlay /var/lib
mkdir {SHARED}
mount -t tmpfs tmpfs {SHARED}
mount --make-shared {SHARED}
"""

# restrict_oom_score_adj: root may lack CAP_SYS_RESOURCE, and a pod's first process is to be spared else.
_CRI = """
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{directory}/cni"
"""

#: docs/kubernetes.md: a handler that pods' wishes for private state reach.
PRIVATE = """
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.pyrunc-private]
runtime_type = "io.containerd.runc.v2"
pod_annotations = ["io.pyrunc.*"]
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.pyrunc-private.options]
BinaryName = "{runtime}"
"""
_CNI = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.88.0.0/24"}]]},
        }
    ],
}
_DEADLINE = 60


def daemon(enclosure: Enclosure, directory: Path, pyrunc: Path, runtime: str) -> Containerd:
    """A containerd whose handler pyrunc is what ``pyrunc setup`` has written."""
    (directory / "cni").mkdir()
    (directory / "cni/10-pods.conflist").write_text(json.dumps(_CNI))
    cri = _CRI.format(pause=PAUSE, directory=directory)
    made = Containerd(enclosure, directory, runtime, cri=cri)
    run(pyrunc, "setup", "containerd", "--config", made.config, "--runtime", runtime)
    with made.config.open("a") as file:
        file.write(PRIVATE.format(runtime=runtime))
    return made


class Refused(Exception):
    """The plugin's answer to a call that failed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Cri:
    """A client of the plugin of a daemon that runs; use as a context manager."""

    def __init__(self, containerd: Containerd) -> None:
        self.containerd = containerd
        socket = f"/proc/{containerd.enclosure.pid}/root{containerd.socket}"
        self._client = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("cri_client.py")), socket],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        busybox = programs.busybox()
        assert busybox is not None, "busybox-static is not installed"
        sleeps = {"Entrypoint": ["/bin/sleep", "1000000"]}
        layer = image(busybox, Path(__file__).with_name("look.sh"))
        for name, data in ((IMAGE, probe(IMAGE)), (PAUSE, archive(layer, PAUSE, sleeps))):
            containerd.import_(data, namespace="k8s.io")
            until(lambda name=name: self.call("ImageStatus", image={"image": name}).get("image"))  # type: ignore[misc]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._client.stdin
        assert self._client.stdout
        self._client.stdin.close()
        self._client.wait(timeout=_DEADLINE)
        self._client.stdout.close()

    def call(self, method: str, **request: Any) -> Any:
        """The response as cri.proto has it; Refused where the plugin fails the call."""
        assert self._client.stdin
        assert self._client.stdout
        self._client.stdin.write(json.dumps([method, request]).encode() + b"\n")
        self._client.stdin.flush()
        line = self._client.stdout.readline()
        assert line, f"the client has ended: {self._client.wait(timeout=_DEADLINE)}"
        code, told = json.loads(line)
        if code is not None:
            raise Refused(code, told)
        return told


class Pod:
    """A pod sandbox for the length of a with block.

    ``namespaces`` are NamespaceOption's (POD unless told otherwise, but for pid, as the kubelet has it), ``security``
    adds to its LinuxSandboxSecurityContext, ``linux`` to its LinuxPodSandboxConfig, ``config`` to its config.
    """

    def __init__(
        self,
        cri: Cri,
        handler: str,
        *,
        namespaces: Mapping[str, str] | None = None,
        security: Mapping[str, Any] | None = None,
        linux: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> None:
        self.cri = cri
        self.name = unique()
        self.namespaces = {"network": "POD", "pid": "CONTAINER", "ipc": "POD", **(namespaces or {})}
        self.privileged = bool((security or {}).get("privileged"))
        self.logs = cri.containerd.directory / "logs" / self.name
        self.cgroup = f"{cri.containerd.cgroup}/{self.name}"
        self.config = {
            "metadata": {"name": self.name, "uid": self.name, "namespace": "default"},
            "hostname": "" if self.namespaces["network"] == "NODE" else "box",
            "log_directory": str(self.logs),
            "linux": {
                "cgroup_parent": self.cgroup,
                "security_context": {"namespace_options": self.namespaces, **(security or {})},
                **(linux or {}),
            },
            **config,
        }
        self.id: str = cri.call("RunPodSandbox", config=self.config, runtime_handler=handler)["pod_sandbox_id"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        until(lambda: self._done("StopPodSandbox"))
        until(lambda: self._done("RemovePodSandbox"))

    def _done(self, method: str) -> bool:
        """containerd 1.6 may not have heard yet that a shim has ended with its container; a kubelet asks again."""
        try:
            self.cri.call(method, pod_sandbox_id=self.id)
        except Refused as refused:
            if "ttrpc: closed" not in refused.text:
                raise
            return False
        return True

    def container(self, *command: str, **config: Any) -> Container:
        """Create a container; ``config`` adds to its ContainerConfig."""
        return Container(self, command, config)

    def running(self, script: str, **config: Any) -> Container:
        """A shell script in a container that is started."""
        made = self.container("/bin/sh", "-c", script, **config)
        made.start()
        return made


class Container:
    def __init__(self, pod: Pod, command: tuple[str, ...], config: Mapping[str, Any]) -> None:
        self.pod = pod
        self.cri = pod.cri
        name = unique()
        linux = dict(config.get("linux", {}))
        security = {"namespace_options": pod.namespaces, "privileged": pod.privileged}
        linux["security_context"] = {**security, **linux.get("security_context", {})}
        self.config = {
            "metadata": {"name": name},
            "image": {"image": IMAGE},
            "command": command,
            "log_path": f"{name}.log",
            **config,
            "linux": linux,
        }
        self.log = pod.logs / f"{name}.log"
        made = self.cri.call("CreateContainer", pod_sandbox_id=pod.id, config=self.config, sandbox_config=pod.config)
        self.id: str = made["container_id"]

    def call(self, method: str, **more: Any) -> Any:
        return self.cri.call(method, container_id=self.id, **more)

    def start(self) -> None:
        self.call("StartContainer")

    def status(self) -> Any:
        return self.call("ContainerStatus")["status"]

    def remove(self) -> None:
        self.call("RemoveContainer")

    def ended(self) -> tuple[int, str]:
        """Wait until it has; (exit code, reason)."""
        until(lambda: self.status()["state"] == "CONTAINER_EXITED")
        status = self.status()
        return status["exit_code"], status["reason"]

    def exec(self, script: str, timeout: int = 60) -> Seen:
        """ExecSync of a shell script."""
        told = self.call("ExecSync", cmd=["/bin/sh", "-c", script], timeout=str(timeout))
        out, err = (base64.b64decode(told[name]) for name in ("stdout", "stderr"))
        return self.seen(told["exit_code"], out, err)

    def streamed(self, method: str, *options: str, **request: Any) -> list[str]:
        """The command line of a program whose standard streams are those of an Exec or Attach; its options."""
        url = self.call(method, **{"stdin": True, "stdout": True, "stderr": not request.get("tty"), **request})["url"]
        client = [sys.executable, str(Path(__file__).with_name("cri_stream.py")), url]
        return self.cri.containerd.enclosure.argv([*client, *options])

    def seen(self, code: int, out: bytes, err: bytes = b"") -> Seen:
        names = {self.pod.cgroup: "<PARENT>", self.pod.name: "<POD>"}
        return Seen(subprocess.CompletedProcess((), code, out, err), names)

    def lines(self) -> list[tuple[str, str]]:
        """What it has printed so far, by its log: (stream, line); a part of a line stands with what follows it."""
        found: list[tuple[str, str]] = []
        part = ""
        written = self.log.read_text() if self.log.exists() else ""
        for line in written[: written.rfind("\n") + 1].splitlines():
            _time, stream, tag, text = line.split(" ", 3)
            part += text
            if tag == "F":
                found.append((stream, part))
                part = ""
        return found

    def says(self, text: str) -> None:
        until(lambda: any(text in line for _, line in self.lines()))


def looks(pod: Pod, **config: Any) -> Seen:
    """What the first process of a container sees."""
    box = pod.running("/bin/look; echo == end", **config)
    box.says("== end")
    code, _ = box.ended()
    out = "\n".join(line for stream, line in box.lines() if stream == "stdout")
    box.remove()
    return box.seen(code, out.encode())


def look_same(theirs: Pod, ours: Pod, **config: Any) -> Seen:
    """The same container in both pods; fails on a difference that is not in differences.py."""
    seen = looks(theirs, **config), looks(ours, **config)
    equal(*seen)
    assert seen[1].code == 0, seen[1]
    return seen[1]


def namespaces(box: Container) -> dict[str, str]:
    """``{"net": "net:[4026531840]"}`` of a container's new process, but for those that are always its own."""
    return observation.namespace_links(box.exec("/bin/look").raw)


def until(done: Callable[[], object]) -> None:
    """Wait for something that the plugin comes to on its own."""
    deadline = time.monotonic() + _DEADLINE
    while not done():
        assert time.monotonic() < deadline, "it has not come to pass"
        time.sleep(0.01)
