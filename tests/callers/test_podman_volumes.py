"""Volumes of every kind under podman, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import IMAGE, SLEEP, running, sh, unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")

#: Of a user namespace whose ids are not the host's.
MAPPED = ("--uidmap=0:100000:5000", "--gidmap=0:200000:5000")


@pytest.fixture
def volume(podman: Podman) -> Iterator[Callable[..., str]]:
    """A factory of named volumes."""
    made: list[str] = []

    def make(*options: str) -> str:
        made.append(unique())
        done = podman.do(podman.runtime, "volume", "create", *options, made[-1])
        assert done.returncode == 0, done.stderr.decode()
        return made[-1]

    yield make
    for name in made:
        podman.do(podman.runtime, "volume", "rm", "-f", name)


def test_a_named_volume_keeps_what_is_written(podman: Podman, volume: Callable[..., str]) -> None:
    for runtime in (podman.reference, podman.runtime):
        name = volume()
        assert podman.run(runtime, "--net=none", "-v", f"{name}:/data", *sh("echo kept >/data/file")).code == 0
        seen = podman.run(runtime, "--net=none", "-v", f"{name}:/data:ro", *sh("cat /data/file; touch /data/x 2>&1"))
        assert seen.out == "kept\ntouch: /data/x: Read-only file system\n"


@pytest.mark.parametrize("options", ["", ":nocopy", ":U", ":ro", ":noexec,nodev,nosuid", ":z"])
def test_a_new_volume_has_what_the_image_has_there(podman: Podman, volume: Callable[..., str], options: str) -> None:
    looks = []
    for runtime in (podman.reference, podman.runtime):
        name = volume()
        script = "ls -ln /srv; grep ' /srv ' /proc/self/mountinfo | cut -d' ' -f6"
        looks.append(podman.run(runtime, "--net=none", "--user=1000", "-v", f"{name}:/srv{options}", *sh(script)))
    assert looks[0].code == looks[1].code == 0
    times = [[line.split()[:5] for line in look.out.splitlines()] for look in looks]
    assert times[0] == times[1]
    assert ("bad-format" in looks[1].out) == (options != ":nocopy")


def test_a_volume_of_tmpfs_has_its_options(podman: Podman, volume: Callable[..., str]) -> None:
    name = volume("--opt=type=tmpfs", "--opt=device=tmpfs", "--opt=o=nodev,noexec,mode=1770")
    assert "mode=1770" in podman.looks_same("-v", f"{name}:/m").mount("/m")


def test_an_anonymous_volume_goes_with_its_container(podman: Podman) -> None:
    podman.looks_same("-v", "/m")
    for runtime in (podman.reference, podman.runtime):
        with running(podman, runtime, unique(), "--net=none", "-v", "/m", *SLEEP) as container:
            name = container.inspect("{{(index .Mounts 0).Name}}")
            assert podman.do(runtime, "volume", "exists", name).returncode == 0
            assert container.do("rm", "-f", "-t", "0", "-v", "NAME").code == 0
        assert podman.do(runtime, "volume", "exists", name).returncode == 1


@pytest.mark.parametrize(
    "options",
    ["rw", "shared", "rshared", "slave", "private", "unbindable", "runbindable", "bind", "rbind", "exec,dev,suid",
     "ro,rslave", "U,z", "noexec"],
)  # fmt: skip
def test_options_of_a_bind_mount(podman: Podman, tmp_path: Path, options: str) -> None:
    assert podman.looks_same("-v", f"{tmp_path}:/m:{options}").mount("/m")


def test_a_volume_is_given_to_its_user(podman: Podman, tmp_path: Path) -> None:
    for number, runtime in enumerate((podman.reference, podman.runtime)):
        made = tmp_path / str(number)
        (made / "below").mkdir(parents=True)
        done = podman.run(
            runtime,
            "--net=none",
            "--user=1000:50",
            *MAPPED,
            "-v",
            f"{made}:/m:U",
            *sh("touch /m/below/x; stat -c %u:%g /m"),
        )
        assert (done.code, done.out) == (0, "1000:50\n")
        for path in (made, made / "below", made / "below/x"):
            assert (path.stat().st_uid, path.stat().st_gid) == (101000, 200050)


@pytest.fixture
def shared(podman: Podman, tmp_path: Path) -> Iterator[Path]:
    """A shared mount in the enclosure."""
    place = tmp_path / "shared"
    (place / "below").mkdir(parents=True)
    script = f"mount -t tmpfs tmpfs {place} && mount --make-rshared {place} && mkdir {place}/below"
    assert podman.enclosure.run(["sh", "-c", script]).returncode == 0
    yield place
    podman.enclosure.run(["umount", "-R", "-l", str(place)])


@pytest.mark.parametrize(("propagation", "out"), [("rshared", True), ("rslave", False), ("rprivate", False)])
def test_a_mount_that_is_made_inside_is_seen_outside(
    podman: Podman, shared: Path, propagation: str, *, out: bool
) -> None:
    for runtime in (podman.reference, podman.runtime):
        options = ["--net=none", "--privileged", "-v", f"{shared}:/m:{propagation}"]
        script = "/bin/busybox mount -t tmpfs inside /m/below && echo up; exec sleep 1000"
        with running(podman, runtime, unique(), *options, *sh(script)) as container:
            container.logs_hold("up")
            seen = podman.enclosure.run(["cat", "/proc/self/mountinfo"]).stdout.decode()
            assert (f"{shared}/below " in seen) == out
        podman.enclosure.run(["umount", f"{shared}/below"])


@pytest.mark.parametrize(("propagation", "seen"), [("rshared", True), ("rslave", True), ("rprivate", False)])
def test_a_mount_that_is_made_outside_is_seen_inside(
    podman: Podman, shared: Path, propagation: str, *, seen: bool
) -> None:
    for runtime in (podman.reference, podman.runtime):
        options = ["--net=none", "-v", f"{shared}:/m:{propagation}"]
        with running(podman, runtime, unique(), *options, *SLEEP) as container:
            assert podman.enclosure.run(["mount", "-t", "tmpfs", "outside", f"{shared}/below"]).returncode == 0
            table = container.do("exec", "NAME", "cat", "/proc/self/mountinfo").out
            assert (" /m/below " in table) == seen
        podman.enclosure.run(["umount", f"{shared}/below"])


def test_what_is_written_over_an_overlay_volume_goes_with_the_container(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("the host's\n")
    seen = podman.same("--net=none", "-v", f"{tmp_path}:/m:O", *sh("echo mine >>/m/file; touch /m/new; cat /m/file"))
    assert (seen.code, seen.out) == (0, "the host's\nmine\n")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "the host's\n"


def test_the_layer_of_an_overlay_volume_may_be_kept(podman: Podman, tmp_path: Path) -> None:
    for number, runtime in enumerate((podman.reference, podman.runtime)):
        lower, upper, work = (tmp_path / f"{name}{number}" for name in ("lower", "upper", "work"))
        for path in (lower, upper, work):
            path.mkdir()
        volume = f"{lower}:/m:O,upperdir={upper},workdir={work}"
        seen = podman.run(runtime, "--net=none", "-v", volume, *sh("echo mine >/m/new"))
        assert seen.code == 0, seen
        assert os.listdir(lower) == []
        assert (upper / "new").read_text() == "mine\n"


def test_the_volumes_of_another_container(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("shared\n")
    for runtime in (podman.reference, podman.runtime):
        with running(podman, runtime, unique(), "--net=none", "-v", f"{tmp_path}:/m", "-v", "/n", *SLEEP) as container:
            container.do("exec", "NAME", "/bin/sh", "-c", "echo own >/n/file")
            options = ["--net=none", "--volumes-from", f"{container.name}:ro"]
            seen = podman.run(runtime, *options, *sh("cat /m/file /n/file; touch /m/x 2>&1"))
            assert seen.out == "shared\nown\ntouch: /m/x: Read-only file system\n"


@pytest.mark.parametrize("kind", ["bind", "tmpfs", "ignore"])
def test_volumes_that_the_image_asks_for(podman: Podman, kind: str) -> None:
    name = f"localhost/{unique()}"
    done = podman.do(
        podman.runtime, "import", "-c", "VOLUME /srv", "-c", "ENV PATH=/bin", f"{podman.directory}/image.tar", name
    )
    assert done.returncode == 0, done.stderr.decode()
    try:
        seen = podman.same("--net=none", "--hostname=box", f"--image-volume={kind}", name, "/bin/look")
        assert any(line.startswith("/srv ") for line in seen.sections["mountinfo"]) == (kind != "ignore")
    finally:
        podman.do(podman.runtime, "rmi", name)


@pytest.mark.parametrize("readwrite", ["true", "false"])
def test_an_image_is_a_volume(podman: Podman, readwrite: str) -> None:
    mount = f"type=image,src={IMAGE},dst=/m,rw={readwrite}"
    seen = podman.same("--net=none", "--mount", mount, *sh("ls /m/srv; touch /m/new 2>&1"))
    assert "bad-format" in seen.out
    assert seen.code == (readwrite == "false")


@pytest.mark.parametrize(
    "mount",
    [
        "type=bind,src={dir},dst=/m,bind-nonrecursive",
        "type=bind,src={dir},dst=/m,U=true,relabel=shared",
        "type=bind,src={dir},dst=/m,noexec,nosuid,nodev",
        "type=bind,src={dir},dst=/m,bind-propagation=rslave,readonly",
        "type=tmpfs,dst=/m,tmpfs-mode=700,ro",
        "type=tmpfs,dst=/srv,tmpcopyup",
        "type=volume,dst=/m,ro=true",
        "type=volume,dst=/m,U=true",
        "type=devpts,dst=/m,max=10,mode=600",
    ],
)
def test_more_options_of_each_type_of_mount(podman: Podman, tmp_path: Path, mount: str) -> None:
    seen = podman.looks_same("--mount", mount.format(dir=tmp_path))
    assert seen.mount("/srv" if "/srv" in mount else "/m")


# Idmapped mounts: runc 1.1 has none, and ignores what podman asks for.


@pytest.mark.needs("idmap")
@pytest.mark.parametrize(
    "volume", ["-v={dir}:/m:idmap", "--mount=type=bind,src={dir},dst=/m,idmap", "-v={dir}:/m:idmap,ro"]
)
def test_an_idmapped_volume_shows_the_owners_of_the_host(podman: Podman, tmp_path: Path, volume: str) -> None:
    (tmp_path / "of-root").touch()
    (tmp_path / "of-alice").touch()
    os.chown(tmp_path / "of-alice", 1000, 50)
    seen = podman.run(
        podman.runtime,
        "--net=none",
        *MAPPED,
        volume.format(dir=tmp_path),
        *sh("cd /m && stat -c '%n %u:%g' *; echo >new"),
    )
    assert seen.out.startswith("of-alice 1000:50\nof-root 0:0\n"), seen
    assert (tmp_path / "new").exists() != volume.endswith(",ro")
    if (tmp_path / "new").exists():
        assert ((tmp_path / "new").stat().st_uid, (tmp_path / "new").stat().st_gid) == (0, 0)


@pytest.mark.parametrize("options", [["--read-only", "--read-only-tmpfs=false"], ["--read-only", "--read-only-tmpfs"]])
def test_the_temporary_directories_of_a_read_only_container(podman: Podman, options: list[str]) -> None:
    assert ("/run" in podman.looks_same(*options).sections["writable"]) == (options[1] == "--read-only-tmpfs")


# A rootfs that is no image.


@pytest.fixture
def rootfs(podman: Podman, tmp_path: Path) -> Path:
    path = tmp_path / "rootfs"
    path.mkdir()
    podman.enclosure.run(["tar", "-C", str(path), "-xf", f"{podman.directory}/image.tar"])
    return path


def test_a_directory_is_the_rootfs(podman: Podman, rootfs: Path) -> None:
    seen = podman.same("--net=none", "--hostname=box", "-e=PATH=/bin", "--rootfs", str(rootfs), "/bin/look")
    assert (seen.code, seen.sections["hostname"]) == (0, ["box"])


def test_what_is_written_over_an_overlay_rootfs_goes_with_the_container(podman: Podman, rootfs: Path) -> None:
    options = ["--net=none", "--hostname=box", "-e=PATH=/bin", "--rootfs", f"{rootfs}:O"]
    assert podman.same(*options, "/bin/sh", "-c", "echo new >/srv/new && cat /srv/new").out == "new\n"
    assert not (rootfs / "srv/new").exists()
