"""config#linux-mount-options: the propagation of a mount; config-linux#rootfs-mount-propagation: that of the root."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance import config
from conformance.marks import decides, needs
from conformance.seen import mounts
from conformance.support import mounting
from conformance.support.mounting import Tree
from conformance.support.trials import Trials, trial

if TYPE_CHECKING:
    from conformance.container import Container
    from conformance.seen import Mount
    from conformance.shared import Shared
    from conformance.workshop import Maker, Workshop

pytestmark = needs("root")

KINDS = ("private", "shared", "slave", "unbindable")


def kind(mount: Mount) -> set[str]:
    """ "shared", "slave", "unbindable": without the number of the group, and nothing for one that is private."""
    words = {field.partition(":")[0] for field in mount.propagation}
    return {"slave" if word == "master" else word for word in words - {"propagate_from"}}


def on_binds(workshop: Workshop) -> dict[str, Trials]:
    """Of sources that are shared on the host; a slave is made where a mount would be shared otherwise."""
    trials = {}
    for name in KINDS:
        top = Tree(workshop, name, shared=True).top
        trials[name] = {name: trial(name, top, f"bind {name}"), f"r{name}": trial(f"r{name}", top, f"rbind r{name}")}
    slaves = trials.pop("slave")
    of_a_slave = Trials(workshop, {name: each for pair in trials.values() for name, each in pair.items()})
    of_a_peer = Trials(workshop, slaves, lambda of: config.set_path(of, "linux.rootfsPropagation", "shared"))
    return {**dict.fromkeys(trials, of_a_slave), "slave": of_a_peer}


@pytest.mark.parametrize(
    "option", [pytest.param(name, marks=decides(f"config.linux-mount-options.{name}")) for name in KINDS]
)
def test_a_mount_has_the_propagation(shared: Shared, option: str) -> None:
    found = kind(shared(on_binds)[option].mount(option))
    # A mount that is shared can be a slave of another group as well.
    assert (found - {"slave"} if option == "shared" else found) == ({option} - {"private"})


@pytest.mark.parametrize(
    "option", [pytest.param(name, marks=decides(f"config.linux-mount-options.r{name}")) for name in KINDS]
)
def test_every_mount_of_the_tree_has_the_propagation(shared: Shared, option: str) -> None:
    trials = shared(on_binds)[option]
    for mount in (trials.mount(f"r{option}"), trials.mount(f"r{option}", "/inner")):
        found = kind(mount)
        assert (found - {"slave"} if option == "shared" else found) == ({option} - {"private"}), mount.target


def propagating(workshop: Workshop, box: Container, propagation: str) -> None:
    """Let the root filesystem be a shared mount of the host's, and the program able to mount."""
    mounting.hold(workshop, box.rootfs, box.rootfs, flags=mounting.BIND)
    mounting.mount("none", box.rootfs, flags=mounting.SHARED)
    config.set_path(box.config, "linux.rootfsPropagation", propagation)
    for names in box.config["process"]["capabilities"].values():
        names.append("CAP_SYS_ADMIN")


def on_the_host(folder: Path) -> set[str]:
    """Where something is mounted at or below a directory."""
    targets = {mount.target for mount in mounts(Path("/proc/self/mountinfo").read_text())}
    return {target for target in targets if target == str(folder) or target.startswith(f"{folder}/")}


def groups(seen: list[Mount]) -> set[str]:
    """The numbers of the peer groups that they belong to."""
    return {word.partition(":")[2] for mount in seen for word in mount.propagation if word.startswith("shared:")}


@decides("config-linux.rootfs-mount-propagation.shared")
def test_a_shared_root_has_a_peer_group(container: Maker) -> None:
    box = container()
    config.set_path(box.config, "linux.rootfsPropagation", "shared")
    assert "shared" in kind(box.report().mount("/"))


@decides("config-linux.rootfs-mount-propagation.shared-new-group")
def test_the_peer_group_of_a_shared_root_is_new(workshop: Workshop, container: Maker) -> None:
    box = container("report", "mount=/mnt", "+", "wait")
    propagating(workshop, box, "shared")
    before = on_the_host(box.rootfs)
    seen = box.running().seen()
    assert seen.errno("mount", "/mnt") == 0
    assert on_the_host(box.rootfs) == before
    own = groups([seen.mount("/")])
    assert own
    assert not own & groups(mounts(Path("/proc/self/mountinfo").read_text()))


@decides("config-linux.rootfs-mount-propagation.slave-one-way")
@pytest.mark.parametrize("propagation", ["slave", "private"])
def test_mounts_of_the_program_do_not_reach_the_host(workshop: Workshop, container: Maker, propagation: str) -> None:
    box = container("report", "mount=/mnt", "+", "wait")
    propagating(workshop, box, propagation)
    before = on_the_host(box.rootfs)
    assert box.running().seen().errno("mount", "/mnt") == 0
    assert on_the_host(box.rootfs) == before


def mounted_later(workshop: Workshop, box: Container) -> bool:
    """Is it seen in a container that was created before?"""
    box.create()
    mounting.mount("later", box.rootfs / "mnt", "tmpfs")
    workshop.held.callback(mounting.unmount, box.rootfs / "mnt")
    box.start()
    seen = box.seen(box.wait())
    return any((mount.target, mount.source) == ("/mnt", "later") for mount in seen.mounts())


@decides("config-linux.rootfs-mount-propagation.slave")
def test_mounts_of_the_host_reach_a_slave(workshop: Workshop, container: Maker) -> None:
    box = container("report")
    propagating(workshop, box, "slave")
    assert mounted_later(workshop, box)
    assert kind(box.seen().mount("/")) == {"slave"}


@decides("config-linux.rootfs-mount-propagation.private")
def test_mounts_of_the_host_do_not_reach_a_private_root(workshop: Workshop, container: Maker) -> None:
    box = container("report")
    propagating(workshop, box, "private")
    assert not mounted_later(workshop, box)
    assert kind(box.seen().mount("/")) == set()


@decides("config-linux.rootfs-mount-propagation.unbindable")
def test_an_unbindable_root_cannot_be_bind_mounted(workshop: Workshop, container: Maker) -> None:
    box = container("report", "mount-bind=/")
    propagating(workshop, box, "unbindable")
    box.run()
    assert box.seen().errno("mount-bind", "/") == errno.EINVAL
    free = container("report", "mount-bind=/")
    propagating(workshop, free, "private")
    free.run()
    assert free.seen().errno("mount-bind", "/") == 0


@decides("config-linux.rootfs-mount-propagation.unknown")
@pytest.mark.parametrize("propagation", ["nosuch", "Shared", "shared,slave"])
def test_another_value_is_refused(container: Maker, propagation: str) -> None:
    box = container()
    config.set_path(box.config, "linux.rootfsPropagation", propagation)
    box.create(expect="error")
    box.gone()
