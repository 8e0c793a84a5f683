"""config#linux-process: AppArmor profile and SELinux label."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from conformance.marks import decides, needs
from conformance.support.refusal import accepted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.workshop import Maker, Workshop


def parser(profile: str, *options: str) -> None:
    subprocess.run(["apparmor_parser", *options], input=profile, text=True, check=True, capture_output=True)


@pytest.fixture
def profile(workshop: Workshop) -> Iterator[str]:
    """The name of a profile that is loaded, and allows everything."""
    if shutil.which("apparmor_parser") is None:
        pytest.skip("needs apparmor_parser, to load a profile")
    text = f"profile {workshop.token} {{ file, capability, network, mount, ptrace, signal, unix, }}\n"
    parser(text, "--add", "--skip-cache")
    yield workshop.token
    parser(text, "--remove")


@needs("root", "apparmor")
@decides("config.linux-process.apparmor-profile")
def test_the_program_runs_under_its_apparmor_profile(container: Maker, profile: str) -> None:
    box = container("report")
    box.config["process"]["apparmorProfile"] = profile
    box.run()
    assert box.seen().file("/proc/self/attr/current").split()[0] == profile


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(
            "apparmorProfile",
            "conformance-no-such-profile",
            marks=decides("config.linux-process.apparmor-profile-error"),
            id="apparmor",
        ),
        pytest.param(
            "selinuxLabel",
            "nobody:nothing:nowhere:s0",
            marks=decides("config.linux-process.selinux-label-error"),
            id="selinux",
        ),
    ],
)
def test_a_label_that_cannot_be_had_is_refused(workshop: Workshop, name: str, value: str) -> None:
    assert accepted(workshop, {f"process.{name}": value}) == []
