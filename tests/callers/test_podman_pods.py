"""Pods of podman, and those that it makes of Kubernetes' YAML, as with runc.

Each test makes the same pod with runc first and with the runtime under test next.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.callers import observation
from tests.callers.engine import IMAGE, SLEEP, Seen, eventually, remove_cgroups, running, sh, unexplained, unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")

KINDS = ("net", "ipc", "uts", "pid", "cgroup", "user", "mnt")


class Pod:
    """``podman pod create`` for the length of a with block."""

    def __init__(self, podman: Podman, runtime: str, *options: str) -> None:
        self.podman, self.runtime, self.name = podman, runtime, f"pod-{unique()}"
        words = ["--name", self.name, "--cgroup-parent", podman.cgroup, *options]
        done = podman.do(runtime, "pod", "create", *words)
        assert done.returncode == 0, done.stderr.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.do("rm", "-f", "-t", "0", "NAME")

    def do(self, verb: str, *arguments: str) -> Seen:
        """``podman pod VERB``, in whose arguments NAME is the pod."""
        words = [self.name if word == "NAME" else word for word in arguments]
        done = self.podman.do(self.runtime, "pod", verb, *words)
        return Seen(done, {self.name: "<POD>", self.podman.cgroup: "<PARENT>"})

    def inspect(self, key: str) -> str:
        return str(json.loads(self.do("inspect", "NAME").raw)[key])

    def becomes(self, state: str) -> None:
        eventually(lambda: self.inspect("State"), lambda seen: seen == state)

    def run(self, *arguments: str) -> running:
        """A container of the pod, detached."""
        return running(self.podman, self.runtime, unique(), "--pod", self.name, *arguments)

    def infra(self) -> str:
        """The process whose namespaces the others join."""
        done = self.podman.do(self.runtime, "inspect", "-f", "{{.State.Pid}}", self.inspect("InfraContainerID"))
        return done.stdout.decode().strip()


def each(podman: Podman, *options: str) -> Iterator[Pod]:
    """A pod of runc, then one of the runtime under test, both without network."""
    for runtime in (podman.reference, podman.runtime):
        with Pod(podman, runtime, "--network=none", *options) as pod:
            yield pod


def links(podman: Podman, pid: str) -> dict[str, str]:
    """The namespaces of a process of the enclosure."""
    paths = [f"/proc/{pid}/ns/{kind}" for kind in KINDS]
    return dict(zip(KINDS, podman.enclosure.run(["readlink", *paths]).stdout.decode().split(), strict=True))


@pytest.mark.parametrize("share", ["net,ipc,uts", "net,ipc,uts,pid", "net"])
def test_the_containers_of_a_pod_share_what_is_wanted(podman: Podman, share: str) -> None:
    for pod in each(podman, f"--share={share}"):
        with pod.run(*SLEEP) as one, pod.run(*SLEEP) as other:
            places = [links(podman, container.inspect("{{.State.Pid}}")) for container in (one, other)]
            common = {kind for kind in KINDS if places[0][kind] == places[1][kind]}
            # On cgroup v1, podman leaves a container in the host's cgroup namespace.
            assert common - {"user", "cgroup"} == set(share.split(","))
            infra = links(podman, pod.infra())
            assert {kind for kind in KINDS if infra[kind] == places[0][kind]} == common


@pytest.mark.parametrize(
    "options", [[], ["--share=pid,net,ipc,uts"], ["--uidmap=0:100000:5000", "--gidmap=0:200000:5000"]]
)
def test_a_container_of_a_pod_sees_the_same(podman: Podman, options: list[str]) -> None:
    seen = [
        podman.run(pod.runtime, "--pod", pod.name, IMAGE, "/bin/look")
        for pod in each(podman, "--hostname=box", *options)
    ]
    assert seen[1].code == 0, seen[1]
    podman.equal(*seen)
    assert seen[1].sections["hostname"] == ["box"]


def test_containers_of_a_pod_talk_through_its_loopback(podman: Podman) -> None:
    for pod in each(podman):
        server = sh("echo served >/srv/index.html; exec /bin/busybox httpd -f -p 127.0.0.1:80 -h /srv")
        with pod.run(*server):
            script = "while ! wget -q -O - http://127.0.0.1/; do read -t 0.05 x; done"
            seen = podman.run(pod.runtime, "-i", "--pod", pod.name, *sh(script))
            assert seen.out == "served\n", seen


def test_a_pod_is_stopped_started_paused_killed_and_removed(podman: Podman) -> None:
    for pod in each(podman):
        with pod.run(*sh("trap 'exit 3' TERM; echo up; sleep 1000 & wait $!")) as container:
            container.logs_hold("up\n")
            assert pod.inspect("State") == "Running"
            assert pod.do("pause", "NAME").code == 0
            assert container.inspect("{{.State.Status}}") == "paused"
            assert pod.do("unpause", "NAME").code == 0
            assert pod.do("stop", "-t", "50", "NAME").code == 0
            assert container.inspect("{{.State.Status}} {{.State.ExitCode}}") == "exited 3"
            assert pod.do("start", "NAME").code == 0
            container.logs_hold("up\n" * 2)
            assert pod.do("restart", "NAME").code == 0
            container.logs_hold("up\n" * 3)
            assert "sleep" in pod.do("top", "NAME", "args").out
            assert pod.do("kill", "-s", "KILL", "NAME").code == 0
            container.becomes("{{.State.ExitCode}}", "137")
            assert pod.do("rm", "-f", "-t", "0", "NAME").code == 0
            assert pod.do("exists", "NAME").code == 1


def test_a_pod_without_an_infra_container(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        with Pod(podman, runtime, "--infra=false") as pod:
            seen = podman.run(runtime, "--pod", pod.name, "--net=none", *sh("echo inside"))
            assert (seen.code, seen.out) == (0, "inside\n"), seen


def test_limits_of_a_pod_hold_for_all_its_containers(podman: Podman) -> None:
    for pod in each(podman, "--cpus=0.5"):
        with pod.run("--pids-limit=20", *SLEEP) as container:
            pid = container.inspect("{{.State.Pid}}")
            lines = podman.enclosure.run(["cat", f"/proc/{pid}/cgroup"]).stdout.decode().splitlines()
            path = next(line.split(":", 2)[2] for line in lines if line.split(":")[1] == "cpu")
            assert f"/{pod.inspect('Id')}/" in path
            above = Path("/sys/fs/cgroup/cpu" + path).parent
            assert (above / "cpu.cfs_quota_us").read_text() == "50000\n"


def test_nothing_of_a_pod_is_left_in_the_cgroups(podman: Podman) -> None:
    for pod in each(podman):
        id_ = pod.inspect("Id")
        with pod.run(*SLEEP):
            assert podman.enclosure.run(["find", "/sys/fs/cgroup", "-name", id_]).stdout
        assert pod.do("rm", "-f", "-t", "0", "NAME").code == 0
        left = podman.enclosure.run(["find", "/sys/fs/cgroup", "-path", f"*{id_}*", "-name", "libpod-*"]).stdout
        assert left == b""


# Kubernetes' YAML

#: What podman calls the pod, in paths and in the environment.
NAMED = "kube-"

POD = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{word: configured}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  hostname: box
  restartPolicy: Never
  initContainers:
  - name: first
    image: {image}
    command: [/bin/sh, -c, "echo prepared >/shared/file"]
    volumeMounts: [{{name: shared, mountPath: /shared}}]
  containers:
  - name: one
    image: {image}
    command: [/bin/sh, -c]
    args: ["cat /shared/file; echo $WORD $(id -u):$(id -g); ls /host; touch /x 2>&1; echo done; exec sleep 1000"]
    env: [{{name: WORD, valueFrom: {{configMapKeyRef: {{name: settings, key: word}}}}}}]
    securityContext: {{runAsUser: 1000, runAsGroup: 50, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
    resources: {{limits: {{memory: 64Mi}}}}
    volumeMounts:
    - {{name: shared, mountPath: /shared}}
    - {{name: host, mountPath: /host, readOnly: true}}
  - name: two
    image: {image}
    command: [/bin/look]
  volumes:
  - {{name: shared, emptyDir: {{}}}}
  - {{name: host, hostPath: {{path: {host}, type: Directory}}}}
"""


