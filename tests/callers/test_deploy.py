"""deploy/: what Kubernetes is told, and that the pod of the example runs, by the CRI of one machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pyrunc.setup import containerd, crio
from pyrunc.setup.wish import NAME, Wish
from tests.callers.cri import PRIVATE, Pod, until

if TYPE_CHECKING:
    from tests.callers.cri import Container, Cri

CHECKOUT = Path(__file__).parents[2]
DEPLOY = CHECKOUT / "deploy"
UNITS = {"m": 1, "Mi": 1 << 20}


def document(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def test_the_runtime_class_names_the_handler_that_setup_writes() -> None:
    found = document("runtimeclass.yaml")
    assert (found["apiVersion"], found["kind"]) == ("node.k8s.io/v1", "RuntimeClass")
    wish = Wish("/opt/pyrunc/bin/pyrunc")
    section = tomllib.loads(containerd.within(None, "config.toml", wish))["plugins"]["io.containerd.grpc.v1.cri"]
    assert section["containerd"]["runtimes"][found["handler"]]["options"]["BinaryName"] == wish.runtime
    drop_in = tomllib.loads(crio.within(None, "50-pyrunc.conf", wish))["crio"]["runtime"]
    assert drop_in["runtimes"][found["handler"]]["runtime_path"] == wish.runtime
    assert found["handler"] == NAME
    label = "=".join(*found["scheduling"]["nodeSelector"].items())
    for text in (DEPLOY / "runtimeclass.yaml", CHECKOUT / "docs/kubernetes.md"):
        assert f"kubectl label node NODE {label}\n" in text.read_text()


def test_the_pod_is_of_that_class() -> None:
    found = document("pod.yaml")
    assert (found["apiVersion"], found["kind"]) == ("v1", "Pod")
    assert found["spec"]["runtimeClassName"] == document("runtimeclass.yaml")["metadata"]["name"]
    assert len(found["spec"]["containers"]) == 2


def test_the_document_has_the_handler_that_the_tests_use() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", (CHECKOUT / "docs/kubernetes.md").read_text(), re.DOTALL)
    assert text == PRIVATE.format(runtime="/opt/pyrunc/bin/pyrunc").lstrip("\n")


def started(pod: Pod, wish: dict[str, Any], common: dict[str, Any], volumes: dict[str, Path]) -> Container:
    """A container of a Pod's manifest as a kubelet would ask for it; of the image of the tests."""
    own, limits = wish["securityContext"], wish["resources"]["limits"]
    (cpu, milli), (memory, mebi) = (re.fullmatch(r"(\d+)(\D+)", limits[name]).groups() for name in ("cpu", "memory"))  # type: ignore[union-attr]
    assert {*wish} == {"name", "image", "command", "volumeMounts", "securityContext", "resources"}
    assert {*own} == {"allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities"}
    assert {*common} == {"runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile"}
    box = pod.container(
        *wish["command"],
        mounts=[
            {"container_path": mount["mountPath"], "host_path": str(volumes[mount["name"]])}
            for mount in wish["volumeMounts"]
        ],
        linux={
            "resources": {
                "cpu_period": "100000",
                "cpu_quota": str(int(cpu) * UNITS[milli] * 100),
                "memory_limit_in_bytes": str(int(memory) * UNITS[mebi]),
            },
            "security_context": {
                "run_as_user": {"value": str(common["runAsUser"])},
                "run_as_group": {"value": str(common["runAsGroup"])},
                "seccomp": {"profile_type": common["seccompProfile"]["type"]},
                "readonly_rootfs": own["readOnlyRootFilesystem"],
                "no_new_privs": not own["allowPrivilegeEscalation"],
                "capabilities": {"drop_capabilities": own["capabilities"]["drop"]},
            },
        },
    )
    box.start()
    return box


@pytest.mark.needs("root", "containerd", "ctr", "cni", "runc", "busybox", "nsenter", "unshare", "overlay", "cgroup1")
@pytest.mark.parametrize("handler", ["runc", "pyrunc"])
def test_the_pod_runs(cri: Cri, handler: str, tmp_path: Path) -> None:
    spec = document("pod.yaml")["spec"]
    volumes = {}
    for volume in spec["volumes"]:
        assert volume["emptyDir"] == {}
        volumes[volume["name"]] = path = tmp_path / volume["name"]
        path.mkdir()
        path.chmod(0o777)
    with Pod(cri, handler, hostname=document("pod.yaml")["metadata"]["name"]) as pod:
        writer, reader = (started(pod, wish, spec["securityContext"], volumes) for wish in spec["containers"])
        assert reader.ended() == (0, "Completed")
        until(lambda: reader.lines() == [("stdout", "two")])
        assert writer.status()["state"] == "CONTAINER_RUNNING"
        seen = writer.exec("id=$(/bin/busybox id -u); echo $id $HOME; : >/new")
        assert (seen.out, "Read-only file system" in seen.err) == ("1000 /home/alice\n", True)


@pytest.mark.needs("root", "containerd", "ctr", "cni", "runc", "busybox", "nsenter", "unshare", "overlay", "cgroup1")
def test_private_state_is_for_handlers_that_let_wishes_through(cri: Cri) -> None:
    wish = {"io.pyrunc.tmp": "private,size=64m"}
    for handler, private in (("pyrunc-private", True), ("pyrunc", False)):
        with Pod(cri, handler, annotations=wish) as pod:
            seen = pod.running("exec sleep 1000").exec("/bin/busybox grep ' /tmp tmpfs ' /proc/mounts").out
            assert ("size=65536k" in seen) == private
