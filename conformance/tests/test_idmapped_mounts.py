"""config#posix-platform-mounts, config#linux-mount-options: mounts with mappings of their own.

On the host the files belong to ids that nobody is; the mappings say who owns them in the container.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from conformance import config
from conformance.marks import decides, needs, optional
from conformance.support.mounting import Tree
from conformance.support.trials import Trial, Trials, place

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.shared import Shared
    from conformance.workshop import Maker, Workshop

pytestmark = [needs("root", "idmapped-tmpfs"), optional("linux.mountExtensions.idmap.enabled")]

#: Who owns the files of a tree on the host, and "other" in it.
UID, GID, OTHER = 1000, 2000, 3000
#: What an id is that has no mapping.
OVERFLOW = 65534
#: The first id of the user namespace on the host.
FIRST = 100000


def owned(workshop: Workshop, name: str) -> Tree:
    tree = Tree(workshop, name)
    for folder in (tree.top, tree.inner):
        (folder / "other").touch()
        (folder / "of-root").touch()
        os.chown(folder / "other", OTHER, OTHER)
        for path in (folder / "note", folder):
            os.chown(path, UID, GID)
    return tree


def mapping(inside: int, outside: int, size: int = 1) -> dict[str, int]:
    """A mapping: ``inside`` is the id in the source, ``outside`` what it is in the mount."""
    return {"containerID": inside, "hostID": outside, "size": size}


def entry(destination: str, source: Path, *options: str, **mappings: list[dict[str, int]]) -> dict[str, Any]:
    return {"destination": destination, "type": "none", "source": str(source), "options": list(options), **mappings}


def both(uid: int = 0, gid: int = 0) -> dict[str, list[dict[str, int]]]:
    """The owners of a tree as these ids."""
    return {"uidMappings": [mapping(UID, uid)], "gidMappings": [mapping(GID, gid)]}


def asked(at: str) -> tuple[str, ...]:
    stats = tuple(f"stat={at}/{name}" for name in ("note", "other", "of-root", "inner/note"))
    return (*stats, f"create={at}/made")


def in_user_namespace(of: config.Config) -> None:
    config.user_namespace(of, FIRST, 65536)


def source(tree: Tree, options: tuple[str, ...]) -> Path:
    """What has nothing mounted below, where only that is to be mounted: a user namespace's root may not uncover it."""
    return tree.top if "rbind" in options else tree.inner


class Mapped:
    """Mounts with mappings in a container, with or without a user namespace, and the trees that they are of."""

    def __init__(self, workshop: Workshop, entries: dict[str, tuple[tuple[str, ...], Any]], user: bool) -> None:
        trials, sources = {}, {}
        for name, (options, mappings) in entries.items():
            sources[name] = source(owned(workshop, name), options)
            trials[name] = Trial((entry(place(name), sources[name], *options, **mappings),), asked(place(name)))
        self.trials = Trials(workshop, trials, in_user_namespace if user else lambda _: None)
        #: The owners on the host of the files that the probe made.
        self.made: dict[str, tuple[int, int]] = {}
        for name, folder in sources.items():
            if (folder / "made").exists():
                made = (folder / "made").stat()
                self.made[name] = (made.st_uid, made.st_gid)

    def owner(self, name: str, file: str) -> tuple[int, int]:
        """Uid and gid as the probe sees them."""
        seen = self.trials[name].answer("stat", f"{place(name)}/{file}")
        assert "errno" not in seen, f"{file} is not there"
        return seen["uid"], seen["gid"]


def mapped(workshop: Workshop) -> Mapped:
    ranges = [mapping(UID, 0, 1), mapping(GID, 50, 10), mapping(OTHER, 70, 1)]
    return Mapped(
        workshop,
        {
            "idmap": (("bind", "idmap"), both()),
            "other-ids": (("bind", "idmap"), both(5, 6)),
            "ranges": (("bind", "idmap"), {"uidMappings": ranges, "gidMappings": ranges}),
            "top": (("rbind", "idmap"), both(5, 6)),
            "ridmap": (("rbind", "ridmap"), both(5, 6)),
        },
        user=False,
    )


@decides("config.linux-mount-options.idmap")
def test_the_owner_of_a_file_is_the_mapped_one(shared: Shared) -> None:
    assert shared(mapped).owner("idmap", "note") == (0, 0)


