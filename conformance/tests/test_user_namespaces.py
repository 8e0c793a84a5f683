"""config-linux#user-namespace-mappings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conformance.bundle import tree
from conformance.config import add_mount
from conformance.marks import decides, needs
from conformance.support.namespaces import map_ids

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.seen import Seen
    from conformance.workshop import Maker, Workshop

pytestmark = [needs("root", "userns")]

#: containerID, hostID and size of each.
UIDS = [(0, 100000, 1000), (1000, 200000, 1), (5000, 300000, 70000)]
GIDS = [(0, 100000, 500), (700, 250000, 2), (9000, 400000, 65536)]


def mappings(ranges: list[tuple[int, int, int]]) -> list[dict[str, int]]:
    return [dict(zip(("containerID", "hostID", "size"), each, strict=True)) for each in ranges]


def ranges_of(seen: Seen, path: str) -> list[tuple[int, ...]]:
    return [tuple(map(int, line.split())) for line in seen.file(path).splitlines()]


@pytest.mark.parametrize(
    ("uids", "gids"),
    [
        pytest.param(
            UIDS[:1], GIDS[:1], id="one",
            marks=decides(*(f"config-linux.user-namespace-mappings.{kind}-mappings" for kind in ("uid", "gid"))),
        ),
        pytest.param(UIDS, GIDS, id="several", marks=decides("config-linux.user-namespace-mappings.ranges")),
    ],
)  # fmt: skip
def test_the_maps_are_as_in_the_config(
    container: Maker, uids: list[tuple[int, int, int]], gids: list[tuple[int, int, int]]
) -> None:
    box = container()
    map_ids(box)
    box.config["linux"].update(uidMappings=mappings(uids), gidMappings=mappings(gids))
    seen = box.report()
    assert ranges_of(seen, "/proc/self/uid_map") == uids
    assert ranges_of(seen, "/proc/self/gid_map") == gids


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(key, marks=decides(f"config-linux.user-namespace-mappings.{name}-required"))
        for key, name in (("containerID", "container-id"), ("hostID", "host-id"), ("size", "size"))
    ],
)
@pytest.mark.parametrize("kind", ["uidMappings", "gidMappings"])
def test_a_mapping_that_lacks_something_is_refused(container: Maker, kind: str, key: str) -> None:
    box = container()
    map_ids(box)
    del box.config["linux"][kind][0][key]
    box.create(expect="error")
    box.gone()


@decides("config-linux.user-namespace-mappings.kernel-limit")
def test_more_ranges_than_the_kernel_takes_are_refused(workshop: Workshop, container: Maker) -> None:
    box = container()
    map_ids(box)
    many = [(number, 100000 + 2 * number, 1) for number in range(341)]
    box.config["linux"].update(uidMappings=mappings(many), gidMappings=mappings(many))
    box.create(expect="error")
    box.gone()
    workshop.nothing_left()


def owners(folder: Path) -> dict[str, str]:
    return {name: seen.split()[1] for name, seen in tree(folder).items()}


@decides("config-linux.user-namespace-mappings.ownership")
def test_no_owner_of_a_file_is_changed(workshop: Workshop, container: Maker) -> None:
    box = container("report", "stat=/mnt/file", "stat=/tmp/file", "+", "wait")
    map_ids(box)
    source = workshop.directory("source")
    for folder, owner in ((source, 5), (box.rootfs / "tmp", 7)):
        for name, id in (("file", owner), ("mapped", 100005)):
            (folder / name).write_text("")
            os.chown(folder / name, id, id)
    add_mount(box.config, "/mnt", "bind", str(source), "bind")
    before = owners(source), owners(box.rootfs)
    box.running()
    now = {name: owner for name, owner in owners(box.rootfs).items() if name in before[1]}
    assert (owners(source), now) == before
    # What is not mapped belongs to nobody inside.
    assert [box.seen().answer("stat", f"/{place}/file")["uid"] for place in ("mnt", "tmp")] == [65534, 65534]
