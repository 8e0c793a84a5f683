"""config-linux#sysctl."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.marks import decides, needs

if TYPE_CHECKING:
    from conformance.workshop import Maker

pytestmark = [needs("root")]

#: Of the network, IPC and, where the kernel has it, the message queues' namespace: a value that is nowhere the default.
NETWORK = {"net.ipv4.ip_forward": None, "net.ipv4.ping_group_range": "5\t7"}
IPC = {"kernel.msgmax": "7777", "fs.mqueue.msg_max": "17"}


def place(name: str) -> Path:
    return Path("/proc/sys", name.replace(".", "/"))


def other(name: str, value: str | None) -> str:
    """A value that is not the host's; None for a switch."""
    return value if value is not None else str(1 - int(place(name).read_text()))


def applied(container: Maker, wanted: dict[str, str]) -> dict[str, str]:
    """The parameters that the container has, while the host's stay what they were."""
    box = container("report", *(f"read={place(name)}" for name in wanted), "+", "wait")
    config.add_namespace(box.config, "network")
    box.config["linux"]["sysctl"] = {name: value.replace("\t", " ") for name, value in wanted.items()}
    before = {name: place(name).read_text() for name in wanted}
    box.running()
    assert {name: place(name).read_text() for name in wanted} == before
    seen = box.seen()
    box.delete(force=True)
    assert {name: place(name).read_text() for name in wanted} == before
    return {name: seen.file(str(place(name))).strip() for name in wanted}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(NETWORK, id="network", marks=decides("config-linux.sysctl.network")),
        pytest.param(
            {"kernel.msgmax": "7777"}, id="ipc",
            marks=decides("config-linux.sysctl.ipc", "config-linux.sysctl.for-the-container"),
        ),
        pytest.param(IPC, id="mqueue", marks=[decides("config-linux.sysctl.ipc"), needs("mqueue")]),
        pytest.param({**NETWORK, "kernel.msgmax": "7777", "kernel.shmmni": "333"}, id="several",
                     marks=decides("config-linux.sysctl.several", "config-linux.sysctl.for-the-container")),
    ],
)  # fmt: skip
def test_parameters_are_set_for_the_container_alone(container: Maker, names: dict[str, str | None]) -> None:
    wanted = {name: other(name, value) for name, value in names.items()}
    assert applied(container, wanted) == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("net.nosuch", "1", id="unknown", marks=decides("config-linux.sysctl.unknown")),
        pytest.param("net.ipv4.nosuch.deeper", "1", id="deeper", marks=decides("config-linux.sysctl.unknown")),
        pytest.param("net.ipv4.ip_forward", "x", id="no-number", marks=decides("config-linux.sysctl.invalid")),
        pytest.param("kernel.msgmax", "-1", id="negative", marks=decides("config-linux.sysctl.invalid")),
    ],
)
def test_what_cannot_be_set_is_refused(container: Maker, name: str, value: str) -> None:
    box = container()
    config.add_namespace(box.config, "network")
    box.config["linux"]["sysctl"] = {name: value}
    box.create(expect="error")
    box.gone()
