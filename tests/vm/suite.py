"""The guest's suites: which tests run there, on which layout of cgroups and as whom; and bringing the results back."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from tests.vm.debian import PROJECT, RELEASE, REPOSITORY
from tests.vm.programs import VmError
from tests.vm.system import USER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.vm.machine import Machine


class Suite(NamedTuple):
    layout: str
    user: str
    paths: tuple[str, ...]
    #: How two processors share the tests: each by itself, a file at a time, or not at all.
    sharing: tuple[str, ...] = ("-n2", "--dist=load")
    #: Seconds for a test and for the whole, where other tests have the host's processors, too.
    test: int = 600
    whole: int = 1800
    release: str = RELEASE

    @property
    def machine(self) -> tuple[str, str]:
        """Suites that share one machine have the same layout and release."""
        return self.layout, self.release


BY_FILE = ("-n2", "--dist=loadfile")
ALONE = ("-n0",)


SUITES = {
    "root": Suite(
        "unified",
        "root",
        (
            "tests/vm/guest/test_system.py", "tests/vm/guest/test_systemd.py", "tests/vm/guest/test_update.py",
            "tests/vm/guest/test_events.py", "tests/vm/guest/test_fork_bomb.py", "tests/root/test_cgroup2.py",
            "tests/root/test_existing_cgroups.py",
        ),
    ),
    "podman": Suite("unified", "root", ("tests/vm/guest/test_podman.py", "tests/root/test_resources_v2.py"), BY_FILE),
    "user": Suite("unified", USER, ("tests/vm/guest/rootless", "tests/rootless/test_lifecycle.py"), BY_FILE),
    "hybrid": Suite("hybrid", "root", ("tests/vm/guest/hybrid",)),
    "legacy": Suite("legacy", "root", ("tests/vm/guest/hybrid",)),
    # Takes a module out of the kernel and back.
    "disks": Suite("unified", "root", ("tests/vm/guest/test_disk_weights.py",), ALONE),
    "services": Suite("unified", "root", ("tests/vm/guest/test_podman_units.py",)),
    "engines": Suite(
        "unified", "root", (
            "tests/vm/guest/test_docker.py", "tests/vm/guest/test_containerd.py",
            "tests/vm/guest/test_containerd_checkpoint.py",
        ), BY_FILE, test=1200, whole=2 * 3600,
    ),
    # CRIU works there.
    "checkpoint": Suite(
        "unified",
        "root",
        (
            "tests/vm/guest/test_checkpoint.py", "tests/vm/guest/test_checkpoint_pages.py",
            "tests/vm/guest/test_checkpoint_killed.py",
        ),
    ),
    # podman 5.
    "quadlet": Suite("unified", "root", ("tests/vm/guest/test_quadlet.py",), release="trixie"),
    "quadlet-user": Suite("unified", USER, ("tests/vm/guest/test_quadlet.py",), release="trixie"),
    # Commands that are killed at random moments, where systemd makes the cgroups.
    "killed": Suite("unified", "root", ("tests/vm/guest/test_killed_under_systemd.py",), test=1800),
    # A test is a file of the conformance suite.
    "conformance": Suite("unified", "root", ("tests/root/test_conformance.py",), test=7200, whole=3 * 3600),
    # What holds everywhere, once more where cgroup2 has all controllers.
    "isolation": Suite(
        "unified",
        "root",
        ("tests/root/test_kill.py", "tests/root/test_isolation_tmp.py", "tests/root/test_isolation_cow.py"),
    ),
}  # fmt: skip
#: Those that ``./dev test`` runs: all of a suite, or what pytest's arguments choose of one that takes long.
AUTOMATIC: dict[str, tuple[str, ...]] = {
    "root": (),
    "podman": (),
    "user": (),
    "checkpoint": ("-k", "goes_on_where or images_of_runc or podman_stops or limits_and or file_locks"),
    "services": ("-k", "generated_unit and not crun"),
    "engines": ("-k", "(test_docker and cgroupfs or test_containerd and systemd) and not sees_its_cgroup"),
    "hybrid": (),
    "quadlet": ("-k", "pyrunc and not says_itself"),
    "quadlet-user": ("-k", "pyrunc and (cgroup_below or kubernetes or a_pod_starts)"),
}
#: Those that take hours, and run where they are named.
LONG = ("conformance",)


def run(machine: Machine, name: str, words: Sequence[str] = (), junit: Path | None = None) -> int:
    """Run a suite with more arguments for pytest, its output on ours; pytest's exit status.

    The results are kept as ``NAME.xml`` in the folder ``junit``.  VmError if there are none, or pytest did not end.
    """
    folder = junit or REPOSITORY / ".cache" / "vm"
    folder.mkdir(parents=True, exist_ok=True)
    suite = SUITES[name]
    there = f"/var/tmp/{name}.xml"
    options = ["-p", "no:cacheprovider", f"--timeout={suite.test}"]
    options += [f"--junitxml={there}", "-o", f"junit_suite_name={name}"]
    paths = () if names_tests(words) else suite.paths
    pytest = shlex.join(["pytest", *options, *suite.sharing, *paths, *words])
    limit = f"timeout --kill-after=10 {suite.whole}"
    script = f"cd {PROJECT} && PYTHONDONTWRITEBYTECODE=1 PYRUNC_REQUIRE=all exec {limit} {pytest}"
    status = subprocess.run([*machine.ssh(suite.user), script], stdin=subprocess.DEVNULL, check=False).returncode
    written = machine.run(f"cat {there}")
    if written.returncode:
        raise VmError(f"the suite {name} ended with {status} and has no results")
    (folder / f"{name}.xml").write_text(written.stdout)
    print(f"vm: {summary(folder / f'{name}.xml')} -> {folder / f'{name}.xml'}", file=sys.stderr)
    return status


def names_tests(words: Sequence[str]) -> bool:
    """Do arguments of pytest name files of tests?  Then a suite's own are not meant."""
    return any(word.startswith("tests/") for word in words)


def summary(results: Path) -> str:
    """One line about a file of JUnit XML of pytest."""
    suite = ET.parse(results).getroot().find("testsuite")
    assert suite is not None
    counts = ", ".join(f"{suite.get(key)} {key}" for key in ("tests", "failures", "errors", "skipped"))
    return f"{suite.get('name')}: {counts}, {float(suite.get('time', 0)):.0f} s"
