"""podman of an ordinary user, with newuidmap and without a session, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.callers.enclosure import Enclosure
from tests.callers.engine import IMAGE, SLEEP, eventually, pairs, running, sh, unique
from tests.callers.podman import Podman

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.callers.engine import Both

pytestmark = pytest.mark.needs(
    "root",
    "podman",
    "conmon",
    "runc",
    "busybox",
    "nsenter",
    "unshare",
    "cgroup1",
    "subids",
    "setpriv",
    "python-for-all",
)

UID = 12345
FIRST, COUNT = 300000, 65536

#: newuidmap wants to know the user's name.
_USER = f"""\
mkdir -p /run/user/{UID}
chown {UID}:{UID} /run/user/{UID}
chmod 700 /run/user/{UID}
echo box:{FIRST}:{COUNT} >/run/subid
(cat /etc/passwd; echo box:x:{UID}:{UID}::/:/bin/sh) >/run/passwd
(cat /etc/group; echo box:x:{UID}:) >/run/group
touch /etc/subuid /etc/subgid
mount --bind /run/subid /etc/subuid
mount --bind /run/subid /etc/subgid
mount --bind /run/passwd /etc/passwd
mount --bind /run/group /etc/group
"""


@pytest.fixture(scope="module")
def podman(request: pytest.FixtureRequest) -> Iterator[Podman]:
    """podman of the user.  Below /tmp itself: pytest's own temporary directories are closed to other users."""
    directory = Path(tempfile.mkdtemp(prefix="pyrunc-test-"))
    directory.chmod(0o755)
    runtime = os.environ.get("PYRUNC_TEST_RUNTIME") or str(request.getfixturevalue("pyrunc"))
    with Enclosure(directory, setup=_USER) as enclosure:
        yield Podman(enclosure, directory, runtime, uid=UID)
    shutil.rmtree(directory)


@pytest.fixture
def both(podman: Podman) -> Iterator[Both]:
    with pairs(podman) as start:
        yield lambda *arguments: start("--net=none", "--hostname=box", *arguments)


@pytest.fixture
def folder(podman: Podman) -> Path:
    """A directory of the user's."""
    path = podman.directory / unique()
    path.mkdir()
    os.chown(path, UID, UID)
    return path


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--userns=host"],
        ["--userns=keep-id"],
        ["--userns=keep-id:uid=1000,gid=50"],
        ["--userns=nomap"],
        ["--userns=auto:size=4096"],
        ["--uidmap=0:1:1000", "--gidmap=0:1:1000"],
        ["--uidmap=0:0:1", "--uidmap=1:100:1000"],
        ["--user=1000:50"],
        ["--userns=keep-id", "--user=0"],
        ["--read-only"],
        ["--privileged"],
        ["--cap-drop=all"],
        ["--pid=host"],
        ["--net=host"],
        ["--systemd=always"],
        ["--tmpfs=/m:size=1m,mode=700"],
        ["-v=/m"],
        ["--device=/dev/null:/dev/other"],
        ["--security-opt=seccomp=unconfined"],
    ],
    ids=" ".join,
)
def test_a_container_of_a_user_shows_the_same(podman: Podman, options: list[str]) -> None:
    podman.looks_same(*options)


@pytest.mark.parametrize("options", [[], ["--userns=keep-id"], ["--user=1000"], ["--uidmap=0:1:1000"]], ids=" ".join)
def test_exec_shows_the_same_process(podman: Podman, both: Both, options: list[str]) -> None:
    theirs, ours = (container.do("exec", "NAME", "/bin/look") for container in both(*options, *SLEEP))
    podman.equal(theirs, ours)
    assert ours.code == 0, ours


def test_a_volume_of_the_user(podman: Podman, folder: Path) -> None:
    for options, owner in ((["--userns=keep-id"], UID), ([], UID), (["--user=1000"], FIRST + 999)):
        for runtime in (podman.reference, podman.runtime):
            seen = podman.run(runtime, "--net=none", *options, "-v", f"{folder}:/m:U", *sh("echo x >/m/file"))
            assert seen.code == 0, seen
            assert (folder / "file").stat().st_uid == owner


def test_a_life(podman: Podman, both: Both) -> None:
    for container in both(*sh("trap 'exit 3' TERM; echo up; sleep 1000 & wait $!")):
        container.logs_hold("up\n")
        assert container.do("stop", "-t", "50", "NAME").code == 0
        assert container.inspect("{{.State.Status}} {{.State.ExitCode}}") == "exited 3"
        assert container.do("start", "NAME").code == 0
        container.logs_hold("up\n" * 2)
        assert container.do("kill", "NAME").code == 0
        assert container.do("wait", "NAME").out == "137\n"
        assert container.do("rm", "NAME").code == 0


