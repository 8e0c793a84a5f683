"""Networks and shared namespaces under podman, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import IMAGE, SLEEP, running, sh, unique

if TYPE_CHECKING:
    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")


needs_a_bridge = pytest.mark.needs("iptables")


@pytest.mark.parametrize("which", ["pid", "net", "ipc", "uts", "cgroup"])
def test_a_namespace_of_the_host(podman: Podman, which: str) -> None:
    seen = podman.looks_same(f"--{which}{'ns' if which == 'cgroup' else ''}=host")
    host = podman.enclosure.run(["readlink", f"/proc/1/ns/{which}"]).stdout.decode().strip()
    assert f"{which} {host}" in seen.raw


@pytest.mark.parametrize("which", ["cgroup"])
def test_a_private_namespace(podman: Podman, which: str) -> None:
    podman.looks_same("--cgroupns=private")


@needs_a_bridge
def test_a_bridge_network_has_an_address_and_a_route(podman: Podman) -> None:
    seen = podman.same(
        "--net=bridge", "--hostname=box", "--ip=10.88.7.7", *sh("ip -o -4 addr | cut -d' ' -f2-7; ip route")
    )
    assert "10.88.7.7/16" in seen.out
    assert "default via 10.88.0.1" in seen.out


@needs_a_bridge
def test_two_containers_of_a_bridge_talk(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        name = unique()
        server = sh("echo served >/srv/index.html; exec /bin/busybox httpd -f -p 80 -h /srv")
        with running(podman, runtime, name, "--net=bridge", "--ip=10.88.8.8", *server):
            script = "while ! wget -q -O - http://10.88.8.8/; do read -t 0.05 x; done"
            seen = podman.run(runtime, "-i", "--net=bridge", *sh(script))
            assert seen.out == "served\n", seen


def test_the_namespaces_of_another_container(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        name = unique()
        with running(podman, runtime, name, "--net=none", *SLEEP):
            pid = podman.do(runtime, "inspect", "-f", "{{.State.Pid}}", name).stdout.decode().strip()
            options = [f"--{kind}=container:{name}" for kind in ("pid", "net", "ipc", "uts")]
            seen = podman.run(runtime, *options, IMAGE, "/bin/look")
            assert seen.code == 0, seen
            for kind in ("pid", "net", "ipc", "uts"):
                theirs = podman.enclosure.run(["readlink", f"/proc/{pid}/ns/{kind}"]).stdout.decode().strip()
                assert f"{kind} {theirs}" in seen.raw


@pytest.mark.parametrize(
    "options",
    [
        ["--userns=auto:size=4096"],
        ["--userns=host"],
        ["--uidmap", "0:100000:5000", "--gidmap", "0:200000:5000"],
        ["--uidmap", "0:100000:5000", "--user", "1000"],
        ["--uidmap", "0:100000:5000", "--read-only", "--tmpfs", "/tmp"],
    ],
    ids=" ".join,
)
def test_user_namespaces(podman: Podman, options: list[str]) -> None:
    podman.looks_same(*options)
