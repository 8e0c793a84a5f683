"""Users, capabilities, seccomp, limits of a process under podman, as with runc.

Each test runs one podman command with runc first and with the runtime under test next; `same` fails on
any difference that tests/callers/differences.py does not list.  What the test asserts beyond that is
that the option had an effect at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.callers.engine import sh

if TYPE_CHECKING:
    from tests.callers.podman import Podman

pytestmark = pytest.mark.needs("root", "podman", "conmon", "runc", "busybox", "nsenter", "unshare", "cgroup1")


@pytest.mark.parametrize("user", ["1000", "alice", "1000:50", "12345", "12345:23456", "alice:staff", "0:50"])
def test_the_user(podman: Podman, user: str) -> None:
    seen = podman.looks_same("--user", user)
    assert seen.status("Uid").split()[0] in {"1000", "12345", "0"}


def test_additional_groups(podman: Podman) -> None:
    seen = podman.looks_same("--user", "1000", "--group-add", "50", "--group-add", "4242")
    assert seen.status("Groups") == "50 4242" or {"50", "4242"} <= set(seen.status("Groups").split())


def test_no_capability_is_left_without_all(podman: Podman) -> None:
    seen = podman.looks_same("--cap-drop", "all")
    for which in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
        assert int(seen.status(f"Cap{which}"), 16) == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--cap-add", "NET_ADMIN"],
        ["--cap-add", "SYS_ADMIN,SYS_PTRACE"],
        ["--cap-drop", "CHOWN"],
        ["--cap-drop", "all", "--cap-add", "NET_BIND_SERVICE"],
        ["--user", "1000", "--cap-add", "NET_RAW"],
        ["--user", "1000", "--cap-drop", "all", "--cap-add", "CHOWN"],
    ],
    ids=" ".join,
)
def test_capabilities_are_added_and_dropped(podman: Podman, options: list[str]) -> None:
    podman.looks_same(*options)


def test_no_new_privileges(podman: Podman) -> None:
    assert podman.looks_same("--security-opt", "no-new-privileges").status("NoNewPrivs") == "1"


def test_without_seccomp(podman: Podman) -> None:
    assert podman.looks_same("--security-opt", "seccomp=unconfined").status("Seccomp") == "0"


def test_seccomp_answers_each_call_alike(podman: Podman) -> None:
    calls = ["unshare -m true", "mount -t tmpfs t /tmp", "swapoff /x", "chroot / true", "unshare -U true"]
    seen = podman.same("--net=none", *sh("; ".join(f"{call} 2>&1; echo $?" for call in calls)))
    assert "not permitted" in seen.out


def test_unmasked_paths(podman: Podman) -> None:
    podman.looks_same("--security-opt", "unmask=/proc/acpi", "--security-opt", "mask=/proc/uptime")
    podman.looks_same("--security-opt", "unmask=ALL")


@pytest.mark.parametrize("umask", ["0077", "0000", "0137"])
def test_the_umask(podman: Podman, umask: str) -> None:
    assert podman.looks_same("--umask", umask).sections["umask"] == [umask]


@pytest.mark.parametrize("score", ["0", "500", "1000"])
def test_the_oom_score(podman: Podman, score: str) -> None:
    assert podman.looks_same("--oom-score-adj", score).sections["oom"] == [score]


@pytest.mark.parametrize(
    "limit", ["nofile=64:128", "core=0:0", "fsize=1048576", "nproc=77:88", "stack=1048576:2097152"]
)
def test_resource_limits(podman: Podman, limit: str) -> None:
    # One --ulimit replaces the defaults of containers.conf, and podman's own defaults need CAP_SYS_RESOURCE.
    others = [
        other
        for other in ("nofile=1024:1024", "nproc=1000:1000")
        if other.split("=")[0] != limit.split("=", maxsplit=1)[0]
    ]
    seen = podman.looks_same(*(f"--ulimit={each}" for each in (limit, *others)))
    assert any(limit.split("=")[1].split(":", maxsplit=1)[0] in line.split() for line in seen.sections["limits"])


def test_the_environment_is_passed_as_it_is(podman: Podman) -> None:
    options = [
        "-e",
        "A=b c",
        "-e",
        "EMPTY=",
        "-e",
        "EQUALS=a=b=c",
        "-e",
        "UNICODE=\u00fc\u4e16",
        "-e",
        "NOT_HERE",
    ]
    assert "A=b c" in podman.looks_same(*options).sections["env"]


def test_the_hostname(podman: Podman) -> None:
    assert podman.looks_same("--hostname", "a-name.example").sections["hostname"] == ["a-name.example"]


def test_a_working_directory_that_exists(podman: Podman) -> None:
    assert podman.looks_same("--workdir", "/srv").sections["cwd"] == ["/srv"]


def test_a_working_directory_that_does_not_exist(podman: Podman) -> None:
    podman.same("--workdir", "/no/such/directory", *sh("pwd"))


def test_a_working_directory_of_another_user(podman: Podman) -> None:
    podman.same("--workdir", "/root", "--user", "1000", *sh("pwd"))


def test_annotations_are_accepted(podman: Podman) -> None:
    podman.looks_same("--annotation", "org.example.key=value", "--annotation", "run.oci.keep_original_groups=1")
