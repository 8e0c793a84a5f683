"""config-linux#network-devices: devices that move into the container, and what happens to them when it ends.

The runtime runs in a network namespace of the test's own, so that no device of the machine is in danger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import config
from conformance.marks import decides, needs, optional
from conformance.support import network
from conformance.support.namespaces import Holder, inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.container import Container
    from conformance.workshop import Maker

pytestmark = [needs("root", "veth"), optional("linux.netDevices")]
SECTION = "config-linux.network-devices"


@pytest.fixture
def host() -> Iterator[None]:
    """A pair of devices, "moves" and "stays", in the namespace in which the test and the runtime are."""
    with Holder("network") as holder, inside(holder.path("network"), "network"):
        network.veth("moves", "stays")
        yield


@pytest.fixture
def joined() -> Iterator[Holder]:
    """A network namespace that outlives containers, and has a pair "net0" and "net9"."""
    with Holder("network") as holder:
        with inside(holder.path("network"), "network"):
            network.veth("net0", "net9")
        yield holder


def with_devices(box: Container, devices: dict[str, Any], path: str | None = None) -> Container:
    config.add_namespace(box.config, "network", path)
    box.config["linux"]["netDevices"] = devices
    return box


def of(box: Container) -> dict[str, network.Device]:
    """The devices in the namespace of a container."""
    with inside(f"/proc/{box.pid}/ns/net", "network"):
        return network.devices()


def moved(box: Container, name: str = "moves") -> network.Device:
    """The device in a container; Failed when it is not there."""
    found = of(box)
    assert name in found, f"the container has {', '.join(sorted(found))}"
    return found[name]


@decides(f"{SECTION}.moved", f"{SECTION}.name-default")
def test_a_device_is_in_the_container_and_no_longer_on_the_host(host: None, container: Maker) -> None:
    box = with_devices(container(), {"moves": {}})
    box.create()
    assert "moves" in of(box)
    assert network.devices().keys() & {"moves", "stays"} == {"stays"}


@decides(f"{SECTION}.name")
def test_name_is_its_name_in_the_container(host: None, container: Maker) -> None:
    box = with_devices(container(), {"moves": {"name": "inside0"}})
    box.create()
    assert of(box).keys() & {"moves", "inside0"} == {"inside0"}
    assert "moves" not in network.devices()


@decides(f"{SECTION}.attributes")
def test_attributes_are_kept(host: None, container: Maker) -> None:
    network.change("moves", mtu=1234, hardware="02:00:00:12:34:56", alias="an alias of its own")
    before = network.devices()["moves"]
    box = with_devices(container(), {"moves": {}})
    box.create()
    now = moved(box)
    assert (now.mtu, now.hardware, now.alias) == (before.mtu, before.hardware, before.alias)
    assert (now.mtu, now.hardware) == (1234, "02:00:00:12:34:56")


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        pytest.param(4, ("192.0.2.7/24", "198.51.100.9/30"), marks=decides(f"{SECTION}.addresses-ipv4")),
        pytest.param(
            6, ("2001:db8::7/64", "2001:db8:1::9/120"), marks=[decides(f"{SECTION}.addresses-ipv6"), needs("ipv6")]
        ),
    ],
    ids=["ipv4", "ipv6"],
)  # fmt: skip
@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
def test_addresses_are_kept(host: None, container: Maker, version: int, wanted: tuple[str, ...], up: bool) -> None:
    network.change("moves", up=up)
    for address in wanted:
        network.add_address("moves", address)
    box = with_devices(container(), {"moves": {"name": "inside0"}})
    box.create()
    moved(box, "inside0")
    with inside(f"/proc/{box.pid}/ns/net", "network"):
        assert network.addresses("inside0")[version] == set(wanted)


@decides(f"{SECTION}.up")
@pytest.mark.parametrize("up", [False, True], ids=["down", "up"])
def test_the_device_is_up_in_the_container(host: None, container: Maker, up: bool) -> None:
    network.change("moves", up=up)
    box = with_devices(container(), {"moves": {}})
    box.create()
    assert moved(box).up


@decides(f"{SECTION}.name-template")
def test_a_name_with_a_number_to_choose_is_no_conflict(host: None, joined: Holder, container: Maker) -> None:
    box = with_devices(container(), {"moves": {"name": "net%d"}}, joined.path("network"))
    box.create()
    assert of(box).keys() & {"moves", "net0", "net1", "net9"} == {"net0", "net1", "net9"}


@decides(f"{SECTION}.name-template-unique")
def test_the_kernel_chooses_a_number_for_each(host: None, container: Maker) -> None:
    box = with_devices(container(), {"moves": {"name": "net%d"}, "stays": {"name": "net%d"}})
    box.create()
    assert of(box).keys() & {"moves", "stays", "net0", "net1"} == {"net0", "net1"}


@pytest.mark.parametrize(
    ("devices", "join"),
    [
        pytest.param({"moves": {"name": "lo"}}, False, marks=decides(f"{SECTION}.name-exists"), id="lo-exists"),
        pytest.param({"moves": {"name": "net0"}}, True, marks=decides(f"{SECTION}.name-exists"), id="net0-exists"),
        pytest.param({"absent": {}}, False, marks=decides(f"{SECTION}.missing"), id="missing"),
        pytest.param({"lo": {"name": "lo9"}}, False, marks=decides(f"{SECTION}.not-movable"), id="lo-moves"),
    ],
)
def test_what_cannot_move_is_refused(
    host: None, joined: Holder, container: Maker, devices: dict[str, Any], join: bool
) -> None:
    """And the devices are where they were."""
    box = with_devices(container(), devices, joined.path("network") if join else None)
    box.create(expect="error")
    box.gone()
    assert network.devices().keys() >= {"lo", "moves", "stays"}


@decides("config-linux.namespace-lifecycle-and-container-termination.not-managed")
@decides("config-linux.namespace-lifecycle-and-container-termination.not-moved-back")
def test_the_runtime_leaves_the_device_alone_from_then_on(host: None, joined: Holder, container: Maker) -> None:
    box = with_devices(container(), {"moves": {}}, joined.path("network"))
    box.running()
    moved(box)
    with inside(joined.path("network"), "network"):
        network.change("moves", mtu=1111)
        network.add_address("moves", "192.0.2.99/24")
        now = network.devices()["moves"]
    box.kill("KILL")
    box.until_stopped()
    box.delete()
    with inside(joined.path("network"), "network"):
        assert network.devices().get("moves") == now
        assert network.addresses("moves")[4] == {"192.0.2.99/24"}
    assert "moves" not in network.devices()
