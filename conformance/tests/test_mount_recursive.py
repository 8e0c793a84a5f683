"""config#linux-mount-options: bind and rbind, and options that concern every mount of a tree."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.marks import decides, needs, optional
from conformance.support import mounting
from conformance.support.mounting import Tree
from conformance.support.trials import Trials, place, trial

if TYPE_CHECKING:
    from conformance.shared import Shared
    from conformance.workshop import Maker, Workshop

pytestmark = needs("root")

#: Option -> what both mounts of the tree have on the host, what they have in the container then, and what not.
RECURSIVE = {
    "ratime": (mounting.NOATIME, "", "noatime"),
    "rdev": (mounting.NODEV, "", "nodev"),
    "rdiratime": (mounting.NODIRATIME, "", "nodiratime"),
    "rexec": (mounting.NOEXEC, "", "noexec"),
    "rnoatime": (0, "noatime", "relatime"),
    "rnodiratime": (0, "nodiratime", "noatime"),
    "rnoexec": (0, "noexec", "ro nosuid nodev"),
    "rnorelatime": (0, "rw", "noatime nosuid nodev noexec"),
    "rnostrictatime": (mounting.STRICTATIME, "relatime", "noatime"),
    "rnosuid": (0, "nosuid", "ro nodev noexec"),
    "rnosymfollow": (0, "nosymfollow", "ro"),
    "rrelatime": (mounting.STRICTATIME, "relatime", "noatime"),
    "rro": (0, "ro", "rw nosuid nodev noexec"),
    "rrw": (mounting.RDONLY, "rw", "ro"),
    "rstrictatime": (0, "rw", "relatime noatime"),
    "rsuid": (mounting.NOSUID, "", "nosuid"),
    "rsymfollow": (mounting.NOSYMFOLLOW, "", "nosymfollow"),
}


def each(names: list[str]) -> pytest.MarkDecorator:
    """A parameter ``option`` that decides the statement of its name, for runtimes that have it."""

    def marks(name: str) -> list[pytest.MarkDecorator]:
        return [decides(f"config.linux-mount-options.{name}"), optional("mountOptions", name)]

    return pytest.mark.parametrize("option", [pytest.param(name, marks=marks(name)) for name in names])


def trees(workshop: Workshop) -> Trials:
    asked = ("create={}/made", "create={}/inner/made")
    return Trials(
        workshop,
        {
            name: trial(name, Tree(workshop, name, flags=flags).top, f"rbind {name}", *asked)
            for name, (flags, _, _) in RECURSIVE.items()
        },
    )


@each(list(RECURSIVE))
def test_every_mount_of_the_tree_has_the_option(shared: Shared, option: str) -> None:
    _, has, lacks = RECURSIVE[option]
    trials = shared(trees)
    for options in (trials.mount(option).options, trials.mount(option, "/inner").options):
        assert options >= set(has.split())
        assert not options & set(lacks.split())


#: What making a file in both mounts ends with.
WRITING = {"rro": errno.EROFS, "rrw": 0}


@each(list(WRITING))
def test_every_mount_of_the_tree_can_be_written_or_not(shared: Shared, option: str) -> None:
    seen = shared(trees)[option]
    tried = [seen.errno("create", f"{place(option)}/{name}") for name in ("made", "inner/made")]
    assert tried == [WRITING[option]] * 2


def binds(workshop: Workshop) -> Trials:
    top = Tree(workshop).top
    asked = ("list={}", "list={}/inner")
    return Trials(workshop, {name: trial(name, top, name, *asked) for name in ("bind", "rbind")})


@decides("config.linux-mount-options.bind")
def test_bind_mounts_without_what_is_mounted_below(shared: Shared) -> None:
    seen = shared(binds)["bind"]
    assert sorted(seen.answer("list", place("bind"))) == ["inner", "note"]
    assert seen.answer("list", f"{place('bind')}/inner") == []


@decides("config.linux-mount-options.rbind")
def test_rbind_mounts_what_is_mounted_below(shared: Shared) -> None:
    seen = shared(binds)["rbind"]
    assert seen.answer("list", f"{place('rbind')}/inner") == ["note"]
    assert seen.mount(f"{place('rbind')}/inner").type == "tmpfs"


@decides("config.linux-mount-options.ro", "config.linux-mount-options.rbind")
def test_ro_is_not_recursive_and_does_not_lose_what_is_below(workshop: Workshop, container: Maker) -> None:
    """But rbind is."""
    tree = Tree(workshop)
    box = container()
    config.add_mount(box.config, "/mnt", "none", str(tree.top), "rbind", "ro")
    seen = box.report("create=/mnt/made", "create=/mnt/inner/made")
    assert "ro" in seen.mount("/mnt").options
    assert seen.errno("create", "/mnt/made") == errno.EROFS
    assert (tree.inner / "made").exists()
