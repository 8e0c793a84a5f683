"""features-linux: what the optional verb lists is what a config may name."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import cgroup, config, features
from conformance.marks import decides, needs
from conformance.seen import CAPABILITIES
from conformance.support.refusal import refused_singly

if TYPE_CHECKING:
    from conformance.config import Config
    from conformance.installed import Installed
    from conformance.workshop import Maker, Workshop


@pytest.fixture
def told(installed: Installed) -> dict[str, Any]:
    return features.told(installed)


@needs("root")
@decides("features-linux.namespaces.recognized")
def test_every_type_of_namespace_is_recognized(told: dict[str, Any], workshop: Workshop) -> None:
    def apply(made: Config, kind: str) -> None:
        if kind == "user":
            config.user_namespace(made, 200_000, 100)
        else:
            config.add_namespace(made, kind)

    assert refused_singly(workshop, features.listed(told, "linux.namespaces"), apply) == []


@decides("features-linux.capabilities.recognized")
def test_every_capability_is_recognized(told: dict[str, Any], container: Maker) -> None:
    bits = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd:")]
    own = {name for number, name in enumerate(CAPABILITIES) if int(bits[0].split()[1], 16) >> number & 1}
    names = [name for name in features.listed(told, "linux.capabilities") if name in own]
    box = container("report")
    box.config["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), names)
    box.run()
    assert box.seen().capabilities("bounding") == set(names)


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(1, marks=[needs("cgroup1"), decides("features-linux.cgroup.v1")], id="v1"),
        pytest.param(2, marks=[needs("cgroup2"), decides("features-linux.cgroup.v2")], id="v2"),
    ],
)
@needs("controller-pids")
def test_a_limit_is_in_force_if_cgroups_are_supported(told: dict[str, Any], container: Maker, version: int) -> None:
    value = features.lookup(told, f"linux.cgroup.v{version}")
    assert value in (True, False)
    box = container()
    config.set_path(box.config, "linux.resources.pids.limit", 77)
    created = box.create(expect="any").status == 0
    assert (created and cgroup.read(box.pid, "pids", "pids.max") == "77") == value


# --- seccomp ---------------------------------------------------------------------------------------------------------


def rule(action: str, *args: dict[str, Any]) -> dict[str, Any]:
    """For a call that nobody makes."""
    return {"names": ["swapoff"], "action": action, **({"args": list(args)} if args else {})}


def filtered(made: Config, *rules: dict[str, Any], **more: Any) -> None:
    made["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(rules), **more}


@needs("seccomp")
@decides("features-linux.seccomp.enabled")
def test_a_filter_is_in_force_if_seccomp_is_supported(told: dict[str, Any], container: Maker) -> None:
    value = features.lookup(told, "linux.seccomp.enabled")
    assert value in (True, False)
    box = container("report")
    filtered(box.config, rule("SCMP_ACT_ERRNO"))
    assert (box.create(expect="any").status == 0) == value
    if value:
        box.start()
        box.wait()
        assert box.seen()["seccomp"] == 2


@needs("seccomp")
@decides("features-linux.seccomp.actions")
def test_every_action_is_recognized(told: dict[str, Any], workshop: Workshop) -> None:
    """SCMP_ACT_NOTIFY needs somebody who listens, and has tests of its own."""
    actions = [
        each
        for each in features.listed(told, "linux.seccomp.actions")
        if each not in ("SCMP_ACT_NOTIFY", "SCMP_ACT_ALLOW")
    ]
    assert refused_singly(workshop, actions, lambda made, each: filtered(made, rule(each))) == []


@needs("seccomp")
@decides("features-linux.seccomp.operators")
def test_every_operator_is_recognized(told: dict[str, Any], workshop: Workshop) -> None:
    def apply(made: Config, operator: str) -> None:
        filtered(made, rule("SCMP_ACT_ERRNO", {"index": 0, "value": 7, "valueTwo": 3, "op": operator}))

    assert refused_singly(workshop, features.listed(told, "linux.seccomp.operators"), apply) == []


#: Machine -> the architectures whose programs it may run; a library of the runtime may be too old for others.
RUNS = {
    "x86_64": {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"},
    "aarch64": {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"},
}


@needs("seccomp")
@decides("features-linux.seccomp.archs")
@pytest.mark.skipif(platform.machine() not in RUNS, reason="the architectures of this machine are not known here")
def test_every_architecture_that_runs_here_is_recognized(told: dict[str, Any], workshop: Workshop) -> None:
    archs = [each for each in features.listed(told, "linux.seccomp.archs") if each in RUNS[platform.machine()]]
    assert archs
    apply = lambda made, each: filtered(made, rule("SCMP_ACT_ERRNO"), architectures=[each])  # noqa: E731
    assert refused_singly(workshop, archs, apply) == []


@needs("seccomp")
@decides("features-linux.seccomp.known-flags", "features-linux.seccomp.supported-flags")
def test_every_flag_that_works_here_is_recognized(told: dict[str, Any], workshop: Workshop) -> None:
    """The kernel wants a listener for one of them."""
    flags = [
        each
        for each in features.listed(told, "linux.seccomp.supportedFlags")
        if not each.endswith("WAIT_KILLABLE_RECV")
    ]
    apply = lambda made, each: filtered(made, rule("SCMP_ACT_ERRNO"), flags=[each])  # noqa: E731
    assert refused_singly(workshop, flags, apply) == []


@decides("features-linux.seccomp.supported-flags-known")
def test_every_flag_that_works_here_is_known(told: dict[str, Any]) -> None:
    assert set(features.listed(told, "linux.seccomp.supportedFlags")) <= set(
        features.listed(told, "linux.seccomp.knownFlags")
    )
