"""Secrets under podman, as files and as variables, as with runc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import IMAGE, SLEEP, running, sh, unique

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")

#: Of a user namespace whose ids are not the host's.
MAPPED = ("--uidmap=0:100000:5000", "--gidmap=0:200000:5000")


@pytest.fixture
def secret(podman: Podman, tmp_path: Path) -> Iterator[str]:
    name = unique()
    (tmp_path / "secret").write_text("the word")
    done = podman.do(podman.runtime, "secret", "create", name, f"{tmp_path}/secret")
    assert done.returncode == 0, done.stderr.decode()
    yield name
    podman.do(podman.runtime, "secret", "rm", name)


@pytest.mark.parametrize(
    ("options", "place", "said"),
    [
        ("", "/run/secrets/{name}", "444 0:0"),
        (",target=word", "/run/secrets/word", "444 0:0"),
        (",target=/etc/word,uid=1000,gid=50,mode=0400", "/etc/word", "400 1000:50"),
    ],
)
@pytest.mark.parametrize("mapped", [(), MAPPED], ids=["", "mapped"])
def test_a_secret_is_a_file(
    podman: Podman, secret: str, options: str, place: str, said: str, mapped: tuple[str, ...]
) -> None:
    path = place.format(name=secret)
    seen = podman.same(
        "--net=none", *mapped, f"--secret={secret}{options}", *sh(f"cat {path}; stat -c ' %a %u:%g' {path}")
    )
    assert seen.out == f"the word {said}\n"


def test_a_secret_is_a_variable(podman: Podman, secret: str) -> None:
    for target, name in (("", secret), (",target=WORD", "WORD")):
        for runtime in (podman.reference, podman.runtime):
            seen = podman.run(
                runtime, "--net=none", f"--secret={secret},type=env{target}", IMAGE, "/bin/busybox", "env"
            )
            assert f"{name}=the word" in seen.out.splitlines()


def test_exec_sees_a_secret(podman: Podman, secret: str) -> None:
    for runtime in (podman.reference, podman.runtime):
        options = ["--net=none", f"--secret={secret}", f"--secret={secret},type=env,target=WORD"]
        with running(podman, runtime, unique(), *options, *SLEEP) as container:
            seen = container.do("exec", "NAME", "/bin/sh", "-c", f"echo $WORD; cat /run/secrets/{secret}")
            assert seen.out == "the word\nthe word"