@pytest.mark.parametrize(
    "which",
    [
        pytest.param(0, id="uid", marks=decides("config.posix-platform-mounts.uid-mappings")),
        pytest.param(1, id="gid", marks=decides("config.posix-platform-mounts.gid-mappings")),
    ],
)
def test_ids_are_mapped_in_both_directions(shared: Shared, which: int) -> None:
    """Uids and gids by their own mappings, as the probe sees a file, and as the host sees one that the probe made."""
    found = shared(mapped)
    assert found.owner("other-ids", "note")[which] == (5, 6)[which]
    assert found.made.get("idmap", (None, None))[which] == (UID, GID)[which]


@decides("config.posix-platform-mounts.mappings-ranges")
def test_mappings_have_several_ranges(shared: Shared) -> None:
    found = shared(mapped)
    assert found.owner("ranges", "note") == (0, 50)
    assert found.owner("ranges", "other") == (70, 70)
    assert found.owner("ranges", "of-root") == (OVERFLOW, OVERFLOW)


@decides("config.linux-mount-options.idmap-top")
def test_idmap_leaves_the_mounts_below_as_they_are(shared: Shared) -> None:
    found = shared(mapped)
    assert found.owner("top", "note") == (5, 6)
    assert found.owner("top", "inner/note") == (UID, GID)


@decides("config.linux-mount-options.ridmap")
def test_ridmap_maps_every_mount_of_the_tree(shared: Shared) -> None:
    found = shared(mapped)
    assert found.owner("ridmap", "note") == (5, 6)
    assert found.owner("ridmap", "inner/note") == (5, 6)


def mapped_with_user_namespace(workshop: Workshop) -> Mapped:
    own = both(FIRST + 5, FIRST + 6)
    return Mapped(workshop, {"idmap": (("bind", "idmap"), own), "ridmap": (("rbind", "ridmap"), own)}, user=True)


@pytest.mark.parametrize(
    "option",
    [
        pytest.param("idmap", marks=decides("config.linux-mount-options.idmap-mappings")),
        pytest.param("ridmap", marks=decides("config.linux-mount-options.ridmap-mappings")),
    ],
)
def test_the_mappings_of_the_mount_come_before_those_of_the_user_namespace(shared: Shared, option: str) -> None:
    found = shared(mapped_with_user_namespace)
    assert found.owner(option, "note") == (5, 6)
    assert found.owner(option, "of-root") == (OVERFLOW, OVERFLOW)
    if option == "ridmap":
        assert found.owner(option, "inner/note") == (5, 6)


@pytest.mark.parametrize(
    "option",
    [
        pytest.param("idmap", marks=decides("config.linux-mount-options.idmap-container")),
        pytest.param("ridmap", marks=decides("config.linux-mount-options.ridmap-container")),
    ],
)
def test_without_mappings_those_of_the_user_namespace_are_used_or_it_is_refused(
    workshop: Workshop, container: Maker, option: str
) -> None:
    """Id 0 of the host has no name in the user namespace but by such a mount."""
    bind = "rbind" if option == "ridmap" else "bind"
    tree = owned(workshop, "tree")
    plain, box = (container("report", *asked("/mnt")) for _ in range(2))
    for each, options in ((plain, (bind,)), (box, (bind, option))):
        in_user_namespace(each.config)
        each.config["mounts"].append(entry("/mnt", source(tree, options), *options))
    assert plain.report(*asked("/mnt")).answer("stat", "/mnt/of-root")["uid"] == OVERFLOW
    if box.create(expect="any").status:
        box.gone()
        return
    box.start()
    seen = box.seen(box.wait())
    for file in ("note", "inner/note") if option == "ridmap" else ("note",):
        owner = seen.answer("stat", f"/mnt/{file}")
        assert (owner.get("uid"), owner.get("gid")) == (UID, GID), file
    assert seen.answer("stat", "/mnt/of-root")["uid"] == 0


BAD = {
    "config.linux-mount-options.idmap-nothing": (("bind", "idmap"), {}),
    "config.linux-mount-options.ridmap-nothing": (("rbind", "ridmap"), {}),
    "config.posix-platform-mounts.uid-without-gid-mappings": (("bind", "idmap"), {"uidMappings": [mapping(UID, 0)]}),
    "config.posix-platform-mounts.gid-without-uid-mappings": (("bind", "idmap"), {"gidMappings": [mapping(GID, 0)]}),
}


@pytest.mark.parametrize("bad", [pytest.param(name, id=name.split(".")[-1], marks=decides(name)) for name in BAD])
def test_a_mount_without_what_it_is_mapped_by_is_refused(workshop: Workshop, container: Maker, bad: str) -> None:
    options, mappings = BAD[bad]
    box = container()
    box.config["mounts"].append(entry("/mnt", owned(workshop, "tree").top, *options, **mappings))
    box.create(expect="error")
    box.gone()