def test_a_pod_shares_namespaces(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        name = unique()
        made = podman.do(runtime, "pod", "create", "--name", name, "--network=none")
        try:
            assert made.returncode == 0, made.stderr.decode()
            server = sh("echo served >/srv/index.html; exec /bin/busybox httpd -f -p 127.0.0.1:8080 -h /srv")
            with running(podman, runtime, unique(), "--pod", name, *server):
                script = "while ! wget -q -O - http://127.0.0.1:8080/; do read -t 0.05 x; done"
                assert podman.run(runtime, "-i", "--pod", name, *sh(script)).out == "served\n"
        finally:
            podman.do(runtime, "pod", "rm", "-f", "-t", "0", name)


def test_a_named_volume_and_a_secret(podman: Podman, folder: Path) -> None:
    (folder / "word").write_text("the word")
    for runtime in (podman.reference, podman.runtime):
        name = unique()
        for words in (("secret", "create", name, f"{folder}/word"), ("volume", "create", name)):
            assert podman.do(runtime, *words).returncode == 0
        try:
            options = ["--net=none", "--user=1000", "-v", f"{name}:/srv:U", f"--secret={name},uid=1000,mode=0400"]
            script = f"cat /run/secrets/{name}; stat -c ' %a %u' /run/secrets/{name}; ls /srv"
            seen = podman.run(runtime, *options, *sh(script))
            assert seen.out == "the word 400 1000\nbad-format\nno-interpreter\nnot-executable\n"
        finally:
            podman.do(runtime, "volume", "rm", name)
            podman.do(runtime, "secret", "rm", name)


def test_the_user_namespace_of_another_container(podman: Podman) -> None:
    for runtime in (podman.reference, podman.runtime):
        with running(podman, runtime, unique(), "--net=none", "--uidmap=0:1:1000", *SLEEP) as container:
            seen = podman.run(runtime, "--net=none", f"--userns=container:{container.name}", IMAGE, "/bin/look")
            assert seen.code == 0, seen
            theirs = podman.enclosure.run(["readlink", f"/proc/{container.inspect('{{.State.Pid}}')}/ns/user"])
            assert f"user {theirs.stdout.decode().strip()}" in seen.raw


def test_a_health_check_attach_and_copies(podman: Podman, both: Both, folder: Path) -> None:
    (folder / "in").write_text("from the host\n")
    check = ("--health-cmd=test -e /srv/in", "--health-interval=disable", "--health-retries=1")
    for container in both("-i", *check, *sh("read -r line; echo got $line; exec sleep 1000")):
        assert container.do("healthcheck", "run", "NAME").code == 1
        assert container.do("cp", f"{folder}/in", f"{container.name}:/srv/in").code == 0
        assert container.do("healthcheck", "run", "NAME").code == 0
        assert container.do("exec", "NAME", "cat", "/srv/in").out == "from the host\n"


def said(podman: Podman, name: str) -> bytes:
    return podman.do(podman.runtime, "logs", name).stdout


def test_a_pod_is_played_from_yaml(podman: Podman, folder: Path) -> None:
    for runtime in (podman.reference, podman.runtime):
        name = unique()
        (folder / "pod.yaml").write_text(
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  containers:\n"
            f"  - {{name: one, image: '{IMAGE}', command: [/bin/sh, -c, 'echo up; exec sleep 1000']}}\n"
        )
        played = podman.do(runtime, "kube", "play", "--network=none", f"{folder}/pod.yaml")
        try:
            assert played.returncode == 0, played.stderr.decode()
            assert eventually(partial(said, podman, f"{name}-one"), bool) == b"up\n"
        finally:
            down = podman.do(runtime, "kube", "down", f"{folder}/pod.yaml")
        assert down.returncode == 0, down.stderr.decode()


def test_what_needs_a_cgroup_is_refused_as_with_runc(podman: Podman, both: Both) -> None:
    for verb in ("pause", "stats"):
        theirs, ours = (container.do(verb, "NAME") for container in both(*SLEEP))
        assert (theirs.code, ours.code) == (125, 125), (theirs, ours)


def test_the_runtime_leaves_nothing_to_the_user(podman: Podman) -> None:
    assert podman.run(podman.runtime, "--net=none", IMAGE, "/bin/true").code == 0
    listed = podman.enclosure.run(
        ["find", f"/run/user/{UID}/pyrunc", "-mindepth", "1", "-maxdepth", "1", "-name", "[!.]*"]
    )
    assert listed.stdout == b""