def logged(podman: Podman, name: str, last: str) -> str:
    """What a container has said as soon as it has said ``last``."""

    def look() -> str:
        return podman.do(podman.runtime, "logs", name).stdout.decode()

    return eventually(look, lambda said: last in said)


def parent_is_gone() -> bool:
    """Remove the cgroup in which podman has pods that nobody gave another, once their monitors have ended."""
    try:
        remove_cgroups("libpod_parent")
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    return True


def test_a_pod_is_played_from_yaml_and_taken_down(podman: Podman, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / "of-the-host").touch()
    looks = []
    for runtime in (podman.reference, podman.runtime):
        name = f"kube-{unique()}"
        text = POD.format(name=name, image=IMAGE, host=host)
        (tmp_path / "pod.yaml").write_text(text)
        played = podman.do(runtime, "kube", "play", "--network=none", f"{tmp_path}/pod.yaml")
        try:
            assert played.returncode == 0, played.stderr.decode()
            one, two = logged(podman, f"{name}-one", "done\n"), logged(podman, f"{name}-two", "== root\n")
            assert one == "prepared\nconfigured 1000:50\nof-the-host\ntouch: /x: Read-only file system\ndone\n"
            looks.append(two)
            made = podman.do(runtime, "kube", "generate", name)
            assert b"/shared" in made.stdout
        finally:
            down = podman.do(runtime, "kube", "down", f"{tmp_path}/pod.yaml")
        assert down.returncode == 0, down.stderr.decode()
        assert podman.do(runtime, "pod", "exists", name).returncode == 1
    eventually(parent_is_gone, bool)
    differing = observation.difference(*(observation.normalised(look, {}) for look in looks))
    assert not unexplained([line for line in differing if NAMED not in line])
