"""``pyrunc setup``: what each engine gets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pyrunc.setup import crio
from tests.unit.setup.configurations import DEBIAN, KUBEADM, PLUGIN, TWO, toml
from tests.unit.setup.conftest import System

if TYPE_CHECKING:
    pass


def test_crio_reads_every_file_below_its_drop_ins(system: System) -> None:
    main = system.path / "etc/crio/crio.conf"
    for name in ("b", "a/2.conf", "a-1", "c.toml"):
        path = system.path / "etc/crio/crio.conf.d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    names = [os.path.relpath(path, main.parent / "crio.conf.d") for path in crio.files(str(system.path))[1:]]
    assert names == ["a/2.conf", "a-1", "b", "c.toml"]


def test_podman_gets_the_lists_that_are_in_force_with_our_name(system: System) -> None:
    for name, value in (("containers.conf", '["first"]'), ("containers.conf.d/10-a.conf", '["crun", "mine"]')):
        path = system.path / "etc/containers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[engine]\nruntime_supports_json = {value}\n")
    (system.path / "etc/containers/containers.conf.d/90-z.conf").write_text("[engine]\nruntime_supports_json = []\n")
    system.done("podman")
    engine = toml(system.file("podman"))["engine"]
    assert engine["runtime_supports_json"] == ["crun", "mine", "pyrunc"]
    assert {"crun", "krun", "pyrunc"} <= {*engine["runtime_supports_nocgroups"]}
    assert engine["runtimes"] == {"pyrunc": ["/usr/bin/pyrunc"]}
    assert "runtime" not in engine


def test_files_that_podman_reads_later_are_told(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONTAINERS_CONF", raising=False)
    later = system.path / "etc/containers/containers.conf.d/60-later.conf"
    later.parent.mkdir(parents=True)
    later.write_text("[engine]\nruntime = 'crun'\n")
    assert "is read later" not in system.done("podman")
    assert f"{later} is read later and has another runtime: that counts" in system.done("podman", "--default")
    monkeypatch.setenv("CONTAINERS_CONF", "/x")
    assert "CONTAINERS_CONF is set here" in system.done("podman")


def section(system: System, plugin: str = PLUGIN) -> Any:
    return toml(system.file("containerd"))["plugins"][plugin]["containerd"]


def test_containerd_keeps_runc_which_it_has_only_without_other_runtimes(system: System) -> None:
    system.write("containerd", DEBIAN)
    system.done("containerd")
    assert section(system)["runtimes"] == {
        "runc": {"runtime_type": "io.containerd.runc.v2"},
        "pyrunc": {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": "/usr/bin/pyrunc"}},
    }
    assert 'bin_dir = "/usr/lib/cni"  # Debian\'s\n' in system.file("containerd").read_text()


def test_containerd_uses_the_cgroup_driver_that_runc_has(system: System) -> None:
    system.write("containerd", KUBEADM)
    system.done("containerd", "--default")
    assert section(system)["runtimes"]["pyrunc"]["options"]["SystemdCgroup"] is True
    assert section(system)["default_runtime_name"] == "pyrunc"
    assert section(system)["snapshotter"] == "overlayfs"


@pytest.mark.parametrize(
    ("text", "plugin"), [(TWO, "io.containerd.cri.v1.runtime"), ("root = '/r'\n", "cri"), ("version = 2\n", PLUGIN)]
)
def test_containerds_section_has_the_name_of_the_files_version(system: System, text: str, plugin: str) -> None:
    system.write("containerd", text)
    system.done("containerd", "--default")
    assert "pyrunc" in section(system, plugin)["runtimes"]
    assert section(system, plugin)["default_runtime_name"] == "pyrunc"


def test_a_switched_off_cri_plugin_is_told(system: System) -> None:
    system.write("containerd", 'disabled_plugins = ["cri"]\n')
    assert "the CRI plugin is switched off by disabled_plugins" in system.done("containerd")
