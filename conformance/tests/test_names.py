"""config#hostname, config#domainname: the names of the machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.marks import decides, needs, since

if TYPE_CHECKING:
    from conformance.workshop import Maker

NAMES = [
    pytest.param("hostname", marks=decides("config.hostname.set"), id="hostname"),
    pytest.param("domainname", marks=[decides("config.domainname.set"), since("1.1.0")], id="domainname"),
]
JOINED = [
    pytest.param("hostname", marks=decides("config.hostname.joined"), id="hostname"),
    pytest.param("domainname", marks=[decides("config.domainname.joined"), since("1.1.0")], id="domainname"),
]


def of_host() -> list[str]:
    return [platform.node(), Path("/proc/sys/kernel/domainname").read_text()]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_set_inside_and_not_outside(container: Maker, name: str) -> None:
    before = of_host()
    box = container("report")
    box.config[name] = "conformance.example"
    box.run()
    assert box.seen()[name] == "conformance.example"
    assert of_host() == before


@needs("root")
@pytest.mark.parametrize("name", JOINED)
def test_a_name_is_set_in_a_namespace_that_is_joined(container: Maker, name: str) -> None:
    """Three containers in one namespace: the first one makes it, the second one names it, the third one looks."""
    first, second, third = container(), container("exit", "0"), container("report")
    first.create()
    path = f"/proc/{first.pid}/ns/uts"
    for box in (second, third):
        config.add_namespace(box.config, "uts", path)
    second.config[name] = "conformance.example"
    second.run()
    third.run()
    seen = third.seen()
    assert seen["namespaces"]["uts"] == os.readlink(path)
    assert seen[name] == "conformance.example"
