"""config-linux#block-io."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from conformance import cgroup, disks
from conformance.marks import decides, needs
from conformance.support import limits
from conformance.support.limits import Limits

if TYPE_CHECKING:
    from conformance.shared import Shared
    from conformance.workshop import Workshop

#: The name of its controller.
CONTROLLER = "blkio" if cgroup.version() == 1 else "io"

pytestmark = [needs("root", f"controller-{CONTROLLER}")]

#: Property -> a rate, the file of v1, the key of v2.
THROTTLES = {
    "throttleReadBpsDevice": (1 << 20, "blkio.throttle.read_bps_device", "rbps"),
    "throttleWriteBpsDevice": (1 << 21, "blkio.throttle.write_bps_device", "wbps"),
    "throttleReadIOPSDevice": (333, "blkio.throttle.read_iops_device", "riops"),
    "throttleWriteIOPSDevice": (444, "blkio.throttle.write_iops_device", "wiops"),
}
CLAIMS = dict(zip(THROTTLES, ("read-bps", "write-bps", "read-iops", "write-iops"), strict=True))


def numbers(text: str) -> dict[str, int]:
    major, minor = text.split(":")
    return {"major": int(major), "minor": int(minor)}


def throttles(workshop: Workshop) -> Limits:
    disk = numbers(disks.numbers()[0])
    return Limits(
        workshop,
        {name: {f"blockIO.{name}": [{**disk, "rate": rate}]} for name, (rate, _, _) in THROTTLES.items()},
    )


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=decides(f"config-linux.block-io.throttle-{claim}")) for name, claim in CLAIMS.items()],
)
@needs("disk")
def test_a_rate_is_that_of_the_device(shared: Shared, name: str) -> None:
    rate, v1, v2 = THROTTLES[name]
    lines = shared(throttles)[name].either("blkio", v1, "io.max").splitlines()
    found = [word for line in lines if line.split()[:1] == disks.numbers()[:1] for word in line.split()[1:]]
    assert (str(rate) if cgroup.version() == 1 else f"{v2}={rate}") in found


def plain(workshop: Workshop) -> limits.Files:
    """What there is without a limit."""
    return limits.limited(workshop, {})


def applied(workshop: Workshop, files: limits.Files, wish: limits.Wish, *names: str) -> list[int]:
    """What those of the files say that the kernel has; [] where it has none, and the wish is refused."""
    there = [name for name in names if files.find(CONTROLLER, name) is not None]
    if not there:
        assert limits.accepted(workshop, wish) == []
        return []
    found = limits.limited(workshop, wish)
    return [int(found.read(CONTROLLER, name).splitlines()[0].split()[-1]) for name in there]


@decides("config-linux.block-io.weight")
def test_weight_is_applied_or_refused(shared: Shared, workshop: Workshop) -> None:
    """100 is the default; how it is put onto another scale, and in which of two files, is left open."""
    names = ("blkio.weight", "blkio.bfq.weight") if cgroup.version() == 1 else ("io.bfq.weight", "io.weight")
    found = applied(workshop, shared(plain), {"blockIO.weight": 200}, *names)
    assert not found or 100 < max(found) <= 10000


@decides("config-linux.block-io.leaf-weight")
def test_leaf_weight_is_applied_or_refused(shared: Shared, workshop: Workshop) -> None:
    assert applied(workshop, shared(plain), {"blockIO.leafWeight": 300}, "blkio.leaf_weight") in ([300], [])


@pytest.mark.parametrize(
    ("property", "names"),
    [
        pytest.param("weight", ("blkio.weight_device", "blkio.bfq.weight_device", "io.bfq.weight", "io.weight"),
                     marks=decides("config-linux.block-io.weight-device")),
        pytest.param("leafWeight", ("blkio.leaf_weight_device",),
                     marks=decides("config-linux.block-io.weight-device-leaf-weight")),
    ],
)  # fmt: skip
@needs("disk")
def test_the_weight_of_a_device_is_applied_or_refused(
    workshop: Workshop, property: str, names: tuple[str, ...]
) -> None:
    """The kernel takes it only of a disk whose scheduler has weights."""
    disk = disks.numbers()[0]
    box = workshop.container()
    limits.ask(box, {"blockIO.weightDevice": [{**numbers(disk), property: 200}]})
    if box.create(expect="any").status == 0:
        files = limits.Files(box.pid)
        texts = [files.find(CONTROLLER, name) or "" for name in names]
        assert disk in [word for text in texts for line in text.splitlines() for word in line.split()[:1]]
    else:
        box.gone()


def without(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != name}


DEVICE = {**numbers((disks.numbers() or ["8:0"])[0]), "weight": 200}


@pytest.mark.parametrize(
    "entry",
    [
        *(
            pytest.param(without(DEVICE, name), id=f"no-{name}",
                         marks=decides("config-linux.block-io.weight-device-numbers-required"))
            for name in ("major", "minor")
        ),
        pytest.param(without(DEVICE, "weight"), id="no-weight",
                     marks=decides("config-linux.block-io.weight-device-either")),
    ],
)  # fmt: skip
def test_the_weight_of_a_device_that_is_not_complete_is_refused(workshop: Workshop, entry: dict[str, Any]) -> None:
    assert limits.accepted(workshop, {"blockIO.weightDevice": [entry]}) == []


@pytest.mark.parametrize("name", THROTTLES)
@pytest.mark.parametrize(
    "missing",
    [
        pytest.param("major", marks=decides("config-linux.block-io.throttle-numbers-required")),
        pytest.param("minor", marks=decides("config-linux.block-io.throttle-numbers-required")),
        pytest.param("rate", marks=decides("config-linux.block-io.throttle-rate-required")),
    ],
)
@needs("disk")
def test_a_throttle_that_is_not_complete_is_refused(workshop: Workshop, name: str, missing: str) -> None:
    entry = {**numbers(disks.numbers()[0]), "rate": 1 << 20}
    assert limits.accepted(workshop, {f"blockIO.{name}": [without(entry, missing)]}) == []


@pytest.mark.parametrize("name", THROTTLES)
@decides("config-linux.block-io.throttle-no-device")
def test_a_throttle_of_no_device_is_refused(workshop: Workshop, name: str) -> None:
    wish = {f"blockIO.{name}": [{"major": 4095, "minor": 1048575, "rate": 1 << 20}]}
    assert limits.accepted(workshop, wish) == []
