"""features, features-linux: what depends on the kernel is there exactly if the optional verb says so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from conformance import config, features
from conformance import needs as machine
from conformance.marks import decides, needs
from conformance.support import network
from conformance.support.mounting import Tree
from conformance.support.namespaces import Holder, inside
from conformance.support.refusal import refused_singly
from conformance.support.trials import Trial, Trials, place, trial
from conformance.verdict import Failed

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.installed import Installed
    from conformance.workshop import Maker, Workshop


@pytest.fixture
def told(installed: Installed) -> dict[str, Any]:
    return features.told(installed)


# --- mounts ----------------------------------------------------------------------------------------------------------


def alone(option: str, source: Path) -> Trial:
    """A mount with this option, of the kind that it is for."""
    if option == "remount":
        first = trial(option, "tmpfs", "size=64k", type="tmpfs")
        return Trial((*first.entries, *trial(option, "tmpfs", "remount nosuid", type="tmpfs").entries))
    if option in ("bind", "copy-symlink"):
        return trial(option, source, f"bind {option}")
    if option.startswith("r") and option not in ("ro", "rw", "relatime"):
        return trial(option, source, f"rbind {option}")
    return trial(option, "tmpfs", option, type="tmpfs")


@needs("root")
@decides("features.mount-options.recognized")
def test_every_mount_option_is_recognized(told: dict[str, Any], workshop: Workshop) -> None:
    """But for idmap and ridmap, which need mappings and have tests of their own."""
    source = workshop.directory("source")
    options = [each for each in features.listed(told, "mountOptions") if each not in ("idmap", "ridmap")]
    trials = Trials(workshop, {each: alone(each, source) for each in options})
    refused = {each: str(seen) for each, seen in trials.found.items() if isinstance(seen, Failed)}
    assert refused == {}


UID = 1000


def owner_in_mount(workshop: Workshop, *, of_namespace: bool) -> int | None:
    """Who owns in an idmapped mount what belongs to UID, or to UID of the user namespace; None where it is refused."""
    tree = Tree(workshop)
    os.chown(tree.top / "note", UID, UID)
    box = workshop.container("report", f"stat={place('mapped')}/note")
    mapping = [{"containerID": UID, "hostID": 77, "size": 1}]
    if of_namespace:
        config.user_namespace(box.config, 100_000, 65536)
        mapping = [{"containerID": 0, "hostID": 100_000, "size": 65536}]
    (box.rootfs / "trials" / "mapped").mkdir(parents=True)
    entry = trial("mapped", tree.top, "bind").entries[0]
    box.config["mounts"].append({**entry, "uidMappings": mapping, "gidMappings": mapping})
    if box.create(expect="any").status or box.start(expect="any").status:
        return None
    box.wait()
    return int(box.seen().answer("stat", f"{place('mapped')}/note")["uid"])


@needs("root", "idmapped-tmpfs")
@decides("features-linux.mountextensions.idmap-enabled")
def test_mappings_of_mounts_are_used_if_it_says_so(told: dict[str, Any], workshop: Workshop) -> None:
    value = bool(features.lookup(told, "linux.mountExtensions.idmap.enabled"))
    assert (owner_in_mount(workshop, of_namespace=False) == 77) == value


@needs("root", "idmapped-tmpfs", "userns")
@decides("features-linux.mountextensions.idmap-partial")
def test_a_part_of_idmapped_mounts_is_told(told: dict[str, Any], workshop: Workshop) -> None:
    if owner_in_mount(workshop, of_namespace=True) == UID:
        assert features.lookup(told, "linux.mountExtensions.idmap.enabled") is True


# --- memory, network, AppArmor ---------------------------------------------------------------------------------------


@needs("numa")
@decides("features-linux.memorypolicy.modes")
def test_every_mode_of_memory_policies_is_recognized(told: dict[str, Any], workshop: Workshop) -> None:
    lately = ("MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE")
    modes = features.listed(told, "linux.memoryPolicy.modes")
    here = [each for each in modes if each not in lately or not machine.unmet(each.lower())]

    def apply(made: config.Config, mode: str) -> None:
        nodes = {} if mode in ("MPOL_DEFAULT", "MPOL_LOCAL") else {"nodes": "0"}
        made["linux"]["memoryPolicy"] = {"mode": mode, **nodes}

    assert refused_singly(workshop, here, apply) == []


@needs("numa")
@decides("features-linux.memorypolicy.flags")
def test_every_flag_of_memory_policies_is_recognized(told: dict[str, Any], workshop: Workshop) -> None:
    def apply(made: config.Config, flag: str) -> None:
        made["linux"]["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]}

    assert refused_singly(workshop, features.listed(told, "linux.memoryPolicy.flags"), apply) == []


@needs("root", "veth")
@decides("features-linux.netdevices.enabled")
def test_network_devices_are_moved_if_it_says_so(told: dict[str, Any], container: Maker) -> None:
    value = features.lookup(told, "linux.netDevices.enabled")
    with Holder("network") as holder, inside(holder.path("network"), "network"):
        network.veth("moves", "stays")
        box = container()
        config.add_namespace(box.config, "network")
        box.config["linux"]["netDevices"] = {"moves": {}}
        box.create(expect="any")
        moved = "moves" not in network.devices()
    assert moved == bool(value)


@decides("features-linux.apparmor.enabled")
def test_a_profile_is_refused_where_apparmor_is_not_supported(told: dict[str, Any], container: Maker) -> None:
    """Where it is supported, a profile that is not loaded is refused as well; test_labels.py has one that is."""
    assert features.lookup(told, "linux.apparmor.enabled") in (True, False)
    box = container()
    box.config["process"]["apparmorProfile"] = "conformance-no-such-profile"
    if box.create(expect="any").status == 0:
        box.start(expect="error")
