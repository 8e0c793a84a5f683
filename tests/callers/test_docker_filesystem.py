"""Mounts, volumes and the rootfs under docker, as with runc.

Each test runs one docker command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.callers.docker import SHARED
from tests.callers.engine import SLEEP, running, sh, unique

if TYPE_CHECKING:
    from pathlib import Path

    from tests.callers.docker import Docker

pytestmark = pytest.mark.needs(
    "root", "dockerd", "docker", "containerd", "runc", "busybox", "nsenter", "unshare", "cgroup1"
)


def test_the_default_profile_shows_the_same_container(docker: Docker) -> None:
    seen = docker.looks_same()
    assert seen.status("Seccomp") == "2"
    assert "/proc/acpi" in " ".join(seen.sections["mountinfo"])
    assert seen.sections["hostname"] == ["box"]


def test_volumes_of_all_kinds(docker: Docker, tmp_path: Path) -> None:
    for name in ("outer", "inner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"in-{name}").touch()
    (tmp_path / "file").write_text("from the host\n")
    volumes = ["-v", f"{tmp_path}/inner:/data/deep/inner", "-v", f"{tmp_path}/outer:/data", "-v", "/srv/anonymous"]
    volumes += ["-v", f"{tmp_path}/inner:/data/read-only:ro", "-v", f"{tmp_path}/file:/etc/new-file:z"]
    volumes += ["--mount", f"type=bind,src={tmp_path}/outer,dst=/m,readonly"]
    volumes += ["--mount", "type=tmpfs,dst=/t,tmpfs-size=4m,tmpfs-mode=1770", "--tmpfs", "/tmp:size=1m,mode=700,noexec"]
    seen = docker.looks_same(*volumes, "--shm-size", "3m")
    assert f"root={tmp_path}/inner" in seen.mount("/data/deep/inner")
    assert " ro," in seen.mount("/data/read-only")
    assert " ro," in seen.mount("/m")
    assert "size=3072k" in seen.mount("/dev/shm")
    assert "size=1024k" in seen.mount("/tmp")
    script = (
        "ls -R /data; cat /etc/new-file >&2; echo inside >>/etc/new-file; touch /data/read-only/x 2>&1; touch /m/x 2>&1"
    )
    seen = docker.same("--net=none", *volumes, *sh(script))
    assert seen.out.count("Read-only file system") == 2
    assert "in-inner" in seen.out
    assert (tmp_path / "file").read_text() == "from the host\ninside\ninside\n"
    assert os.listdir(tmp_path / "inner") == ["in-inner"]


def test_a_read_only_rootfs(docker: Docker) -> None:
    seen = docker.looks_same("--read-only", "--tmpfs", "/tmp")
    assert " ro,relatime " in seen.mount("/")
    assert "/" not in seen.sections["writable"]
    assert "/tmp" in seen.sections["writable"]


def test_a_named_volume_keeps_what_the_image_had_and_what_was_written(docker: Docker) -> None:
    for runtime in (docker.reference, docker.runtime):
        name = unique()
        for expected in ("bad-format", "written"):
            script = f"ls /srv/{expected}; echo x >/srv/written"
            seen = docker.run(runtime, "--net=none", "-v", f"{name}:/srv", *sh(script))
            assert (seen.code, seen.out) == (0, f"/srv/{expected}\n"), seen
        assert docker.do("", "volume", "rm", name).returncode == 0


@pytest.mark.parametrize("propagation", ["rprivate", "rslave", "rshared"])
def test_mounts_propagate_as_far_as_they_shall(docker: Docker, propagation: str) -> None:
    """From the host into the container, and back."""
    seen = docker.looks_same("-v", f"{SHARED}:/m:{propagation}")
    kind = {"rprivate": "private", "rslave": "master:N", "rshared": "shared:N"}[propagation]
    assert f" {kind} " in seen.mount("/m")
    for runtime in (docker.reference, docker.runtime):
        name = unique()
        outside = f"{SHARED}/{name}"
        options = ("--net=none", "--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined")
        with running(docker, runtime, name, *options, "-v", f"{SHARED}:/m:{propagation}", *SLEEP) as container:
            assert docker.enclosure.run(["mkdir", "-p", f"{outside}/there", f"{outside}/back"]).returncode == 0
            assert docker.enclosure.run(["mount", "-t", "tmpfs", "tmpfs", f"{outside}/there"]).returncode == 0
            table = container.do("exec", "NAME", "/bin/cat", "/proc/self/mountinfo").raw
            assert (f" /m/{name}/there " in table) == (propagation != "rprivate")
            done = container.do("exec", "NAME", "/bin/busybox", "mount", "-t", "tmpfs", "tmpfs", f"/m/{name}/back")
            assert done.code == 0, done
            found = docker.enclosure.run(["mountpoint", "-q", f"{outside}/back"]).returncode
            assert (found == 0) == (propagation == "rshared")
        docker.enclosure.run(
            ["sh", "-c", f"umount {outside}/there; mountpoint -q {outside}/back && umount {outside}/back"]
        )


def test_docker_gives_its_hint_where_a_file_would_cover_a_directory(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for volume in (f"{tmp_path}/file:/srv", f"{tmp_path}:/etc/passwd"):
        codes = set()
        for runtime in (docker.reference, docker.runtime):
            seen = docker.run(runtime, "--net=none", "-v", volume, *sh("true"))
            codes.add(seen.code)
            assert "not a directory" in seen.err, seen
            assert "Are you trying to mount a directory onto a file (or vice-versa)?" in seen.err, seen
        assert len(codes) == 1


def test_cp_copies_out_of_and_into_a_container_that_runs(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("given\n")
    for runtime in (docker.reference, docker.runtime):
        with running(docker, runtime, name := unique(), "--net=none", "--tmpfs", "/tmp", *SLEEP) as container:
            assert container.do("cp", f"{tmp_path}/in", f"{name}:/srv/in").code == 0
            assert container.do("exec", "NAME", "/bin/cat", "/srv/in").out == "given\n"
            container.do("exec", "NAME", "/bin/sh", "-c", "echo made >/srv/out")
            assert container.do("cp", f"{name}:/srv/out", f"{tmp_path}/{name}").code == 0
        assert (tmp_path / name).read_text() == "made\n"
