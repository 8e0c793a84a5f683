"""docker's networks: its hook moves the container's interface in, which the runtime runs; as with runc."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import running, sh, unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.callers.docker import Docker

pytestmark = pytest.mark.needs(
    "root", "dockerd", "docker", "containerd", "runc", "busybox", "nsenter", "unshare", "cgroup1"
)

_SERVER = sh("echo served >/srv/index.html; exec /bin/busybox httpd -f -p 80 -h /srv")
_FETCH = "until wget -q -O - http://{}/ 2>/dev/null; do :; done"


@pytest.fixture
def network(docker: Docker) -> Iterator[str]:
    name = unique()
    done = docker.do("", "network", "create", "--subnet", "10.77.0.0/16", "--internal", name)
    assert done.returncode == 0, done
    yield name
    done = docker.do("", "network", "rm", name)
    assert done.returncode == 0, done


@pytest.mark.needs("iptables")
def test_the_default_bridge_has_an_address_and_a_route(docker: Docker) -> None:
    script = "ip -o -4 addr | cut -d' ' -f2-7; ip route; cat /etc/resolv.conf; wc -l </etc/hosts"
    theirs, ours = (
        docker.run(runtime, "--hostname=box", *sh(script)) for runtime in (docker.reference, docker.runtime)
    )
    assert without_address(ours.out) == without_address(theirs.out)
    assert "default via 172." in ours.out


def without_address(text: str) -> str:
    """Each container has another one."""
    return re.sub(r"\b172\.(\d+)\.0\.\d+\b", r"172.\1.0.N", text)


@pytest.mark.needs("iptables")
def test_containers_of_one_network_reach_each_other_by_name(docker: Docker, network: str) -> None:
    """As compose does it, whichever runtime each of them has."""
    for server, client in (
        (docker.reference, docker.runtime),
        (docker.runtime, docker.reference),
        (docker.runtime, docker.runtime),
    ):
        options = (f"--net={network}", "--net-alias", "web")
        with running(docker, server, name := unique(), *options, *_SERVER):
            seen = docker.run(client, f"--net={network}", *sh(_FETCH.format(name) + ";" + _FETCH.format("web")))
            assert (seen.code, seen.out) == (0, "served\n" * 2), seen


@pytest.mark.needs("iptables")
def test_a_container_joins_and_leaves_a_network_while_it_runs(docker: Docker, network: str) -> None:
    for runtime in (docker.reference, docker.runtime):
        with running(docker, runtime, name := unique(), *sh("exec sleep 1000")) as container:
            look = ("exec", "NAME", "/bin/busybox", "ip", "-o", "-4", "addr")
            assert "10.77." not in container.do(*look).out
            assert docker.do("", "network", "connect", network, name).returncode == 0
            assert "10.77." in container.do(*look).out
            assert docker.do("", "network", "disconnect", network, name).returncode == 0
            assert "10.77." not in container.do(*look).out


@pytest.mark.needs("iptables")
def test_a_published_port_is_reached_from_the_host(docker: Docker) -> None:
    for runtime in (docker.reference, docker.runtime):
        with running(docker, runtime, unique(), "-p", "127.0.0.1::80", *_SERVER) as container:
            where = container.do("port", "NAME", "80/tcp").out.strip()
            done = docker.enclosure.run(["busybox", "sh", "-c", _FETCH.format(where)], env=docker.env)
            assert done.stdout == b"served\n", done
