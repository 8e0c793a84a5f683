"""`--userns` in all its modes under podman, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import IMAGE, SLEEP, running, sh, unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.callers.engine import Both
    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")

MAPPED = ("--uidmap=0:100000:5000", "--gidmap=0:200000:5000")

MODES = [
    ["--userns=host"],
    [*MAPPED],
    ["--userns=auto"],
    ["--userns=auto:size=8192"],
    ["--userns=auto:uidmapping=0:300000:2000,gidmapping=0:300000:2000,size=2000"],
    ["--subuidname=containers", "--subgidname=containers"],
    [*MAPPED, "--privileged"],
    [*MAPPED, "--cap-drop=all", "--user=1000"],
    [*MAPPED, "--pid=host"],
    [*MAPPED, "--systemd=always"],
    [*MAPPED, "--read-only"],
]  # fmt: skip


@pytest.mark.parametrize("options", MODES, ids=" ".join)
def test_a_container_sees_the_same(podman: Podman, options: list[str]) -> None:
    seen = podman.looks_same(*options)
    assert (seen.sections["uid_map"][0].split() == ["0", "0", "4294967295"]) == ("--userns=host" in options)


@pytest.mark.parametrize("options", [MODES[1], MODES[7]], ids=" ".join)
def test_exec_sees_the_same(podman: Podman, both: Both, options: list[str]) -> None:
    theirs, ours = (container.do("exec", "NAME", "/bin/look") for container in both(*options, *SLEEP))
    podman.equal(theirs, ours)
    assert ours.code == 0, ours


@pytest.mark.parametrize(
    "mode", ["keep-id", "nomap", "no-such-mode", "container:no-such-container", "ns:/no/such/file"]
)
def test_what_cannot_be_had_is_refused_as_with_runc(podman: Podman, mode: str) -> None:
    seen = podman.same("--net=none", f"--userns={mode}", *sh("true"))
    assert seen.code != 0


def test_the_user_namespace_of_another_container(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        with running(podman, runtime, unique(), "--net=none", *MAPPED, *SLEEP) as container:
            seen = podman.run(runtime, "--net=none", f"--userns=container:{container.name}", IMAGE, "/bin/look")
            assert seen.code == 0, seen
            theirs = podman.enclosure.run(["readlink", f"/proc/{container.inspect('{{.State.Pid}}')}/ns/user"])
            assert f"user {theirs.stdout.decode().strip()}" in seen.raw


@pytest.fixture
def reachable(podman: Podman) -> Iterator[Path]:
    """A rootfs of the mapped root's, where that gets to: podman's storage and pytest's directories are root's alone."""
    path = Path(tempfile.mkdtemp(prefix="pyrunc-test-"))
    path.chmod(0o755)
    assert podman.enclosure.run(["tar", "-C", str(path), "-xf", f"{podman.directory}/image.tar"]).returncode == 0
    assert podman.enclosure.run(["chown", "-hR", "100000:200000", str(path)]).returncode == 0
    yield path
    shutil.rmtree(path)


def test_a_user_namespace_that_is_named_by_its_file(podman: Podman, reachable: Path) -> None:
    seen = []
    for runtime in (podman.reference, podman.runtime):
        with running(podman, runtime, unique(), "--net=none", *MAPPED, *SLEEP) as container:
            path = f"/proc/{container.inspect('{{.State.Pid}}')}/ns/user"
            options = ["--net=none", "--hostname=box", f"--userns=ns:{path}", "-e=PATH=/bin"]
            seen.append(podman.run(runtime, *options, "--rootfs", str(reachable), "/bin/look"))
    podman.equal(*seen)
    assert seen[1].sections["uid_map"][0].split() == ["0", "100000", "5000"]


def test_a_device_that_the_host_does_not_have_by_that_name(podman: Podman) -> None:
    """Where no device can be made, the host's is mounted."""
    assert podman.same("--net=none", *MAPPED, "--device=/dev/null:/dev/other", *sh("true")).code == 127
