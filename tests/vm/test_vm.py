"""The suites of the guest, each layout of cgroups and release of Debian in a machine.  ``./dev vm`` runs them, too."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.vm import suite
from tests.vm.machine import Machine

pytestmark = [pytest.mark.needs("vm"), pytest.mark.timeout(3600)]

USED = dict.fromkeys(suite.SUITES[name].machine for name in suite.AUTOMATIC)


@pytest.mark.parametrize(("layout", "release"), USED)
def test_the_suites_of_the_guest_pass(layout: str, release: str, tmp_path: Path) -> None:
    """What the guest's pytest says is this test's output; the results are the JUnit XML beside."""
    machine = Machine(f"test-{os.getpid()}-{layout}-{release}")
    failed = {}
    with machine.booted(layout, release):
        for name, words in suite.AUTOMATIC.items():
            if suite.SUITES[name].machine == (layout, release):
                status = suite.run(machine, name, words, junit=tmp_path)
                failed[name] = (status, *failures(tmp_path / f"{name}.xml"))
    assert failed == dict.fromkeys(failed, (0,))
    assert not machine.folder.exists()


def failures(results: Path) -> list[str]:
    """The names of the cases that failed."""
    cases = ET.parse(results).iter("testcase")
    bad = (case for case in cases if case.find("failure") is not None or case.find("error") is not None)
    return [f"{case.get('classname')}::{case.get('name')}" for case in bad]
